"""Chatelier's core: it knows no platform and no vendor."""
