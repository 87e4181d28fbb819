"""Backends, stores, commands and workflows that ship with Chatelier, each a plugin."""
