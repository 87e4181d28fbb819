"""One call of a command: what the handler is given, and the one way to answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..chat import words as chat_words
from ..chat.buttons import ACTIONS
from ..chat.inbox import Arrival, conversation, finish
from ..chat.markup import escape
from ..chat.messages import ChatRef, Event, FileRef, Media, Reply
from ..chat.outbox import Address, post
from ..errors import BadInput
from ..media.blob import Blob
from ..media.made import note_made
from ..people.people import Person
from ..sessions.session import Session, close_question
from ..storage import Tx
from . import words
from .command import Command

if TYPE_CHECKING:
    from ..gateway import Runtime

Work = Callable[[Tx], Awaitable[Reply | None]]
"""What it returns is said, too: words that only the transaction knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """values: by option name, checked against the declaration; a file option holds a Blob by now.

    operator: the sender is one of the configured operators. runtime: the gateway's services.
    more: files that came beside the one of the option that is the `subject`, unread.
    action: the stored action that is used up by the answer, or "". answers: it came as the answer to an open question.
    answered: set as soon as the answer is stored; the copies of a call share it.
    """

    event: Event
    person: Person
    session: Session
    command: Command
    values: Mapping[str, Any]
    operator: bool
    runtime: "Runtime"
    arrival: Arrival
    more: tuple[FileRef, ...] = ()
    action: str = ""
    answers: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def chat(self) -> ChatRef:
        return self.event.chat

    @property
    def conversation(self) -> str:
        return conversation(self.event.chat)

    @property
    def address(self) -> Address:
        """Where answers go."""
        return Address.of(self.event)

    async def commit(self, work: Work | None = None, *replies: Reply) -> None:
        """Records, replies and the mark *handled* in one transaction; an open question that it answers goes with it.

        A handler ends in exactly one of these.
        What `work` raises is raised here and nothing is kept. Raises Lost when another process handles the event by now.
        """

        await self._commit(work, replies, closes=self.answers)

    async def files(self, option: str, most: int) -> tuple[Blob, ...]:
        """The file of the option that is the `subject`, and those beside it. Raises BadInput when there are more than `most`.

        With `most` 1 it is the first one, whatever stands beside it.
        """
        if most == 1:
            return (self.values[option],)
        if len(self.more) >= most:
            raise BadInput(words.too_many_files(len(self.more) + 1, most))
        kind = next(one.type for one in self.command.options if one.name == option)
        return (self.values[option], *[await self.runtime.intake.read(file, kind) for file in self.more])

    async def give(self, media: Sequence[Media], text: str = "", *, quote: bool = True) -> None:
        """Commit with files that this call made; they are kept as long as results are, and are the person's newest."""

        async def work(tx: Tx) -> None:
            await note_made(tx, self.arrival.key, self.person.key, [each.blob for each in media])

        await self.commit(work, Reply(text=text, media=tuple(media), quote=quote))

    async def refuse(self, words: str, *, closes: bool = False) -> None:
        """Answer with words alone, and note them at the event: what was asked for was not done.

        closes: the open question goes all the same.
        """
        await self._commit(None, (Reply(text=escape(words), private=True),), words, closes=closes)

    async def ask(self, work: Work, question: Reply) -> None:
        """Answer with a question; the event is noted as one that is still to be answered."""
        await self._commit(work, (question,), question.text)

    async def _commit(
        self, work: Work | None, replies: tuple[Reply, ...], words: str = "", *, closes: bool = False
    ) -> None:
        async def everything(tx: Tx) -> None:
            await finish(tx, self.arrival, self.runtime.owner, words=words)
            if self.action and not await tx.delete(ACTIONS, self.action):
                raise BadInput(chat_words.BUTTON_GONE)
            if closes:
                await close_question(tx, self.person.key, self.conversation)
            said = await work(tx) if work is not None else None
            await post(
                tx,
                self.address,
                (*replies, said) if said else replies,
                cause=f"answer {self.arrival.key}",
                event=self.arrival.key,
                begin=self.runtime.begin,
            )

        await self.runtime.store.atomically(everything)
        self.answered.set()
