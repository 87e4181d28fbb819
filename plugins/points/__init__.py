"""What people do with their points: see them, give them, redeem codes; and how a group pays."""

from .plugin import Plugin

__all__ = ["Plugin"]
