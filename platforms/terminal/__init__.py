"""The terminal as a chat: `chatelier say` for one message, `chatelier chat` for a conversation.

These two commands make its accounts; the configuration has none.
"""
