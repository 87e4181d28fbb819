"""Graphs, their inputs, and the catalogue of what is on offer."""
