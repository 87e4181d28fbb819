"""A person's session: the last runs, and the question that is open in each conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..chat.messages import FileRef, Value
from ..storage import Kind, Reads, Record, Time, Tx
from ..values import replace

LAST_RUNS = 5
QUESTION_SECONDS = 60
"""How long an open question waits for its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: this option of this command, with what is known so far. until: then it lapses.

    more: files beside the one that the command works on. key: of its buttons, "" where it has none.
    menu: the answer changes a menu of inputs, which is shown again.
    """

    command: str
    option: str
    values: Mapping[str, Value]
    until: Time
    more: tuple[FileRef, ...] = ()
    key: str = ""
    menu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Record):
    """key: the person's. runs: jobs, the newest first. questions: by conversation."""

    runs: tuple[str, ...] = ()
    questions: Mapping[str, Question] = field(default_factory=dict)


SESSIONS = Kind(name="sessions", record=Session)


async def session_of(reads: Reads, person: str) -> Session:
    """The stored session, or an empty one that is not stored yet (version 0)."""
    return await reads.get(SESSIONS, person) or Session(key=person)


async def save(tx: Tx, session: Session) -> Session:
    """Insert or replace, by the version it was read with."""
    return await (tx.replace(SESSIONS, session) if session.version else tx.insert(SESSIONS, session))


async def remember_run(tx: Tx, person: str, job: str) -> None:
    """Put a finished job first among the last five."""
    session = await session_of(tx, person)
    runs = (job, *(run for run in session.runs if run != job))[:LAST_RUNS]
    await save(tx, replace(session, runs=runs))


async def ask(
    tx: Tx,
    person: str,
    conversation: str,
    command: str,
    option: str,
    values: Mapping[str, Value],
    *,
    more: tuple[FileRef, ...] = (),
    key: str = "",
    menu: bool = False,
) -> None:
    """Open a question in this conversation; it takes the place of an older one."""
    session = await session_of(tx, person)
    until = tx.now + timedelta(seconds=QUESTION_SECONDS)
    question = Question(command=command, option=option, values=values, more=more, until=until, key=key, menu=menu)
    await save(tx, replace(session, questions={**open_questions(session, tx.now), conversation: question}))


async def close_question(tx: Tx, person: str, conversation: str) -> bool:
    """Take the question of this conversation away. False when there was none."""
    session = await session_of(tx, person)
    if conversation not in session.questions:
        return False
    left = {where: question for where, question in session.questions.items() if where != conversation}
    await save(tx, replace(session, questions=left))
    return True


def open_questions(session: Session, now: datetime) -> dict[str, Question]:
    """Questions that did not lapse."""
    return {where: question for where, question in session.questions.items() if question.until > now}
