"""Every hook, in the order of a gateway's and a message's life. The long text for plugin authors is docs/plugins.md.

None always means "nothing to say". Hooks that register are plain functions, called once at start; the rest may be `async def`.
`answers` in `plugins.py` is the one place that awaits plugin code, with a time limit, and isolates its errors.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import pluggy
from pydantic import BaseModel

from .chat.messages import Event
from .chat.platform import Gateway, Platform
from .commands.command import Command
from .generation.backend import Backend
from .generation.jobs import Job
from .people.people import Person
from .points.ledger import Entry
from .points.payments import Payments
from .storage import Kind, StoreOpener
from .workflows.workflow import WorkflowSource

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from .settings import Settings

T = TypeVar("T")
Register: TypeAlias = Callable[[T], None]
Maybe: TypeAlias = Awaitable[T | None] | T | None

hookspec = pluggy.HookspecMarker("chatelier")
hookimpl = pluggy.HookimplMarker("chatelier")


@hookspec
def register_settings(register: Callable[[str, type[BaseModel]], None]) -> None:
    """Claim a section of the config ("backends.comfyui") with the model that checks it. Before all else; cheap to import."""


@hookspec
def register_kinds(register: "Register[Kind[Any]]") -> None:
    """Declare kinds of records of your own, before the store opens."""


@hookspec
def register_stores(register: Callable[[str, StoreOpener], None]) -> None:
    """Offer a store engine for a URL scheme ("sqlite")."""


@hookspec
def register_platforms(register: "Register[Platform]", settings: "Settings") -> None:
    """Add accounts of a chat network. Nothing connects before `Platform.run`; SDKs are imported here or later."""


@hookspec
def register_backends(register: "Register[Backend]", settings: "Settings") -> None:
    """Add servers or accounts that run workflows."""


@hookspec
def register_workflow_sources(register: "Register[WorkflowSource]", settings: "Settings") -> None:
    """Add places that workflows come from."""


@hookspec
def register_commands(register: "Register[Command]", settings: "Settings") -> None:
    """Add commands. A name twice: the second is refused and named in `doctor`."""


@hookspec
def register_payments(register: "Register[Payments]", settings: "Settings") -> None:
    """Add ways to buy points."""


@hookspec
def register_routes(register: "Register[BaseRoute]", settings: "Settings") -> None:
    """Add Starlette routes to the one port. Host and Origin are checked before they are reached."""


@hookspec
def lifespan(gateway: Gateway, settings: "Settings") -> "AbstractAsyncContextManager[None] | None":
    """Entered after the store opens, left before it closes: tasks of a plugin live here. An error switches the plugin off."""


@hookspec
def admit(event: Event, command: str) -> Maybe[str]:
    """May this person call this command now? Words to refuse with; None to let it pass. Error or 2 s: refused, "try again"."""


@hookspec
def tier(person: Person) -> Maybe[str]:
    """The person's tier, a name under `tiers` in the config. The first answer counts. Error or 2 s: no tier."""


@hookspec
def holding(person: Person) -> Maybe[int]:
    """What the person holds, 0 or more: it makes their allowance larger. All answers are added, and kept for 15 minutes."""


@hookspec
def price(job: Job) -> Maybe[int]:
    """Millipoints that this run costs, in place of the workflow's own price. The first answer counts; it is charged as it is."""


@hookspec
def job_changed(job: Job, before: Job) -> Maybe[None]:
    """This process moved a job from one state to another. For watching: told afterwards, at most once."""


@hookspec
def points_moved(entry: Entry) -> Maybe[None]:
    """This process entered something into the ledger. For watching: told afterwards, at most once."""


@hookspec
def backend_changed(backend: str, state: Literal["down", "up"], since: datetime, reason: str) -> Maybe[None]:
    """A backend was down for `limits.backend_down_minutes`, or is up again after that. Told afterwards, at most once."""


HOOKS: Sequence[str] = (
    "register_settings",
    "register_kinds",
    "register_stores",
    "register_platforms",
    "register_backends",
    "register_workflow_sources",
    "register_commands",
    "register_payments",
    "register_routes",
    "lifespan",
    "admit",
    "tier",
    "holding",
    "price",
    "job_changed",
    "points_moved",
    "backend_changed",
)
