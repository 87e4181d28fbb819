"""What a network, or one conversation on it, can do: data that the core fits every message to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..media.blob import MediaKind
from .document import Document

Unit = Literal["characters", "utf16", "bytes"]


class Dialect(Protocol):
    """How a network writes formatted text."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> Unit:
        """What `length` counts in."""
        ...

    def render(self, document: Document) -> str:
        """The text to send; everything that is not meant as markup is escaped."""
        ...

    def length(self, document: Document) -> int:
        """The length as the network counts it, in `unit`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonRules:
    """per_row and total: counts, 0 for no buttons (they become numbered text). label: characters. payload: bytes.

    menus: many of them take little room, as they are the choices of menus.
    """

    per_row: int = 0
    total: int = 0
    label: int = 64
    payload: int = 64
    menus: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRules:
    """Native messages a second, of the account and of a chat, and a minute. 0 means no limit; an album counts as its files.

    edit_seconds: the least time between two edits in a conversation. edits_per_minute: edits of the account that show how far
    something is, all conversations together; what is final goes out whatever those have used up.
    """

    per_second: float = 0
    per_chat_second: float = 0
    per_chat_minute: int = 0
    edit_seconds: float = 1.0
    edits_per_minute: float = 0

    @property
    def limits_messages(self) -> bool:
        return bool(self.per_second or self.per_chat_second or self.per_chat_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Declared only if the conformance suite proves it; what is not declared is degraded by the core.

    text, caption: the longest in the dialect's unit, 0 for unlimited; `captions` False sends the text as a message of its own.
    album: pictures in one message, 1 for none. upload, download: the largest file in bytes by kind, "" for any other; none: any size.
    inline_types: MIME types shown in place; the rest are converted to one of them, or sent as files. still_types: those of them that
    stand still there, though the file moves. picture_sides: the most pixels of a picture's width and height together, 0 for any.
    edit_media: a picture may take another's place, or a text's. text_stays_text: not a text's, so what will be edited begins as a
    picture.
    """

    dialect: Dialect
    text: int = 0
    captions: bool = True
    caption: int = 0
    buttons: ButtonRules = ButtonRules()
    album_buttons: bool = True
    album: int = 1
    edit_text: bool = False
    edit_media: bool = False
    text_stays_text: bool = False
    delete: bool = False
    private: bool = False
    threads: bool = False
    reactions: bool = False
    busy: bool = False
    forms: bool = False
    typed_options: bool = False
    attachments: bool = False
    completion: bool = False
    finds: bool = False
    upload: Mapping[MediaKind | Literal[""], int] = field(default_factory=dict)
    download: Mapping[MediaKind | Literal[""], int] = field(default_factory=dict)
    inline_types: frozenset[str] = frozenset()
    still_types: frozenset[str] = frozenset()
    picture_sides: int = 0
    rate: RateRules = RateRules()
