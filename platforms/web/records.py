"""What the page shows, kept so that it is there again after a reload."""

from dataclasses import dataclass

from chatelier import Blob, Button, Kind, Query, Record, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A file in a message. id: unguessable, the last part of its address."""

    id: str
    blob: Blob
    name: str
    alt: str = ""
    document: bool = False
    spoiler: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """key: of a reply, `Outgoing.key`; of the person's own, the chat, a dot and the page's id of it. place: grows in a chat.

    text: what the person typed. html: what the gateway answered. sign: the last sign about the person's own message.
    """

    chat: str
    place: int = 0
    mine: bool = False
    text: str = ""
    html: str = ""
    media: tuple[Shown, ...] = ()
    media_ids: tuple[str, ...] = ()
    buttons: tuple[tuple[Button, ...], ...] = ()
    reply_to: str = ""
    private: bool = False
    deleted: bool = False
    sign: str = ""
    created_at: Time | None = None
    edited_at: Time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(Record):
    """key: the chat's id. last: the place of its latest message; every new message writes it, so no two share a place."""

    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFile(Record):
    """A file that a person sent. key: unguessable, `FileRef.ref`. owner: the chat it was sent to."""

    owner: str
    name: str
    blob: Blob
    created_at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Record):
    """A file that no message has yet, or one that is just coming. key: the file's.

    size: bytes; while the file comes, the most that it can have.
    """

    owner: str
    size: int
    created_at: Time


MESSAGES = Kind(
    name="web_messages",
    record=Message,
    unique=("media_ids",),
    queries=(Query(("chat",), "place"), Query((), "created_at")),
)
CHATS = Kind(name="web_chats", record=Chat)
FILES = Kind(name="web_files", record=WebFile, queries=(Query(("owner",), "created_at"), Query((), "created_at")))
WAITING = Kind(name="web_waiting", record=Waiting, queries=(Query(("owner",), "created_at"), Query((), "created_at")))


def message_owner(key: str) -> str:
    """Whose bytes those of a message are, in the blob store."""
    return f"web_message:{key}"


def file_owner(key: str) -> str:
    """Whose bytes those of an upload are, in the blob store."""
    return f"web_file:{key}"
