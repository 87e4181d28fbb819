"""The terminal as a chat: `chatelier say` for one message, `chatelier chat` for a conversation."""

from .plugin import Plugin

__all__ = ["Plugin"]
