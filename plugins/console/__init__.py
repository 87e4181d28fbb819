"""The operator's page at /console: backends, queue, last jobs, plugins, health."""

from .plugin import Plugin

__all__ = ["Plugin"]
