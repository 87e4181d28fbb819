"""The neutral language between the core and every chat network: what came in, what goes out.

Times are aware UTC, sizes are bytes, keys are opaque text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ..media.blob import Blob
from .document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRef:
    """Where something is said.

    platform: the configured name of the account ("telegram", "telegram.shop"): one lease, one outbound line.
    chat: the network's own id, opaque to the core. thread: a topic or thread in it, or "".
    """

    platform: str
    chat: str
    thread: str = ""
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A file that a person sent, before anybody read its bytes. `Platform.read` turns it into bytes.

    ref: opaque to the core; never holds a secret. size: bytes as the network says, 0 for unknown. name, mime: never trusted.
    """

    platform: str
    ref: str
    name: str = ""
    mime: str = ""
    size: int = 0


Value = str | int | float | bool | FileRef
"""What an option of a command can hold when it comes in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Plain words, with or without files. A command may be typed in it.

    album: the network's group id of an album, or "". reply_to: the id of the message it answers, or "".
    answered: the handle of the person who wrote that one, where the network says so.
    edited: it takes the place of the message with the same id, if nothing came of that one.
    """

    text: str = ""
    files: tuple[FileRef, ...] = ()
    album: str = ""
    reply_to: str = ""
    answered: str = ""
    edited: bool = False
    type: Literal["said"] = "said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A command with typed options, where the network has such. reply_to: the id of the message it answers, or ""."""

    command: str
    options: Mapping[str, Value] = field(default_factory=dict)
    reply_to: str = ""
    type: Literal["called"] = "called"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A button. payload: what the core put on it. message_id: the message that carries it, or `Outgoing.key` of one still unsent."""

    payload: str
    message_id: str = ""
    type: Literal["pressed"] = "pressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A filled-in form. form: `Form.key`. values: by option name, as typed."""

    form: str
    values: Mapping[str, Value] = field(default_factory=dict)
    type: Literal["submitted"] = "submitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment that the network confirmed, or gave back by itself. charge: the provider's own id, recorded once.

    provider: the name of the `Payments` that it is of, where the network has one of its own.
    """

    invoice: str
    charge: str
    amount: int
    currency: str
    provider: str = ""
    back: bool = False
    type: Literal["paid"] = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChanged:
    """The chat itself changed. to: the new id when it migrated."""

    what: Literal["joined", "left", "migrated"]
    to: str = ""
    type: Literal["chat_changed"] = "chat_changed"


Body = Annotated[Said | Called | Pressed | Submitted | Paid | ChatChanged, Field(discriminator="type")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that came in.

    keys: first the network's event id, then the message's own id; one known key makes it a repeat. Unique in an account.
    sender: a handle "network:id" ("telegram:42", "slack/T01:U7"), the same for all accounts of a network.
    name: the sender's name as people see it; never trusted. admin: of this chat, by the network's own roles.
    operator: the sender has proved to the platform that they hold the console's token.
    native: stored, and handed back in `Outgoing.native` of each answer; a key that starts with `secret.` is redacted in logs and
    exports, and deleted when it is 20 minutes old.
    """

    keys: tuple[str, ...]
    chat: ChatRef
    sender: str
    name: str = ""
    admin: bool = False
    operator: bool = False
    body: Body
    native: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the answers to a question. value: what is sent back; label: what is shown, the value when empty."""

    value: str
    label: str = ""


FieldType = Literal["text", "integer", "number", "boolean", "choice", "image", "video", "audio", "file"]
FILE_TYPES: frozenset[FieldType] = frozenset({"image", "video", "audio", "file"})
"""The types of those options that take a file."""
LONGEST_TEXT = 10_000
"""Characters, where an option does not say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One typed input of a command or of a form.

    rest: it takes all words that are not another option (a prompt). step: values are multiples of it above `minimum`.
    choices: for `choice`. max_length: characters of a text. default: None when there is none.
    advanced: shown after the others and left out of short help.
    aside: a switch for who knows it: it can be given, and forms and menus do not ask for it.
    subject: the file that the command works on: a link in the text stands for it, and with no file at all the newest one that
    the person has. At most one option of a command.
    """

    name: str
    type: FieldType = "text"
    label: str = ""
    description: str = ""
    required: bool = False
    default: str | int | float | bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Choice, ...] = ()
    max_length: int = LONGEST_TEXT
    rest: bool = False
    advanced: bool = False
    aside: bool = False
    subject: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A set of questions asked at once. key: comes back in `Submitted.form`. values: what is filled in already."""

    key: str
    title: str
    fields: tuple[Option, ...]
    values: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """payload: at most 64 bytes of ASCII, comes back in `Pressed.payload`. url: opens a page instead, the payload is then ""."""

    label: str
    payload: str = ""
    url: str = ""
    style: Literal["normal", "primary", "danger"] = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A file to show.

    blob: what it is, and its bytes by `Gateway.blobs.open`. inline: the bytes themselves, of a live preview that is never stored.
    alt: for people who do not see it. document: send the original as a file, do not show it.
    """

    blob: Blob
    name: str
    alt: str = ""
    document: bool = False
    spoiler: bool = False
    inline: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A bill that the network itself can collect. amount: in the currency's smallest unit."""

    key: str
    title: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a handler answers: one message as the author thinks of it. The core fits it to each network.

    text: Markdown; pass what people typed through `escape`. private: only the person who asked sees it, where that can be.
    quote: shown as an answer to the message that asked. live: it will be edited, and may become pictures.
    """

    text: str = ""
    media: tuple[Media, ...] = ()
    buttons: tuple[tuple[Button, ...], ...] = ()
    private: bool = False
    quote: bool = False
    live: bool = False
    invoice: Invoice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One native message, already fitted to the conversation's capabilities: send it whole or raise.

    key: 22 characters of [A-Za-z0-9_-], the same on every try. reply_to: a message id, or "". private_to: a handle, or "" for all.
    native: `Event.native` of the event that is answered.
    """

    key: str
    chat: ChatRef
    text: Document | None = None
    media: Sequence[Media] = ()
    buttons: Sequence[Sequence[Button]] = ()
    reply_to: str = ""
    private_to: str = ""
    invoice: Invoice | None = None
    native: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became visible. ids: one a native message, in the order shown."""

    chat: ChatRef
    ids: tuple[str, ...]
    editable: bool = False
    deletable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Defer:
    """Acknowledge now, answer later; private or not is fixed now where the network fixes it now."""

    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Show this form now. Only given when the conversation's capabilities have forms."""

    form: Form


FirstAnswer = Defer | Ask | None
