"""How fast an account may speak: when the next message of a chat may go out."""

from collections import deque
from dataclasses import dataclass, field

from .capabilities import RateRules

MINUTE = 60.0
CHATS = 1_000
"""More chats than these are looked through for those that were quiet for a minute."""


@dataclass(slots=True)
class _Chat:
    """next_at: by the rate a second. sent: the moments of the last minute."""

    next_at: float = float("-inf")
    sent: deque[float] = field(default_factory=deque)


class Pace:
    """Moments are on the machine's clock, in seconds. A chat's limits hold for all its threads together."""

    def __init__(self) -> None:
        self._next_at = float("-inf")
        self._next_edit_at = float("-inf")
        self._chats: dict[str, _Chat] = {}

    def take(self, rate: RateRules, chat: str, now: float, messages: int = 1) -> float:
        """When so many native messages may go out together, `now` or later; that moment is theirs."""
        known = self._chat(chat, now)
        at = max(now, known.next_at, self._next_at)
        if rate.per_chat_minute:
            while known.sent and known.sent[0] <= at - MINUTE:
                known.sent.popleft()
            over = len(known.sent) + messages - int(rate.per_chat_minute)
            if over > 0 and known.sent:
                at = max(at, known.sent[min(over, len(known.sent)) - 1] + MINUTE)
            known.sent.extend([at] * messages)
        if rate.per_second:
            self._next_at = at + messages / rate.per_second
        if rate.per_chat_second:
            known.next_at = at + messages / rate.per_chat_second
        return at

    def edit(self, rate: RateRules, now: float) -> float:
        """When progress may be shown next, `now` or later; that moment is taken."""
        if not rate.edits_per_minute:
            return now
        at = max(now, self._next_edit_at)
        self._next_edit_at = at + MINUTE / rate.edits_per_minute
        return at

    def _chat(self, chat: str, now: float) -> _Chat:
        if len(self._chats) >= CHATS and chat not in self._chats:
            self._chats = {
                name: each
                for name, each in self._chats.items()
                if each.next_at > now or (each.sent and each.sent[-1] > now - MINUTE)
            }
        return self._chats.setdefault(chat, _Chat())
