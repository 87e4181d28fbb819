"""What a button carries: a verb on a job, a stored action or an input of one, or the answer to a question.

It lives as long as what it belongs to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from ..keys import token
from ..storage import Kind, Query, Record, Time, Tx
from .messages import FileRef, Value

Verb = Literal["again", "vary", "tweak", "upscale", "original", "info", "hide", "up", "down", "cancel", "stop", "show"]
"""cancel: this job. stop: every job of its order."""
PLACE = re.compile(r"[0-9]{1,4}", re.ASCII)
VERBS: Mapping[str, Verb] = {verb: verb for verb in get_args(Verb)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnJob:
    """`j.<job>.<verb>`"""

    job: str
    verb: Verb

    @property
    def payload(self) -> str:
        return f"j.{self.job}.{self.verb}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """`a.<22 characters>`: the key of an `Action`."""

    key: str

    @property
    def payload(self) -> str:
        return f"a.{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnInput:
    """`i.<22 characters>.<n>`: an option of the command of an `Action`, by its place."""

    key: str
    n: int

    @property
    def payload(self) -> str:
        return f"i.{self.key}.{self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """`c.<22 characters>.<n>`: one of the answers to an open question, by its place."""

    key: str
    n: int

    @property
    def payload(self) -> str:
        return f"c.{self.key}.{self.n}"


def read(payload: str) -> OnJob | Stored | OnInput | Picked | None:
    """What a payload means; None for one that is not ours."""
    match payload.split("."):
        case ["j", job, verb] if job and verb in VERBS:
            return OnJob(job=job, verb=VERBS[verb])
        case ["a", key] if key:
            return Stored(key=key)
        case ["i", key, n] if key and PLACE.fullmatch(n):
            return OnInput(key=key, n=int(n))
        case ["c", key, n] if key and PLACE.fullmatch(n):
            return Picked(key=key, n=int(n))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Record):
    """A command with its options, ready to be called by a button or a form.

    more: files beside the one that the command works on. person: who alone may use it, "" for everybody. once: it goes when it
    was used.
    """

    command: str
    values: Mapping[str, Value] = field(default_factory=dict)
    more: tuple[FileRef, ...] = ()
    person: str = ""
    once: bool = False
    created: Time


ACTIONS = Kind(name="actions", record=Action, queries=(Query((), "created"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering(Record):
    """Where buttons are numbers: what each number of the conversation's latest menu stands for.

    key: the conversation. message: the key of the outbox row that carries the menu.
    """

    payloads: tuple[str, ...]
    message: str = ""


NUMBERINGS = Kind(name="numberings", record=Numbering)


async def store_action(
    tx: Tx,
    command: str,
    values: Mapping[str, Value],
    *,
    more: tuple[FileRef, ...] = (),
    person: str = "",
    once: bool = False,
    key: str = "",
) -> Stored:
    """Keep a call for later; its payload fits every network's button."""
    key = key or token()
    action = Action(key=key, command=command, values=values, more=more, person=person, once=once, created=tx.now)
    await tx.insert(ACTIONS, action)
    return Stored(key=key)
