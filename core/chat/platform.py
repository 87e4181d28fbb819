"""What a chat platform implements, and what it is given. One object is one account.

`run()` until cancelled stands in for start and stop: one owner, nothing to leak. What a network may also do are small protocols
beside it; the start refuses a platform whose declared capabilities do not match them, either way.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from ..errors import Refused
from ..media.blob import Blobs
from ..storage import Store
from .capabilities import Capabilities
from .messages import ChatRef, Choice, Event, FileRef, FirstAnswer, Option, Outgoing, Receipt


class Published(Protocol):
    """A command as a network may show it."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str:
        """One line, at most 100 characters."""
        ...

    @property
    def options(self) -> tuple[Option, ...]: ...

    @property
    def operators(self) -> bool:
        """Only operators may call it."""
        ...


class Accounts(Protocol):
    """The accounts of a gateway, which may come and go while it serves. What is added here lives as any other one does."""

    async def add(self, platform: "Platform") -> bool:
        """One more account; it goes on line at once, or as soon as the gateway serves. Nothing of it is kept for the next start.

        False in a process that serves one account of its own, such as a terminal. Raises Refused for a name that is taken and
        for capabilities that do not match the class, Unavailable while the gateway stops.
        """
        ...

    async def remove(self, name: str, why: str = "") -> None:
        """Its `run` is cancelled, and another one may have its name. Not from within its own `run`, which would wait for itself.

        why: it went for good, and with these words its unsent messages fail, now and as long as the gateway runs; its jobs are
        cancelled. "": they wait for its return. Somebody who is not there may be removed too.
        """
        ...


class Gateway(Protocol):
    """What a platform may ask of the core."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def store(self) -> Store:
        """For records of the platform's own kinds."""
        ...

    @property
    def blobs(self) -> Blobs: ...

    @property
    def commands(self) -> Sequence[Published]:
        """Every command as it stands now, by name."""
        ...

    @property
    def operators(self) -> Sequence[str]:
        """The operators' handles, of all networks."""
        ...

    async def receive(self, event: Event) -> FirstAnswer:
        """Durable when it returns, within 1 s. Raises Unavailable: do not acknowledge it. Repeats are harmless."""
        ...

    async def complete(self, chat: ChatRef, sender: str, command: str, option: str, typed: str) -> Sequence[Choice]:
        """What could be meant. `option` "" completes the command's name. Never stored, never raises, within 1 s."""
        ...

    async def approve(self, chat: ChatRef, sender: str, invoice: str, amount: int, currency: str) -> Refused | None:
        """A pre-checkout: None is yes. Within 5 s, never stored."""
        ...

    def connected(self, platform: str, detail: str = "") -> None:
        """The account is on line; shown in health."""
        ...


@runtime_checkable
class Platform(Protocol):
    """An account of a network. send, edit and delete are called one at a time a conversation, in order; the others at any time."""

    @property
    def name(self) -> str:
        """The account's configured name, as in `ChatRef.platform`."""
        ...

    def capabilities(self, chat: ChatRef | None = None) -> Capabilities:
        """From memory, at once. None: of the account in general."""
        ...

    async def run(self, gateway: Gateway) -> None:
        """Hold the connection until cancelled.

        Returning or raising means that it was lost: run again after a backoff. OperatorMust is said once and not run again.
        """
        ...

    async def send(self, message: Outgoing) -> Receipt:
        """Raises Retry (after seconds), Refused (never again), Gone (the chat), Uncertain (may be there: find it first)."""
        ...

    def read(self, file: FileRef) -> AsyncIterator[bytes]:
        """The bytes of a file that somebody sent. Raises Gone, Refused."""
        ...


@runtime_checkable
class Edits(Protocol):
    async def edit(self, receipt: Receipt, message: Outgoing) -> Receipt:
        """Make what was sent look like `message`. Already so: success."""
        ...


@runtime_checkable
class Deletes(Protocol):
    async def delete(self, receipt: Receipt) -> None:
        """Already gone: success."""
        ...


@runtime_checkable
class Finds(Protocol):
    async def find(self, message: Outgoing) -> Receipt | Literal["absent", "unknown"]:
        """Was the message with this key sent?"""
        ...


@runtime_checkable
class Signals(Protocol):
    async def signal(
        self, chat: ChatRef, what: Literal["busy", "seen", "done", "failed"], message_id: str = ""
    ) -> None: ...


@runtime_checkable
class Publishes(Protocol):
    async def publish(self, commands: Sequence[Published]) -> None:
        """Called at start and when the set of commands changed."""
        ...


@runtime_checkable
class OpensDirect(Protocol):
    async def direct(self, handle: str) -> ChatRef | None:
        """A direct chat with this person. None: they may not be written to."""
        ...


@runtime_checkable
class Checks(Protocol):
    async def check(self) -> Sequence[str]:
        """What its owner should mend, and how, a line each; nothing when all is well. Asked by `doctor`, also while it runs elsewhere.

        Asks the network without going on line. Raises OperatorMust, Unavailable.
        """
        ...
