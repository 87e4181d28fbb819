"""Commands that every gateway has: a first tour, help, status, and what was made before."""

from .plugin import Plugin

__all__ = ["Plugin"]
