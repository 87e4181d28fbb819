"""Events become answers: once each, in order, with everybody's rights, whatever goes wrong."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chatelier import (
    JOBS,
    Ask,
    BadInput,
    Button,
    ButtonRules,
    Call,
    Called,
    Capabilities,
    ChatChanged,
    Choice,
    Command,
    Defer,
    Event,
    FileRef,
    FirstAnswer,
    Gone,
    Input,
    Job,
    Loaded,
    OnJob,
    Option,
    Outgoing,
    Paid,
    Pressed,
    Receipt,
    Refused,
    Reply,
    Said,
    Submitted,
    Tx,
    Unavailable,
    Workflow,
    WorkflowSource,
    hookimpl,
    outcome_of,
    store_action,
)
from chatelier.core.chat import words as chat_words
from chatelier.core.chat.inbox import ARRIVALS, Arrival
from chatelier.core.chat.outbox import MESSAGES
from chatelier.core.commands import words as command_words
from chatelier.core.gateway import Runtime
from chatelier.core.generation import words
from chatelier.core.generation.jobs import ORDERS, RESULTS
from chatelier.core.media.references import BLOBS
from chatelier.core.outcome import job_of
from chatelier.core.registered import KINDS
from chatelier.core.testing.backend import PIXEL, FakeBackend
from chatelier.core.testing.clock import FakeClock, settle
from chatelier.core.testing.gateway import PICTURE, Parts, running
from chatelier.core.testing.logs import sent_to
from chatelier.core.testing.platform import ROOMY, FakePlatform, with_capabilities
from chatelier.core.testing.store import FakeStore
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.plugins.sqlite import Plugin as Sqlite

EFFECT = Workflow(
    name="effect",
    version="1" * 16,
    title="Effect",
    description="A picture from a picture.",
    category="image to image",
    graph={"1": {"class_type": "FakeImage", "inputs": {"text": "", "seed": 0, "image": ""}}},
    inputs=(
        Input(name="image", type="image", targets=(("1", "image"),), role="image", required=True),
        Input(name="prompt", type="text", targets=(("1", "text"),), role="prompt", default="oil"),
    ),
    outputs=("1",),
)


@dataclass
class Studio:
    """A gateway, its network and its server, and people who use it."""

    runtime: Runtime
    network: FakePlatform
    backend: FakeBackend
    clock: FakeClock | None

    async def say(self, text: str = "", *, sender: str = "ada", chat: str = "room", **more: Any) -> FirstAnswer:
        return await self.network.receive(self.network.event(Said(text=text, **more), sender=sender, chat=chat))

    async def press(self, payload: str, *, sender: str = "ada", message: str = "", chat: str = "room") -> FirstAnswer:
        body = Pressed(payload=payload, message_id=message)
        return await self.network.receive(self.network.event(body, sender=sender, chat=chat))

    async def submit(self, form: str, sender: str = "ada", **values: Any) -> FirstAnswer:
        return await self.network.receive(self.network.event(Submitted(form=form, values=values), sender=sender))

    async def answer(self, to: Awaitable[FirstAnswer]) -> str:
        """What is shown newly because of this."""
        before = len(self.network.shown)
        await to
        await self.network.until(lambda: len(self.network.shown) > before)
        return self.network.last.text

    async def picture(self, text: str = "/make a fox", sender: str = "ada") -> str:
        """A job that is done; its result is the last message."""
        before = len(self.network.shown)
        await self.say(text, sender=sender)
        await self.network.until(lambda: len(self.network.shown) > before and self.network.last.message.media)
        return self.network.last.button("again").split(".")[1]

    async def job(self, key: str) -> Job:
        job = await self.runtime.store.get(JOBS, key)
        assert job is not None
        return job

    async def jobs(self) -> list[Job]:
        return await self.runtime.store.find(JOBS, order="created", limit=1_000)

    async def arrivals(self) -> list[Arrival]:
        return await self.runtime.store.find(ARRIVALS, order="received", limit=1_000)

    async def pass_time(self, seconds: float) -> None:
        assert self.clock is not None
        await self.clock.advance(seconds)
        for _ in range(4):
            await settle()


@asynccontextmanager
async def studio(
    folder: Path,
    *plugins: object,
    commands: Sequence[Command] = (),
    can: Capabilities = ROOMY,
    hold: bool = False,
    clock: FakeClock | None = None,
    store: FakeStore | None = None,
    store_url: str = "memory:",
    network: FakePlatform | None = None,
    **settings: Any,
) -> AsyncIterator[Studio]:
    network = network or FakePlatform(can=can)
    backend = FakeBackend(hold=hold)
    parts = Parts([network], [backend], [PICTURE, EFFECT], commands, store)
    chosen = {"store": store_url, **settings}
    async with running(folder, parts, Essentials, *plugins, clock=clock, settings=chosen) as runtime:
        await network.until(lambda: network.gateway is runtime)
        yield Studio(runtime, network, backend, clock)


@dataclass
class Gate:
    """A command whose handler waits until it is let through. calls: the texts it was called with, in order."""

    command_options: dict[str, Any] = field(default_factory=dict)
    name: str = "wait"
    calls: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def command(self) -> Command:
        option = Option(name="text", rest=True)
        return Command(name=self.name, summary="Waits.", handler=self.handle, options=(option,), **self.command_options)

    async def until(self, calls: int) -> None:
        while len(self.calls) < calls:
            self.begun.clear()
            await self.begun.wait()

    async def handle(self, call: Call) -> None:
        text = str(call.values.get("text"))
        self.calls.append(text)
        self.begun.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.stopped.append(text)
            raise
        await call.commit(None, Reply(text=f"waited for {text}"))


class Strange(BaseException):
    """Of a plugin's own, and caught by nothing that catches errors."""


def failing(error: BaseException, seen: list[str]) -> Command:
    async def handler(call: Call) -> None:
        seen.append(call.arrival.key)
        raise error

    return Command(name="fail", summary="Fails.", handler=handler)


# --- taking in


async def test_an_event_is_stored_before_the_network_may_forget_it(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, commands=[gate.command]) as at:
        assert await at.say("/wait x") == Defer(private=False)
        (arrival,) = await at.arrivals()
        assert (arrival.state, arrival.tries) == ("new", 1)
        gate.open.set()
        await at.network.until(lambda: at.network.shown)
        (arrival,) = await at.arrivals()
        assert (arrival.state, arrival.owner, arrival.due) == ("handled", "", None)


async def test_a_private_command_is_known_to_be_private_at_once(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        assert await at.say("/status") == Defer(private=True)
        called = at.network.event(Called(command="status"))
        assert await at.network.receive(called) == Defer(private=True)
        assert await at.say("/nothing_like_it") == Defer()


async def test_repeats_are_handled_once(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        event = at.network.event(Said(text="/make a fox"))
        for _ in range(11):
            await at.network.receive(event)
        for n in range(2):
            await at.network.receive(replace(event, keys=(f"another id {n}", event.keys[1])))
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        await at.answer(at.say("/help make"))
        assert len(await at.jobs()) == 1
        assert len(at.network.shown) == 2


async def test_a_store_that_is_away_means_that_nothing_is_acknowledged(tmp_path: Path) -> None:
    store = FakeStore(KINDS)
    async with studio(tmp_path, store=store) as at:
        event = at.network.event(Said(text="/help"))
        store.trouble = Unavailable("away")
        with pytest.raises(Unavailable):
            await at.network.receive(event)
        store.trouble = None
        assert "make" in await at.answer(at.network.receive(event))


async def test_a_store_that_goes_away_in_between_delays_the_answer(tmp_path: Path) -> None:
    clock = FakeClock()
    store = FakeStore(KINDS, clock)

    async def lose_the_store(call: Call) -> None:
        store.trouble = Unavailable("away")
        await call.commit(None, Reply(text="done"))

    command = Command(name="lose", summary="Loses the store.", handler=lose_the_store)
    async with studio(tmp_path, store=store, clock=clock, commands=[command]) as at:
        await at.say("/lose")
        await at.pass_time(12)
        store.trouble = None
        assert at.network.texts == []
        await at.say("/help")
        await at.pass_time(1)
        assert len(at.network.texts) == 1


async def test_too_many_waiting_events_are_told_to_come_back(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, commands=[gate.command], limits={"busy_events": 2}) as at:
        await at.say("/wait 1")
        await at.say("/wait 2", sender="bob")
        with pytest.raises(Unavailable, match="busy"):
            await at.say("/wait 3", sender="eve")
        gate.open.set()
        await at.network.until(lambda: len(at.network.shown) == 2)
        await at.answer(at.say("/help", sender="eve"))


async def test_of_twenty_messages_at_once_as_many_are_taken_as_may_wait(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, commands=[gate.command], limits={"busy_events": 3}) as at:
        said = (at.say(f"/wait {n}", sender=f"person{n}") for n in range(20))
        told = await asyncio.gather(*said, return_exceptions=True)
        assert sum(isinstance(each, Unavailable) for each in told) == 17
        gate.open.set()
        await at.network.until(lambda: len(at.network.shown) == 3)


async def test_words_that_are_no_command_are_answered_in_direct_chats_only(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        assert await at.answer(at.say("hello")) == command_words.PLAIN_WORDS
        await at.network.receive(at.network.event(Said(text="hello"), chat="group", direct=False))
        await at.network.receive(at.network.event(ChatChanged(what="joined"), chat="group", direct=False))
        await at.answer(at.say("/help", chat="group"))
        assert len(at.network.shown) == 2


async def test_what_cannot_be_understood_is_answered_in_words(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        assert "make" in await at.answer(at.say("/mkae a fox"))
        assert "seed" in await at.answer(at.say("/make a fox --seed many"))
        called = at.network.event(Called(command="make", options={"prompt": "x", "colour": "red"}))
        assert "colour" in await at.answer(at.network.receive(called))
        called = at.network.event(Called(command="nothing"))
        assert "nothing" in await at.answer(at.network.receive(called))
        assert await at.answer(at.press("strange")) == chat_words.BUTTON_GONE
        assert await at.jobs() == []


# --- trouble


async def test_an_event_that_fails_three_times_is_set_aside_and_the_next_ones_pass(tmp_path: Path) -> None:
    seen: list[str] = []
    async with studio(tmp_path, clock=FakeClock(), commands=[failing(RuntimeError("boom"), seen)]) as at:
        await at.say("/fail")
        await at.say("/help")
        await at.pass_time(1)
        assert len(at.network.texts) == 1, "the next one does not wait"
        await at.pass_time(30)
        assert len(seen) == 3
        assert at.network.texts[1:] == [chat_words.SET_ASIDE]
        aside = [arrival for arrival in await at.arrivals() if arrival.state == "aside"]
        assert [arrival.words for arrival in aside] == ["RuntimeError: boom"]
        outcome = await outcome_of(at.runtime, "fake", aside[0].event.keys[0])
        assert outcome.state == "set aside"


@pytest.mark.parametrize("error", [SystemExit(4), GeneratorExit(), Strange("odd"), asyncio.CancelledError()])
async def test_a_handler_that_would_end_the_program_fails_like_any_other(tmp_path: Path, error: BaseException) -> None:
    seen: list[str] = []
    async with studio(tmp_path, clock=FakeClock(), commands=[failing(error, seen)]) as at:
        await at.say("/fail")
        await at.pass_time(30)
        assert len(seen) == 3
        assert at.network.texts == [chat_words.SET_ASIDE]
        await at.say("/help")
        await at.pass_time(1)
        assert len(at.network.texts) == 2


async def test_a_handler_that_answers_nothing_has_failed_at_once_and_is_named(tmp_path: Path) -> None:
    async def silent(call: Call) -> None: ...

    log = io.StringIO()
    with sent_to(log):
        async with studio(
            tmp_path, clock=FakeClock(), commands=[Command(name="mute", summary="Says nothing.", handler=silent)]
        ) as at:
            await at.say("/mute")
            await at.pass_time(10)
            assert at.network.texts == [chat_words.SET_ASIDE], "no lease has lapsed by then"
    assert "/mute" in log.getvalue()


async def test_an_event_whose_handler_takes_too_long_is_not_tried_again(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, clock=FakeClock(), commands=[gate.command]) as at:
        await at.say("/wait for ever")
        await at.say("/help")
        await at.pass_time(400)
        assert gate.calls == ["for ever"], "it would take as long once more"
        assert at.network.texts.count(chat_words.TOO_LONG) == 1
        assert len(at.network.texts) == 2, "the next one is answered"


async def test_an_event_that_kills_its_process_three_times_is_set_aside(tmp_path: Path) -> None:
    clock = FakeClock()
    store = FakeStore(KINDS, clock)
    gate = Gate()
    async with studio(tmp_path, clock=clock, store=store, commands=[gate.command]) as at:
        event = at.network.event(Said(text="/wait"))
        dead = replace(await at.runtime.inbox.accept(event), owner="dead", tries=3)
        await store.atomically(lambda tx: tx.replace(ARRIVALS, dead))
        await at.pass_time(36)
        assert at.network.texts == [chat_words.SET_ASIDE]
        assert gate.calls == []


async def test_a_payment_is_never_set_aside(tmp_path: Path) -> None:
    clock = FakeClock()
    store = FakeStore(KINDS, clock)
    async with studio(tmp_path, clock=clock, store=store) as at:
        event = at.network.event(Paid(invoice="nobody's", charge="c1", amount=5, currency="XTR"))
        dead = replace(await at.runtime.inbox.accept(event), owner="dead", tries=3)
        await store.atomically(lambda tx: tx.replace(ARRIVALS, dead))
        await at.pass_time(36)
        (text,) = at.network.texts
        assert "fake:c1" in text


async def test_an_event_whose_process_died_is_handled_by_the_next_one(tmp_path: Path) -> None:
    async with studio(tmp_path, clock=FakeClock()) as at:
        await at.runtime.inbox.accept(at.network.event(Said(text="/help")))
        await at.pass_time(29)
        assert at.network.texts == []
        await at.pass_time(6)
        assert len(at.network.texts) == 1


async def test_a_handler_may_take_longer_than_a_lease(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, clock=FakeClock(), commands=[gate.command]) as at:
        await at.say("/wait 1")
        await at.say("/wait 2")
        await at.pass_time(100)
        assert gate.calls == ["1"]
        gate.open.set()
        await at.pass_time(1)
        assert at.network.texts == ["waited for 1", "waited for 2"]
        assert [arrival.tries for arrival in await at.arrivals()] == [1, 1]


@pytest.mark.parametrize("error", [BadInput("not *this*"), Refused("not *this*"), Gone("not *this*")])
async def test_what_a_handler_refuses_is_said_once(tmp_path: Path, error: Exception) -> None:
    seen: list[str] = []
    async with studio(tmp_path, commands=[failing(error, seen)]) as at:
        event = at.network.event(Said(text="/fail"))
        assert await at.answer(at.network.receive(event)) == "not *this*"
        assert len(seen) == 1
        assert (await outcome_of(at.runtime, "fake", event.keys[0])).state == "refused"


async def test_what_a_stop_cut_off_is_handled_at_the_next_start(tmp_path: Path) -> None:
    store, network = FakeStore(KINDS), FakePlatform()
    gate, again = Gate(), Gate()
    again.open.set()
    async with studio(tmp_path, store=store, network=network, commands=[gate.command]) as at:
        await at.say("/wait x")
        await gate.begun.wait()
        await at.runtime.handling.stop()
        assert gate.stopped == ["x"]
    async with studio(tmp_path, store=store, network=network, commands=[again.command]) as at:
        await network.until(lambda: network.shown)
        (arrival,) = await at.arrivals()
        assert (network.texts, arrival.tries) == (["waited for x"], 1)


# --- order and overlap


async def test_a_persons_messages_in_a_conversation_are_handled_one_after_the_other(tmp_path: Path) -> None:
    gate = Gate()
    async with studio(tmp_path, commands=[gate.command]) as at:
        await at.say("/wait 1")
        await at.say("/status")  # goes on beside it, and does not let the next one pass
        await at.say("/wait 2")
        await at.say("/wait 3", chat="elsewhere")
        await at.say("/wait 4", sender="bob")
        await at.network.until(lambda: at.network.shown)
        await gate.until(3)
        assert sorted(gate.calls) == ["1", "3", "4"]
        gate.open.set()
        await at.network.until(lambda: len(at.network.shown) == 5)
        assert gate.calls[-1] == "2"


async def test_a_command_may_take_the_place_of_all_that_is_under_way(tmp_path: Path) -> None:
    gate = Gate({"overlap": "replace"})
    async with studio(tmp_path, clock=FakeClock(), commands=[gate.command]) as at:
        for n in range(1, 5):
            await at.say(f"/wait {n}")
            if n == 1:
                await gate.begun.wait()
        await at.pass_time(1)
        gate.open.set()
        await at.pass_time(120)
        assert at.network.texts == ["waited for 4"]
        assert gate.stopped == ["1"]
        assert [arrival.state for arrival in await at.arrivals()] == ["handled"] * 4


async def test_a_command_may_go_on_beside_another_one(tmp_path: Path) -> None:
    gate = Gate({"overlap": "concurrent"})
    async with studio(tmp_path, commands=[gate.command]) as at:
        for n in (1, 2):
            await at.say(f"/wait {n}")
            await gate.begun.wait()
            gate.begun.clear()
        assert gate.calls == ["1", "2"]
        gate.open.set()
        await at.network.until(lambda: len(at.network.shown) == 2)


# --- questions and forms


async def test_what_is_missing_is_asked_for_and_the_next_message_answers(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        assert "prompt" in await at.answer(at.say("/make --seed 7"))
        await at.picture("a red fox")
        (job,) = await at.jobs()
        assert (job.values["prompt"], job.values["seed"]) == ("a red fox", 7)
        assert await at.answer(at.say("another fox")) == command_words.PLAIN_WORDS


async def test_a_question_is_of_one_person_in_one_conversation(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        await at.answer(at.say("/make"))
        assert await at.answer(at.say("hello", sender="bob")) == command_words.PLAIN_WORDS
        assert await at.answer(at.say("hello", chat="elsewhere")) == command_words.PLAIN_WORDS
        await at.answer(at.say("/quit"))
        assert await at.answer(at.say("hello")) == command_words.PLAIN_WORDS
        assert await at.jobs() == []


async def test_a_question_lapses_after_a_minute(tmp_path: Path) -> None:
    async with studio(tmp_path, clock=FakeClock()) as at:
        await at.say("/make")
        await at.pass_time(61)
        await at.say("a fox")
        await at.pass_time(1)
        await at.say("a fox")
        await at.pass_time(1)
        assert at.network.texts[1:] == [chat_words.QUESTION_LAPSED, command_words.PLAIN_WORDS]
        assert await at.jobs() == []


async def test_two_missing_things_are_asked_for_one_at_a_time(tmp_path: Path) -> None:
    said: list[Any] = []

    async def handler(call: Call) -> None:
        said.append(dict(call.values))
        await call.commit(None, Reply(text="thanks"))

    options = (Option(name="width", type="integer", required=True), Option(name="name", required=True))
    async with studio(tmp_path, commands=[Command(name="two", summary="x", handler=handler, options=options)]) as at:
        assert "width" in await at.answer(at.say("/two"))
        assert "width" in await at.answer(at.say("wide")), "an answer that cannot be used is said to be so"
        assert "width" in await at.answer(at.say("/two"))
        assert "name" in await at.answer(at.say("512"))
        assert await at.answer(at.say("ada")) == "thanks"
        assert said == [{"width": 512, "name": "ada"}]


FORMS = with_capabilities(forms=True, typed_options=True)


async def test_where_there_are_forms_the_first_answer_is_one(tmp_path: Path) -> None:
    async with studio(tmp_path, can=FORMS) as at:
        event = at.network.event(Called(command="make", options={"seed": 5}))
        asking = await at.network.receive(event)
        assert isinstance(asking, Ask)
        assert asking.form.values == {"seed": 5}
        assert await at.network.receive(event) == asking, "the answer to the first one was never heard"
        assert chat_words.NOT_YOURS in await at.answer(at.submit(asking.form.key, sender="bob", prompt="mine"))
        assert "seed" in await at.answer(at.submit(asking.form.key, prompt="a fox", seed="many"))
        before = len(at.network.shown)
        await at.submit(asking.form.key, prompt="a fox")
        await at.network.until(lambda: len(at.network.shown) > before and at.network.last.message.media)
        assert await at.answer(at.submit(asking.form.key, prompt="once more")) == chat_words.BUTTON_GONE
        assert await at.network.receive(event) is None, "a repeat of what was answered asks for nothing"
        assert await at.answer(at.say("one more")) == command_words.PLAIN_WORDS, "no question is left open"
        (job,) = await at.jobs()
        assert (job.values["prompt"], job.values["seed"]) == ("a fox", 5)


async def test_a_form_that_was_closed_can_be_answered_in_a_message(tmp_path: Path) -> None:
    async with studio(tmp_path, can=FORMS) as at:
        asking = await at.network.receive(at.network.event(Called(command="make", options={"seed": 5})))
        assert isinstance(asking, Ask)
        await at.say("a fox")
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        (job,) = await at.jobs()
        assert (job.values["prompt"], job.values["seed"]) == ("a fox", 5)


async def test_numbers_do_all_that_buttons_do(tmp_path: Path) -> None:
    async with studio(tmp_path, can=replace(FORMS, buttons=ButtonRules())) as at:
        await at.say("/make a fox")
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        menu = [line.partition(". ") for line in at.network.last.text.splitlines() if ". " in line]
        numbers = {label.split()[-1]: number for number, _, label in menu}
        asking = await at.say(numbers["Tweak"])
        assert isinstance(asking, Ask)
        assert asking.form.values["prompt"] == "a fox"
        await at.say(numbers["Hide"])
        await at.network.until(lambda: words.HIDDEN in at.network.last.text and not at.network.last.message.media)
        (arrival,) = [one for one in await at.arrivals() if isinstance(one.event.body, Said)]
        assert arrival.event.body == Said(text="/make a fox")


class Hasty(FakePlatform):
    """Where people answer a message before the network has said that it arrived."""

    answered = False

    async def send(self, message: Outgoing) -> Receipt:
        receipt = await super().send(message)
        menu = {line.split()[-1]: line.partition(".")[0] for line in self.last.text.splitlines() if ". " in line}
        if "Hide" in menu and not self.answered:
            self.answered = True
            event = self.event(Said(text=menu["Hide"]))
            await self.receive(event)
            assert isinstance(self.gateway, Runtime)
            await job_of(self.gateway, "fake", event.keys[0])
        return receipt


async def test_a_number_counts_before_the_network_has_confirmed_its_message(tmp_path: Path) -> None:
    network = Hasty(can=replace(FORMS, buttons=ButtonRules(), edit_media=False))
    async with studio(tmp_path, network=network) as at:
        await at.say("/make a fox")
        await network.until(lambda: network.shown and words.HIDDEN in network.last.text)
        assert not network.last.message.media


async def test_what_is_no_command_counts_as_not_done(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        event = at.network.event(Said(text="make a fox"))
        await at.answer(at.network.receive(event))
        assert (await outcome_of(at.runtime, "fake", event.keys[0])).state == "refused"


async def test_a_form_that_is_sent_in_twice_at_once_is_one_order(tmp_path: Path) -> None:
    async with studio(tmp_path, can=FORMS) as at:
        asking = await at.network.receive(at.network.event(Called(command="make")))
        assert isinstance(asking, Ask)
        events = [
            at.network.event(Submitted(form=asking.form.key, values={"prompt": "a fox"}), chat=f"tab {n}")
            for n in range(5)
        ]
        await asyncio.gather(*(at.network.receive(event) for event in events))
        await at.network.until(lambda: at.network.texts.count(chat_words.BUTTON_GONE) == 4)
        assert len(await at.jobs()) == 1


async def test_tweak_is_a_form_with_what_was_used(tmp_path: Path) -> None:
    async with studio(tmp_path, can=FORMS) as at:
        key = await at.picture()
        asking = await at.press(OnJob(job=key, verb="tweak").payload, sender="bob")
        assert isinstance(asking, Ask)
        assert asking.form.values["prompt"] == "a fox"
        await at.submit(asking.form.key, sender="bob", prompt="two foxes", seed="3")
        await at.network.until(lambda: len(at.network.shown) == 2 and at.network.last.message.media)
        first, second = await at.jobs()
        assert second.values == {"prompt": "two foxes", "seed": 3}
        assert first.person != second.person, "it is an order of who pressed"


# --- buttons


async def test_a_button_of_a_stored_action_works_for_whom_it_is_meant(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:

        async def store(tx: Tx) -> list[str]:
            for_all = await store_action(tx, "help", {"command": "make"})
            for_ada = await store_action(tx, "help", {}, person="fake:ada")
            only_once = await store_action(tx, "help", {}, once=True)
            unknown = await store_action(tx, "no_such_command", {})
            return [for_all.payload, for_ada.payload, only_once.payload, unknown.payload]

        for_all, for_ada, only_once, unknown = await at.runtime.store.atomically(store)
        for sender in ("ada", "bob", "bob"):
            assert "make" in await at.answer(at.press(for_all, sender=sender))
        assert "make" in await at.answer(at.press(for_ada))
        assert await at.answer(at.press(for_ada, sender="bob")) == chat_words.NOT_YOURS
        assert "make" in await at.answer(at.press(only_once))
        assert await at.answer(at.press(only_once)) == chat_words.BUTTON_GONE
        assert "no_such_command" in await at.answer(at.press(unknown))


async def test_a_stored_action_that_lacks_something_is_used_up_by_its_question(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        action = await at.runtime.store.atomically(lambda tx: store_action(tx, "make", {"seed": 9}, once=True))
        assert "prompt" in await at.answer(at.press(action.payload))
        assert await at.answer(at.press(action.payload)) == chat_words.BUTTON_GONE


async def test_where_there_are_no_buttons_a_number_presses_one(tmp_path: Path) -> None:
    async with studio(tmp_path, can=with_capabilities(buttons=ButtonRules())) as at:
        await at.say("/make a fox")
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        await at.answer(at.say("1"))
        await at.network.until(lambda: len(at.network.shown) == 2 and at.network.last.message.media)
        assert len(await at.jobs()) == 2
        assert await at.answer(at.say("77")) == command_words.PLAIN_WORDS


async def test_a_number_answers_an_open_question_before_it_presses_a_button(tmp_path: Path) -> None:
    said: list[Any] = []

    async def handler(call: Call) -> None:
        said.append(call.values["width"])
        buttons = ((Button(label="go", payload="a.x"),),)
        await call.commit(None, Reply(text="thanks", buttons=buttons))

    command = Command(
        name="ask", summary="x", handler=handler, options=(Option(name="width", type="integer", required=True),)
    )
    async with studio(tmp_path, can=with_capabilities(buttons=ButtonRules()), commands=[command]) as at:
        for _ in range(2):
            await at.answer(at.say("/ask"))
            await at.answer(at.say("1"))
        assert said == [1, 1]


@pytest.fixture
def picky() -> tuple[Command, list[Any]]:
    """A command that needs one of three styles and a yes or no, and what it was called with."""
    said: list[Any] = []

    async def handler(call: Call) -> None:
        said.append((call.values["style"], call.values["tiled"]))
        await call.commit(None, Reply(text="thanks"))

    styles = tuple(Choice(value=value, label=value.title()) for value in ("ink", "oil", "chalk"))
    options = (
        Option(name="style", type="choice", choices=styles, required=True),
        Option(name="tiled", type="boolean", required=True),
    )
    return Command(name="pick", summary="x", handler=handler, options=options), said


async def test_a_question_with_few_answers_has_a_button_for_each(
    tmp_path: Path, picky: tuple[Command, list[Any]]
) -> None:
    command, said = picky
    async with studio(tmp_path, commands=[command]) as at:
        await at.answer(at.say("/pick"))
        style = at.network.last
        assert [button.label for row in style.message.buttons for button in row] == ["Ink", "Oil", "Chalk"]
        assert await at.answer(at.press(style.button("Oil"), sender="bob")) == chat_words.QUESTION_OVER
        assert "tiled" in await at.answer(at.press(style.button("Oil")))
        tiled = at.network.last
        assert await at.answer(at.press(style.button("Ink"))) == chat_words.QUESTION_OVER
        assert await at.answer(at.press(tiled.button("No"))) == "thanks"
        assert await at.answer(at.press(tiled.button("No"))) == chat_words.QUESTION_OVER
        assert said == [("oil", False)]
        await at.answer(at.say("/pick"))
        await at.answer(at.say("chalk"))
        await at.answer(at.say("yes"))
        assert said[1:] == [("chalk", True)], "words do as well"


async def test_where_there_are_no_buttons_numbers_answer_a_question(
    tmp_path: Path, picky: tuple[Command, list[Any]]
) -> None:
    command, said = picky
    async with studio(tmp_path, can=with_capabilities(buttons=ButtonRules()), commands=[command]) as at:
        assert "3. Chalk" in await at.answer(at.say("/pick"))
        assert "1. Yes" in await at.answer(at.say("3"))
        await at.answer(at.say("1"))
        assert said == [("chalk", True)]


async def test_again_and_info_are_for_everybody_and_the_rest_for_its_person_and_operators(tmp_path: Path) -> None:
    async with studio(tmp_path, operators=("fake:root",)) as at:
        key = await at.picture()
        shown = at.network.last.id
        for verb in ("hide", "up", "down", "cancel", "show"):
            refused = await at.answer(at.press(f"j.{key}.{verb}", sender="bob", message=shown))
            assert refused == chat_words.BUTTON_OTHERS
        assert "seed" in await at.answer(at.press(OnJob(job=key, verb="info").payload, sender="bob"))
        assert "a fox" in await at.answer(at.press(OnJob(job=key, verb="show").payload, sender="root"))
        before = len(at.network.shown)
        await at.press(OnJob(job=key, verb="again").payload, sender="bob")
        await at.network.until(lambda: len(at.network.shown) > before and at.network.last.message.media)
        assert len({job.person for job in await at.jobs()}) == 2
        assert await at.answer(at.press(f"j.{key}.paint")) == chat_words.BUTTON_GONE
        assert await at.answer(at.press("j.nosuchjob.info")) == chat_words.BUTTON_GONE


async def test_a_result_is_hidden_and_shown_again(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        key = await at.picture()
        shown = at.network.last
        await at.press(OnJob(job=key, verb="hide").payload, message=shown.id)
        await at.network.until(lambda: not shown.message.media)
        assert shown.text == words.HIDDEN
        assert "a fox" in await at.answer(at.press(shown.button("show"), message=shown.id))
        assert at.network.last.message.media
        assert at.network.last.button("again")
        assert await at.answer(at.press(OnJob(job=key, verb="hide").payload)) == chat_words.BUTTON_GONE


async def test_a_rating_is_kept_and_may_change(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        key = await at.picture()
        for verb, rating in (("up", 1), ("down", -1)):
            assert await at.answer(at.press(f"j.{key}.{verb}")) == words.RATED
            (result,) = await at.runtime.store.find(RESULTS, {"job": key}, order="n")
            assert list(result.ratings.values()) == [rating]


async def test_tweak_without_forms_is_a_line_to_send_back(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        key = await at.picture('/make a -- "fox" --seed 4')
        line = (await at.answer(at.press(OnJob(job=key, verb="tweak").payload))).splitlines()
        (command,) = [one for one in line if one.startswith("/make")]
        await at.picture(command)
        first, second = await at.jobs()
        assert first.values == second.values


async def test_a_job_can_be_cancelled_by_button_and_by_command(tmp_path: Path) -> None:
    async with studio(tmp_path, hold=True) as at:
        await at.answer(at.say("/make one"))
        await at.network.until(lambda: at.backend.runs)
        (job,) = await at.jobs()
        assert job.key in await at.answer(at.say("/status"))
        assert job.key in await at.answer(at.say(f"/show {job.key}"))
        card = next(iter(at.network.shown.values()))
        await at.press(OnJob(job=job.key, verb="cancel").payload)
        await at.network.until(lambda: "cancelled" in card.text.lower())
        assert (await at.job(job.key)).state == "cancelled"
        assert "cancelled already" in await at.answer(at.press(OnJob(job=job.key, verb="cancel").payload))
        assert "cancelled" in await at.answer(at.say(f"/show {job.key}"))
        await at.answer(at.say("/make two"))
        await at.say("/cancel")
        await at.network.until(lambda: [job for job in at.network.texts if "cancelled" in job.lower()])
        assert {run.ended.state for run in at.backend.runs.values() if run.ended} == {"cancelled"}


# --- pictures


async def test_a_reply_to_a_picture_gives_it_to_the_command(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        await at.picture()
        made = at.network.last
        await at.say("/effect", reply_to=made.id)
        await at.network.until(lambda: len(at.network.shown) == 2 and at.network.last.message.media)
        at.network.files["theirs"] = PIXEL
        photo = FileRef(platform="fake", ref="theirs", mime="image/png")
        event = at.network.event(Said(files=(photo,)))
        await at.answer(at.network.receive(event))
        await at.say("/effect neon", reply_to=event.keys[1])
        await at.network.until(lambda: len(at.network.shown) == 4 and at.network.last.message.media)
        await at.say("/effect attached", files=(photo,))
        await at.network.until(lambda: len(at.network.shown) == 5 and at.network.last.message.media)
        jobs = (await at.jobs())[1:]
        assert [len(job.files) for job in jobs] == [1, 1, 1]
        assert "picture" in await at.answer(at.say("/effect", reply_to="no such message"))


@pytest.fixture
def gallery() -> tuple[Command, list[tuple[str, ...]]]:
    """A command that notes the files of each call."""
    calls: list[tuple[str, ...]] = []

    async def handler(call: Call) -> None:
        assert isinstance(call.event.body, Said)
        calls.append(tuple(file.ref for file in call.event.body.files))
        await call.commit(None, Reply(text="hung up"))

    return Command(name="hang", summary="x", handler=handler), calls


def parts(at: Studio, count: int, text: str, album: str = "77") -> list[Event]:
    """Messages of one album, in the order they were sent; the words are under the first."""
    return [
        at.network.event(Said(text="" if n else text, files=(FileRef(platform="fake", ref=f"{n}"),), album=album))
        for n in range(count)
    ]


async def test_an_album_is_one_request_however_its_messages_come(
    tmp_path: Path, gallery: tuple[Command, list[tuple[str, ...]]]
) -> None:
    command, calls = gallery
    async with studio(tmp_path, commands=[command]) as at:
        album = parts(at, 11, "/hang")
        for event in (*reversed(album), *album):
            await at.network.receive(event)
        await at.network.until(lambda: calls)
        await at.network.until(lambda: at.network.shown)
        assert calls == [tuple(str(n) for n in range(11))]
        assert {arrival.state for arrival in await at.arrivals()} == {"handled"}
        assert at.network.texts == ["hung up"]


async def test_what_is_said_after_an_album_is_handled_after_it(
    tmp_path: Path, gallery: tuple[Command, list[tuple[str, ...]]]
) -> None:
    command, calls = gallery
    async with studio(tmp_path, commands=[command]) as at:
        for event in (*parts(at, 2, "/hang"), at.network.event(Said(text="/hang"))):
            await at.network.receive(event)
        await at.network.until(lambda: len(at.network.shown) == 2)
        assert calls == [("0", "1"), ()]


async def test_two_albums_at_once_are_two_requests(
    tmp_path: Path, gallery: tuple[Command, list[tuple[str, ...]]]
) -> None:
    command, calls = gallery
    async with studio(tmp_path, commands=[command]) as at:
        for one, other in zip(parts(at, 2, "/hang", "1"), parts(at, 3, "/hang", "2"), strict=False):
            await at.network.receive(one)
            await at.network.receive(other)
        await at.network.until(lambda: len(calls) == 2)
        assert calls == [("0", "1"), ("0", "1")]


async def test_an_album_whose_process_was_killed_is_joined_by_the_next(
    tmp_path: Path, gallery: tuple[Command, list[tuple[str, ...]]]
) -> None:
    command, calls = gallery
    async with studio(tmp_path, clock=FakeClock(), commands=[command]) as at:
        for event in parts(at, 3, "/hang"):
            await at.runtime.inbox.accept(event)
        await at.pass_time(60)
        assert calls == [("0", "1", "2")]


async def test_an_album_that_is_not_for_the_bot_is_not_answered_for_each_of_its_messages(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        for event in parts(at, 4, ""):
            await at.network.receive(event)
        await at.network.until(lambda: at.network.shown)
        assert at.network.texts == [command_words.PLAIN_WORDS]


# --- messages that are edited


def edit(first: Event, text: str, at: Studio) -> Event:
    """The same message with other words, in an event of its own."""
    fresh = at.network.event(Said(text=text, edited=True))
    return replace(fresh, keys=(fresh.keys[0], *first.keys[1:]))


async def test_a_request_of_which_nothing_came_can_be_put_right(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        first = at.network.event(Said(text="/mkae a fox"))
        assert "mkae" in await at.answer(at.network.receive(first))
        again = edit(first, "/make --width x a fox", at)
        for event in (again, again):
            await at.network.receive(event)
        await at.network.until(lambda: len(at.network.shown) == 2)
        await at.network.receive(edit(first, "/make a fox", at))
        await at.network.until(lambda: at.network.last.message.media)
        await at.network.receive(edit(first, "/make two foxes", at))
        assert "make" in await at.answer(at.say("/help make"))
        assert len(await at.jobs()) == 1, "what was done is not done again"


async def test_an_edit_that_changes_no_word_is_none(tmp_path: Path) -> None:
    """Networks tell of edits that nobody made, as when a link gets its preview."""
    async with studio(tmp_path) as at:
        first = at.network.event(Said(text="/mkae a fox"))
        await at.answer(at.network.receive(first))
        assert await at.network.receive(edit(first, "/mkae a fox", at)) is None
        assert await at.network.receive(edit(at.network.event(Said(text="x")), "/make a fox", at)) is None
        assert "make" in await at.answer(at.say("/help make"))
        assert len(at.network.shown) == 2


async def test_a_command_with_typed_options_that_answers_a_picture_takes_it_and_asks_for_none(tmp_path: Path) -> None:
    async with studio(tmp_path, can=FORMS) as at:
        await at.picture()
        called = Called(command="effect", options={"prompt": "neon"}, reply_to=at.network.last.id)
        await at.network.receive(at.network.event(called))
        await at.network.until(lambda: len(at.network.shown) == 2 and at.network.last.message.media)
        assert [len(job.files) for job in await at.jobs()] == [0, 1]


async def test_again_says_when_the_picture_it_needs_is_gone(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        at.network.files["theirs"] = PIXEL + b"another one"
        await at.say("/effect", files=(FileRef(platform="fake", ref="theirs"),))
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        (job,) = await at.jobs()
        (blob,) = job.files.values()
        await at.runtime.store.atomically(lambda tx: tx.delete(BLOBS, blob.sha256))
        assert "Send it again" in await at.answer(at.press(OnJob(job=job.key, verb="again").payload))
        assert len(await at.jobs()) == 1


async def test_a_file_that_is_no_picture_is_refused_in_words(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        at.network.files["text"] = b"just words"
        for ref in ("text", "gone"):
            said = at.say("/effect", files=(FileRef(platform="fake", ref=ref, mime="image/png"),))
            assert await at.answer(said)
        assert await at.jobs() == []


# --- who may


async def test_operators_commands_are_theirs(tmp_path: Path) -> None:
    async with studio(tmp_path, operators=("fake:root",)) as at:
        assert await at.answer(at.say("/refresh")) == command_words.OPERATORS_ONLY
        assert "make" in await at.answer(at.say("/refresh", sender="root"))
        by_token = replace(at.network.event(Said(text="/refresh")), operator=True)
        assert "make" in await at.answer(at.network.receive(by_token))


class Doorman:
    """Lets the one in whom it is told to, and has its own ideas otherwise."""

    def __init__(self, answer: Callable[[], Awaitable[str | None]]) -> None:
        self._answer = answer

    @hookimpl
    async def admit(self, event: Event, command: str) -> str | None:
        return None if command == "help" else await self._answer()


async def _no() -> str:
    return "Members only."


async def _number() -> Any:
    return 0


async def _exits() -> str | None:
    raise SystemExit(1)


async def _broken() -> str | None:
    raise RuntimeError("a bug")


async def _stuck() -> str | None:
    await asyncio.Event().wait()
    return None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_no, "Members only."),
        (_number, "could not decide"),
        (_exits, "could not decide"),
        (_broken, "could not decide"),
        (_stuck, "could not decide"),
    ],
)
async def test_a_plugin_may_keep_people_out(
    tmp_path: Path, answer: Callable[[], Awaitable[str | None]], said: str
) -> None:
    async with studio(tmp_path, Doorman(answer)) as at:
        assert said in await at.answer(at.say("/make a fox"))
        assert "make" in await at.answer(at.say("/help"))
        assert await at.jobs() == []


async def test_a_plugin_that_refuses_without_words_leaves_it_to_the_next(tmp_path: Path) -> None:
    async def nothing() -> str:
        return ""

    async with studio(tmp_path, Doorman(nothing), Doorman(_no)) as at:
        assert await at.answer(at.say("/make a fox")) == "Members only."


@pytest.mark.parametrize("url", ["memory:", "sqlite:chatelier.db"])
@pytest.mark.parametrize(
    ("limit", "people", "refusal"),
    [("open_orders", 1, "orders open"), ("all_orders", 20, words.TOO_MANY_IN_ALL)],
    ids=["of one person", "of all together"],
)
async def test_of_twenty_orders_at_once_exactly_the_allowed_number_is_taken(
    tmp_path: Path, url: str, limit: str, people: int, refusal: str
) -> None:
    async with studio(tmp_path, Sqlite, hold=True, store_url=url, limits={limit: 3}) as at:
        said = (at.say(f"/make fox {n}", chat=f"room {n}", sender=f"person {n % people}") for n in range(20))
        await asyncio.gather(*said)
        await at.network.until(lambda: len(at.network.shown) == 20)
        assert len([text for text in at.network.texts if refusal in text]) == 17
        orders = await at.runtime.store.find(ORDERS, order="created")
        assert [order.state for order in orders] == ["open"] * 3
        at.backend.hold = False
        at.backend.finish()
        await at.network.until(lambda: sum(bool(shown.message.media) for shown in at.network.shown.values()) == 3)
        await at.picture("/make one more")


# --- what came of it


async def test_the_outcome_of_an_event_is_known_when_everything_about_it_was_sent(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        done, refused, told = (at.network.event(Said(text=text)) for text in ("/make a fox", "/make --seed x", "/help"))
        waiting = [
            asyncio.create_task(outcome_of(at.runtime, "fake", event.keys[0])) for event in (done, refused, told)
        ]
        for event in (done, refused, told):
            await at.network.receive(event)
        outcomes = [await task for task in waiting]
        assert [outcome.state for outcome in outcomes] == ["done", "refused", "done"]
        messages = await at.runtime.store.find(MESSAGES, order="created")
        assert {message.state for message in messages} == {"sent"}
        assert outcomes[0].job == (await at.jobs())[0].key


async def test_a_wrong_answer_leaves_the_question_open(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        assert "prompt" in await at.answer(at.say("/make"))
        await at.answer(at.say("x" * 10_001))
        await at.picture("a red fox")
        (job,) = await at.jobs()
        assert job.values["prompt"] == "a red fox"


async def test_another_command_leaves_the_question_open(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        await at.answer(at.say("/make"))
        await at.answer(at.say("/status"))
        await at.picture("a red fox")
        (job,) = await at.jobs()
        assert job.values["prompt"] == "a red fox"


async def test_a_job_that_does_not_exist_is_said_to_be_none(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        for command in ("/show nothere", "/cancel nothere"):
            assert "no such job" in await at.answer(at.say(command))


FILM = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
SLOWER = Workflow(
    name="slower",
    version="2" * 16,
    title="Slower",
    description="A picture from a video.",
    category="utility",
    graph={"1": {"class_type": "FakeImage", "inputs": {"text": "", "seed": 0, "video": ""}}},
    inputs=(
        Input(name="video", type="video", targets=(("1", "video"),), required=True),
        Input(name="prompt", type="text", targets=(("1", "text"),), role="prompt", default="slow"),
    ),
    outputs=("1",),
)


TITLED = replace(
    SLOWER, name="titled", inputs=(SLOWER.inputs[0], replace(SLOWER.inputs[1], required=True, default=None))
)


class Films:
    """Offers workflows that take a video."""

    @hookimpl
    def register_workflow_sources(self, register: Callable[[WorkflowSource], None]) -> None:
        register(self)

    name = "films"

    async def load(self) -> Loaded:
        return Loaded(workflows=(SLOWER, TITLED))

    async def changes(self) -> AsyncIterator[None]:
        return
        yield


async def test_where_there_are_forms_an_attached_video_is_taken_and_not_asked_for_again(tmp_path: Path) -> None:
    async with studio(tmp_path, Films(), can=FORMS) as at:
        at.network.files["film"] = FILM
        film = FileRef(platform="fake", ref="film", mime="video/mp4")
        assert isinstance(await at.say("/slower"), Ask), "nothing is attached"
        assert isinstance(await at.say("/slower", files=(film,)), Defer)
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        asking = await at.press(at.network.last.button("tweak"))
        assert isinstance(asking, Ask)
        assert [field.name for field in asking.form.fields if field.required] == []
        assert "video" not in asking.form.values
        await at.submit(asking.form.key, prompt="slower still")
        await at.network.until(lambda: len(at.network.shown) == 2 and at.network.last.message.media)
        first, second = await at.jobs()
        assert second.values["prompt"] == "slower still"
        assert (len(first.files), second.files) == (1, first.files)


async def test_a_file_stays_when_a_form_asks_for_the_words(tmp_path: Path) -> None:
    async with studio(tmp_path, Films(), can=FORMS) as at:
        at.network.files["film"] = FILM
        film = FileRef(platform="fake", ref="film", mime="video/mp4")
        asking = await at.say("/titled", files=(film,))
        assert isinstance(asking, Ask)
        assert [field.name for field in asking.form.fields if field.required] == ["prompt"]
        await at.submit(asking.form.key, prompt="slow")
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        (job,) = await at.jobs()
        assert (job.values["prompt"], len(job.files)) == ("slow", 1)


async def test_info_tells_a_prompt_whatever_it_begins_with_and_no_files(tmp_path: Path) -> None:
    async with studio(tmp_path) as at:
        photo = FileRef(platform="fake", ref="theirs", mime="image/png")
        at.network.files["theirs"] = PIXEL
        await at.say("/effect chatelier-like, in oil", files=(photo,))
        await at.network.until(lambda: at.network.shown and at.network.last.message.media)
        (job,) = await at.jobs()
        told = await at.answer(at.press(at.network.last.button("info")))
        assert "chatelier-like, in oil" in told
        assert not any(file in told for file in job.files)


# --- handlers that behave badly when they are stopped


def dirty(calls: list[str]) -> Command:
    """Its cleaning up fails."""

    async def handler(call: Call) -> None:
        calls.append(str(call.values.get("text")))
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is gone already")

    return Command(
        name="dirty", summary="Fails at the end.", handler=handler, options=(Option(name="text", rest=True),)
    )


def grouped(calls: list[str]) -> Command:
    """A part of it fails while it waits for all; Python 3.11 takes it for cancelled from then on."""

    async def fail() -> None:
        raise LookupError("a part")

    async def handler(call: Call) -> None:
        calls.append("")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
        except* LookupError:
            pass
        await asyncio.Event().wait()

    return Command(name="grouped", summary="Has parts.", handler=handler)


@pytest.mark.parametrize(("make", "said"), [(dirty, "/dirty"), (grouped, "/grouped")])
async def test_what_takes_too_long_is_run_once_however_it_ends(
    tmp_path: Path, make: Callable[[list[str]], Command], said: str
) -> None:
    calls: list[str] = []
    async with studio(tmp_path, clock=FakeClock(), commands=[make(calls)]) as at:
        await at.say(said)
        await at.pass_time(600)
        assert len(calls) == 1
        assert at.network.texts == [chat_words.TOO_LONG]


async def test_what_is_replaced_is_not_run_again_though_its_end_fails(tmp_path: Path) -> None:
    calls: list[str] = []
    gate = Gate({"overlap": "replace"})
    gate.open.set()
    async with studio(tmp_path, clock=FakeClock(), commands=[dirty(calls), gate.command]) as at:
        await at.say("/dirty 1")
        await at.pass_time(1)
        await at.say("/wait 2")
        await at.pass_time(100)
        assert calls == ["1"]
        assert gate.calls == ["2"]


async def test_a_stop_is_no_try_though_the_end_fails(tmp_path: Path) -> None:
    calls: list[str] = []
    async with studio(tmp_path, clock=FakeClock(), commands=[dirty(calls)]) as at:
        await at.say("/dirty x")
        await at.pass_time(1)
        await at.runtime.handling.stop()
        (arrival,) = await at.arrivals()
        assert (arrival.state, arrival.tries) == ("new", 0)


async def test_a_lease_goes_on_from_the_waiting_to_the_handling(tmp_path: Path) -> None:
    """One beat that fails leaves the time of two others."""
    clock = FakeClock()
    store = FakeStore(KINDS, clock)
    first, second = Gate(), Gate(name="after")
    async with studio(tmp_path, clock=clock, store=store, commands=[first.command, second.command]) as at:
        await at.say("/wait 1")
        await at.say("/after 2")
        await at.pass_time(9)
        store.trouble = Unavailable("no answer")
        await at.pass_time(2)
        store.trouble = None
        await at.pass_time(8.95)
        first.open.set()
        await at.pass_time(0.04)
        assert second.calls == ["2"]
        await at.pass_time(9.9)
        (waiting,) = [arrival for arrival in await at.arrivals() if arrival.state == "new"]
        assert waiting.due is not None
        assert (waiting.due - clock.now()).total_seconds() > 5


async def album(at: Studio, text: str) -> None:
    for n in range(2):
        files = (FileRef(platform="fake", ref=f"{n}"),)
        await at.network.receive(at.network.event(Said(text="" if n else text, files=files, album="7")))


async def test_nobody_waits_for_an_album_of_a_concurrent_command(tmp_path: Path) -> None:
    gate = Gate({"overlap": "concurrent"})
    async with studio(tmp_path, clock=FakeClock(), commands=[gate.command]) as at:
        await album(at, "/wait a")
        await at.pass_time(5)
        assert gate.calls == ["a"]
        await at.say("/help")
        await at.pass_time(1)
        assert at.network.texts


async def test_an_album_that_still_comes_can_be_replaced(tmp_path: Path) -> None:
    gate = Gate()
    instead = Gate({"overlap": "replace"}, name="instead")
    instead.open.set()
    async with studio(tmp_path, clock=FakeClock(), commands=[gate.command, instead.command]) as at:
        await album(at, "/wait a")
        await at.say("/instead b")
        await at.pass_time(5)
        assert (gate.calls, instead.calls) == ([], ["b"])
        assert chat_words.REPLACED in [arrival.words for arrival in await at.arrivals()]


@pytest.mark.parametrize("second", ["/swap", "/queued"])
async def test_an_album_takes_the_place_of_earlier_ones_only(tmp_path: Path, second: str) -> None:
    calls: list[tuple[str, int]] = []

    async def handler(call: Call) -> None:
        assert isinstance(call.event.body, Said)
        calls.append((call.command.name, len(call.event.body.files)))
        await call.commit(None, Reply(text="done"))

    commands = [
        Command(name="swap", summary="Takes the place of others.", handler=handler, overlap="replace"),
        Command(name="queued", summary="Waits.", handler=handler),
    ]
    async with studio(tmp_path, clock=FakeClock(), commands=commands) as at:
        for event in (*parts(at, 2, "/swap", "1"), *parts(at, 3, second, "2")):
            await at.network.receive(event)
        await at.pass_time(5)
        assert (second.removeprefix("/"), 3) in calls
