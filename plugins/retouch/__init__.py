"""Commands that change pictures and videos without any backend."""

from .plugin import Plugin

__all__ = ["Plugin"]
