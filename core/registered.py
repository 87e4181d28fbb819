"""What plugins register, taken one by one: what cannot be used is named and left out, and nobody else is touched."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from .chat.buttons import ACTIONS, NUMBERINGS
from .chat.inbox import ARRIVALS
from .chat.outbox import MESSAGES
from .chat.platform import Deletes, Edits, Finds, Platform, Signals
from .clock import Clock
from .commands.command import Command
from .commands.registry import Registry
from .errors import OperatorMust
from .generation.backend import Backend
from .generation.jobs import ATTEMPTS, CROWDS, JOBS, ORDERS, RESULTS, RUNS, WORKLOADS
from .generation.outages import OUTAGES
from .generation.roster import CLOSINGS, ROSTER
from .leases import ACCOUNTS
from .log import get_logger
from .media.made import MADE
from .media.references import BLOB_REFS, BLOBS
from .media.renditions import RENDITIONS
from .people.people import PEOPLE
from .plugins import Plugins
from .points.groups import GROUPS
from .points.ledger import BALANCES, ENTRIES, HOLDS
from .points.moves import VOUCHERS
from .points.payments import SALES
from .sessions.session import SESSIONS
from .settings import Settings
from .storage import Kind, Store
from .storage.copying import COPYINGS, refuse_half
from .supervise import reason
from .workflows.catalogue import Catalogue
from .workflows.folder import FolderSource
from .workflows.workflow import WorkflowSource

log = get_logger(__name__)

KINDS: Sequence[Kind[Any]] = (
    ACCOUNTS, ACTIONS, ARRIVALS, ATTEMPTS, BALANCES, BLOBS, BLOB_REFS, CLOSINGS, COPYINGS, CROWDS, ENTRIES, GROUPS, HOLDS, JOBS, MADE,
    MESSAGES, NUMBERINGS, ORDERS, OUTAGES, PEOPLE, RENDITIONS, RESULTS, ROSTER, RUNS, SALES, SESSIONS, VOUCHERS, WORKLOADS,
)  # fmt: skip
"""Of the core; plugins add theirs with `register_kinds`."""


def collect(
    plugins: Plugins,
    hook: str,
    kind: Any,
    take: Callable[[Any], str],
    problem: Callable[[str], None],
    settings: Settings,
) -> None:
    """Take what plugins register, and go on without what cannot be used. take: answers why it was not taken, or ""."""
    for plugin, one in plugins.collect(hook, settings=settings):
        try:
            refusal = take(one) if isinstance(one, kind) else f"{hook}: a {type(one).__name__} is no such thing"
        except Exception as error:  # noqa: BLE001 - a plugin's object is asked here for the first time
            refusal = f"{hook}: {reason(error)}"
        if refusal:
            problem(f"plugin {plugin}: {refusal}")


def add_named(known: dict[str, Any], one: Any) -> str:
    """Why it was not added, "" when it was."""
    name = one.name
    if not isinstance(name, str):
        return f"{name!r} is no name"
    if name in known:
        return f"the name {name} is taken"
    known[name] = one
    return ""


def undeclared(platform: Platform) -> str:
    """Where what a platform declares and what it can do differ; "" when they agree."""
    can = platform.capabilities()
    pairs = (
        ("edits", can.edit_text or can.edit_media, Edits),
        ("deletes", can.delete, Deletes),
        ("finds", can.finds, Finds),
        ("busy signs or reactions", can.busy or can.reactions, Signals),
    )
    for what, declared, protocol in pairs:
        if bool(declared) != isinstance(platform, protocol):
            return (
                f"{platform.name} {'declares' if declared else 'does not declare'} {what}, but its class says otherwise"
            )
    return ""


def catalogue_of(
    settings: Settings,
    plugins: Plugins,
    clock: Clock,
    commands: Iterable[Command],
    problem: Callable[[str], None] = log.error,
) -> Catalogue:
    """The operator's folder first, so that a file there takes the place of a shipped workflow; then what plugins bring.

    commands: those whose names are taken.
    """
    sources: dict[str, WorkflowSource] = {}
    collect(plugins, "register_workflow_sources", WorkflowSource, partial(add_named, sources), problem, settings)
    reserved = {name for command in commands for name in (command.name, *command.aliases)}
    return Catalogue([FolderSource(settings.workflows.folder, clock=clock), *sources.values()], reserved=reserved)


def backends_of(settings: Settings, plugins: Plugins, problem: Callable[[str], None] = log.error) -> dict[str, Backend]:
    """By name."""
    backends: dict[str, Backend] = {}
    collect(plugins, "register_backends", Backend, partial(add_named, backends), problem, settings)
    return backends


def commands_of(settings: Settings, plugins: Plugins, problem: Callable[[str], None] = log.error) -> Registry:
    """What plugins declare, without the workflows."""
    registry = Registry()

    def add(command: Command) -> str:
        try:
            registry.add(command)
        except ValueError as error:
            return str(error)
        return ""

    collect(plugins, "register_commands", Command, add, problem, settings)
    return registry


@asynccontextmanager
async def open_store_of(settings: Settings, plugins: Plugins, clock: Clock) -> AsyncIterator[Store]:
    """The configured store. Raises OperatorMust when no plugin opens such a URL, and for half of a copy."""
    async with open_store_at(settings.store, plugins, clock) as store:
        await refuse_half(store)
        yield store


@asynccontextmanager
async def open_store_at(url: str, plugins: Plugins, clock: Clock) -> AsyncIterator[Store]:
    """The store with this URL. Raises OperatorMust when no plugin opens such a URL."""
    kinds, openers = plugins.kinds(KINDS), plugins.stores()
    scheme = url.partition(":")[0]
    if scheme not in openers:
        known = ", ".join(sorted(openers)) or "none"
        raise OperatorMust(
            f"store: no plugin opens {scheme}: URLs; known are {known}. Install or switch on its plugin."
        )
    async with openers[scheme](url, kinds, clock) as store:
        yield store
