"""A plugin that is a package with a part of its own."""

from .part import Plugin

__all__ = ["Plugin"]
