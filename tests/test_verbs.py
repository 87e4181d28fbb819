"""What the buttons under a result and the commands beside them do, as somebody in a chat sees it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier import (
    JOBS,
    Blob,
    ButtonRules,
    Capabilities,
    Ended,
    Event,
    FileRef,
    Input,
    Job,
    OnJob,
    Output,
    Pressed,
    Result,
    Runtime,
    Said,
    Submitted,
    Workflow,
    hookimpl,
)
from chatelier.core.chat import words as chat_words
from chatelier.core.generation import words
from chatelier.core.generation.jobs import ORDERS, RESULTS
from chatelier.core.generation.results import AT_ONCE, buttons
from chatelier.core.generation.workflow_commands import has_seed, new_seed, offers, wanted_run
from chatelier.core.media.references import BLOB_REFS
from chatelier.core.testing.backend import PIXEL, WHITE_PIXEL
from chatelier.core.testing.gateway import PICTURE
from chatelier.core.testing.platform import ROOMY, Shown, with_capabilities
from chatelier.core.workflows.catalogue import Catalogue
from chatelier.plugins.essentials import Plugin as Essentials
from chatelier.testing import FakeBackend, FakePlatform, Parts, running

SEED = PICTURE.inputs[1]
PHOTO = Input(name="photo", type="image", targets=(("1", "image"),), role="image", required=True)
GRAPH = {"1": {"class_type": "FakeImage", "inputs": {"text": "", "seed": 0, "image": "", "factor": 1.0}}}
UPSCALE = replace(
    PICTURE,
    name="upscale",
    title="Enlarge",
    graph=GRAPH,
    inputs=(PHOTO, Input(name="factor", type="number", targets=(("1", "factor"),), default=2.0)),
)
SAME = replace(PICTURE, name="same", title="Always the same", inputs=PICTURE.inputs[:1])
EFFECT = replace(PICTURE, name="effect", title="Effect", graph=GRAPH, inputs=(PHOTO, SEED))
SECRET_SEED = replace(
    PICTURE, name="lucky", title="Lucky", inputs=(PICTURE.inputs[0], replace(SEED, hidden=True, default=None))
)
FIXED_SEED = replace(
    PICTURE, name="fixed", title="Fixed", inputs=(PICTURE.inputs[0], replace(SEED, hidden=True, default=7))
)
OFFER = (PICTURE, UPSCALE, SAME, EFFECT, SECRET_SEED, FIXED_SEED)
NUMBERS = ButtonRules()


@dataclass
class Chat:
    """A chat with the gateway in it. Who speaks is ada, unless another name is given."""

    runtime: Runtime
    network: FakePlatform
    backend: FakeBackend

    async def send(self, body: Any, sender: str = "ada", chat: str = "room", *, direct: bool = True) -> Shown:
        """What is answered first."""
        before = len(self.network.shown)
        await self.network.receive(self.network.event(body, sender=sender, chat=chat, direct=direct))
        await self.network.until(lambda: len(self.network.shown) > before)
        return list(self.network.shown.values())[before]

    async def say(self, text: str, sender: str = "ada", **more: Any) -> Shown:
        return await self.send(Said(text=text, **more), sender)

    async def press(self, shown: Shown, label: str, sender: str = "ada") -> Shown:
        return await self.send(Pressed(payload=shown.button(label), message_id=shown.id), sender)

    async def made(self, text: str = "/make a red fox --seed 7", **more: Any) -> Shown:
        shown = await self.say(text, **more)
        await self.network.until(lambda: shown.message.media)
        return shown

    async def pictures(self, count: int) -> Sequence[Shown]:
        """All messages that show some, once there are so many."""
        await self.network.until(lambda: len(self._with_media()) >= count)
        return self._with_media()

    def _with_media(self) -> list[Shown]:
        return [shown for shown in self.network.shown.values() if shown.message.media]

    async def gives(
        self, *outputs: Output, text: str = "/make a red fox", files: tuple[FileRef, ...] = (), **times: Any
    ) -> Shown:
        """A job that gives these, whatever its graph says; its result."""
        self.backend.hold = True
        card = await self.say(text, files=files)
        await self.network.until(lambda: any(run.ended is None for run in self.backend.runs.values()))
        self.backend.finish("", Ended(state="done", outputs=outputs, **times))
        self.backend.hold = False
        await self.network.until(lambda: labels(card) and labels(card) != ["Cancel"])
        return card

    async def jobs(self) -> list[Job]:
        return await self.runtime.store.find(JOBS, order="created", limit=1_000)

    def says(self, words: str) -> bool:
        return words in self.network.last.text

    def graphs(self) -> list[Any]:
        return [run.attempt.graph["1"]["inputs"] for run in self.backend.runs.values()]


def labels(shown: Shown) -> list[str]:
    return [button.label for row in shown.message.buttons for button in row]


def key(shown: Shown) -> str:
    """The job whose buttons a message has."""
    return shown.message.buttons[0][0].payload.split(".")[1]


def file(n: int, name: str = "fox.png") -> Output:
    return Output(n=n, node="1", name=name)


@asynccontextmanager
async def chat(
    folder: Path, *plugins: object, workflows: Sequence[Workflow] = OFFER, can: Capabilities = ROOMY, **settings: Any
) -> AsyncIterator[Chat]:
    network, backend = FakePlatform(can=can), FakeBackend()
    network.files["photo"] = PIXEL
    parts = Parts([network], [backend], workflows)
    settings = {"points": {"allowance": {"base": 10**9}}, **settings}  # what things cost is tested elsewhere
    async with running(folder, parts, Essentials, *plugins, settings=settings) as runtime:
        yield Chat(runtime, network, backend)
        backend.finish()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Chat]:
    async with chat(tmp_path, operators=["fake:root"]) as opened:
        yield opened


PHOTO_SENT = (FileRef(platform="fake", ref="photo", mime="image/png"),)


# --- which buttons there are


async def test_a_picture_has_three_rows_of_buttons(here: Chat) -> None:
    shown = await here.made()
    rows = [[button.label.split()[-1] for button in row] for row in shown.message.buttons]
    assert rows == [["Again", "Vary", "Tweak"], ["Upscale", "Original", "Info"], ["Hide", "👍", "👎"]]


async def test_what_cannot_be_done_has_no_button(tmp_path: Path) -> None:
    async with chat(tmp_path, workflows=[SAME, FIXED_SEED]) as here:
        for text in ("/same a fox", "/fixed a fox"):
            shown = await here.made(text)
            assert not {words.VARY, words.upscale(1, AT_ONCE)} & set(labels(shown))
            assert "no workflow named upscale" in (await here.send(press_of(shown, "upscale"))).text
            refused = await here.send(press_of(shown, "vary"))
            assert "takes no seed" in refused.text
        assert len(await here.jobs()) == 2


def press_of(shown: Shown, verb: Any) -> Pressed:
    """A button that is not there, as an old message or a stranger's program may have it."""
    return Pressed(payload=OnJob(job=key(shown), verb=verb).payload, message_id=shown.id)


async def test_words_have_nothing_to_enlarge_and_no_original(here: Chat) -> None:
    shown = await here.gives(Output(n=0, node="1", name="words", text="a fox, they say"))
    assert "a fox, they say" in shown.text
    assert not {words.ORIGINAL, words.upscale(1, AT_ONCE)} & set(labels(shown))
    assert (await here.send(press_of(shown, "original"))).text == words.NO_ORIGINAL
    assert (await here.send(press_of(shown, "upscale"))).text == words.NO_PICTURE


def result(n: int, kind: Any) -> Result:
    blob = None if kind == "text" else Blob(sha256=f"{n}", size=1, mime="x/y", kind=kind)
    return Result(key=f"job.{n}", job="job", n=n, name="x", blob=blob, created=datetime.now(UTC))


KINDS = st.lists(st.sampled_from(["image", "animation", "video", "audio", "file", "text"]), max_size=9)


@given(kinds=KINDS, can=st.frozensets(st.sampled_from(["vary", "upscale"])))
def test_buttons_fit_every_network_and_each_does_one_thing(kinds: list[str], can: frozenset[Any]) -> None:
    job = Job(key="a" * 12, order="o", person="p", account="web", workflow="make", title="Make", values={}, graph={},
              created=datetime.now(UTC), expires=datetime.now(UTC))  # fmt: skip
    rows = buttons(job, [result(n, kind) for n, kind in enumerate(kinds)], can)
    every = [button.payload for row in rows for button in row]
    assert all(0 < len(row) <= 5 for row in rows)
    assert len(rows) <= 5
    assert len(set(every)) == len(every)
    assert all(len(payload) <= 64 for payload in every)
    verbs = {payload.split(".")[2] for payload in every}
    assert ("original" in verbs) is bool({"image", "animation", "video"} & set(kinds))
    assert ("upscale" in verbs) is ("upscale" in can and "image" in kinds)
    assert ("vary" in verbs) is ("vary" in can)


# --- vary


async def test_vary_is_one_order_of_four_that_differ_by_their_seeds(here: Chat) -> None:
    shown = await here.made()
    await here.press(shown, "Vary")
    await here.pictures(5)
    first, *varied = await here.jobs()
    assert len(varied) == 4
    assert len({job.order for job in varied}) == 1
    assert {job.values["prompt"] for job in varied} == {"a red fox"}
    assert len({job.values["seed"] for job in (first, *varied)}) == 5
    assert {graph["seed"] for graph in here.graphs()} == {job.values["seed"] for job in await here.jobs()}


async def test_variations_count_as_one_order_and_status_shows_each(tmp_path: Path) -> None:
    async with chat(tmp_path, limits={"open_orders": 1}) as here:
        await here.made()
        here.backend.hold = True
        card = await here.say("/vary --count 3")
        jobs = (await here.jobs())[1:]
        assert "one order open" in (await here.say("/make one too many")).text
        told = await here.say("/status")
        assert all(job.key in told.text for job in jobs)
        await here.network.receive(here.network.event(press_of(card, "stop")))
        await here.network.until(lambda: "Cancelled" in card.text)
        while any(job.open for job in await here.jobs()):
            await here.runtime.store.changes(JOBS).wait(0.1)
        assert [job.state for job in (await here.jobs())[1:]] == ["cancelled"] * 3
        here.backend.hold = False
        await here.made("/make another one")


async def test_what_is_cancelled_with_its_order_is_what_has_not_ended(here: Chat) -> None:
    await here.made()
    here.backend.hold = True
    card = await here.say("/vary --count 3")
    await here.network.until(lambda: len(here.backend.runs) > 1)
    here.backend.finish(list(here.backend.runs)[1])
    await here.pictures(2)
    stop = press_of(card, "stop")
    await here.network.receive(here.network.event(stop))
    while any(job.open for job in await here.jobs()):
        await here.runtime.store.changes(JOBS).wait(0.1)
    assert sorted(job.state for job in (await here.jobs())[1:]) == ["cancelled", "cancelled", "done"]
    for sender, answer in (("ada", "already"), ("bob", chat_words.BUTTON_OTHERS)):
        await here.network.receive(here.network.event(stop, sender=sender))
        await here.network.until(partial(here.says, answer))


@pytest.mark.parametrize("which", ["2", "the job's id"])
async def test_vary_takes_any_of_the_last_runs_or_a_job(here: Chat, which: str) -> None:
    fox = await here.made("/make a red fox")
    await here.made("/make a blue owl")
    await here.say(f"/vary {key(fox) if which != '2' else which} --count 2")
    await here.pictures(4)
    assert [job.values["prompt"] for job in (await here.jobs())[2:]] == ["a red fox"] * 2


async def test_vary_that_cannot_be_is_answered_in_words(here: Chat) -> None:
    assert "not made anything yet" in (await here.say("/vary")).text
    shown = await here.made()
    for text in ("/vary --count 0", f"/vary --count {AT_ONCE + 1}", "/vary --count many"):
        assert "count" in (await here.say(text)).text.lower()
    for text in ("/vary 0", "/vary 2", "/vary 55"):
        assert "You have made one" in (await here.say(text)).text
    assert "no such job" in (await here.say("/vary nothing")).text
    form = Submitted(form=OnJob(job=key(shown), verb="vary").payload, values={"count": 1_000})
    assert "count" in (await here.send(form)).text.lower()
    await here.made("/same a fox")
    assert "takes no seed" in (await here.say("/vary")).text
    assert len(await here.jobs()) == 2


async def test_variations_start_from_the_same_picture(here: Chat) -> None:
    shown = await here.made("/effect", files=PHOTO_SENT)
    await here.press(shown, "Vary")
    await here.pictures(5)
    jobs = await here.jobs()
    assert len({tuple(job.files) for job in jobs}) == 1
    for job in jobs:
        refs = await here.runtime.store.find(BLOB_REFS, {"owner": f"input:{job.key}"})
        assert len(refs) == 1, "the picture stays as long as one of them needs it"


async def test_a_seed_that_nobody_sees_is_drawn_anew_too(here: Chat) -> None:
    shown = await here.made("/lucky a fox")
    await here.press(shown, "Again")
    await here.pictures(2)
    await here.press(shown, "Vary")
    await here.pictures(6)
    assert len({graph["seed"] for graph in here.graphs()}) == 6


@given(low=st.integers(0, 10), more=st.integers(AT_ONCE - 1, 100), start=st.integers(0, 2**32 - 1))
def test_seeds_of_one_order_differ_however_few_there_are(low: int, more: int, start: int) -> None:
    narrow = replace(PICTURE, inputs=(PICTURE.inputs[0], replace(SEED, minimum=low, maximum=low + more, default=None)))
    seeds = iter(range(start, start + AT_ONCE))
    drawn = [
        wanted_run(narrow, {"prompt": "x", **new_seed(replace(narrow, inputs=()))}, lambda: next(seeds)).values["seed"]
        for _ in range(AT_ONCE)
    ]
    assert len(set(drawn)) == AT_ONCE
    assert all(low <= int(str(seed)) <= low + more for seed in drawn)


def test_only_what_has_a_seed_can_be_varied() -> None:
    assert [has_seed(one) for one in (PICTURE, SAME, SECRET_SEED, FIXED_SEED)] == [True, False, True, False]
    assert offers(Catalogue([]), "make") == frozenset()


# --- upscale


async def test_upscale_takes_the_picture_and_keeps_it(here: Chat) -> None:
    shown = await here.made()
    await here.press(shown, "Upscale")
    _, larger = await here.pictures(2)
    assert "Enlarge" in larger.text
    made, enlarged = await here.jobs()
    (blob,) = enlarged.files.values()
    assert enlarged.values["factor"] == 2.0
    assert enlarged.graph["1"]["inputs"]["image"] in enlarged.files
    refs = await here.runtime.store.find(BLOB_REFS, {"owner": f"input:{enlarged.key}"})
    assert [ref.sha256 for ref in refs] == [blob.sha256]
    assert enlarged.order != made.order


async def test_upscale_of_several_pictures_says_so_and_is_one_order(here: Chat) -> None:
    shown = await here.gives(*(file(n) for n in range(AT_ONCE + 2)))
    assert f"🔍 Upscale the first {AT_ONCE}" in labels(shown)
    await here.press(shown, "Upscale")
    await here.pictures(1 + AT_ONCE)
    enlarged = (await here.jobs())[1:]
    assert len(enlarged) == AT_ONCE
    assert len({job.order for job in enlarged}) == 1


async def test_upscale_is_asked_for_its_picture_or_takes_the_one_that_is_answered(here: Chat) -> None:
    assert "photo" in (await here.say("/upscale")).text.lower()
    assert "forgotten" in (await here.say("/quit")).text
    shown = await here.made()
    await here.say("/upscale", reply_to=shown.id)
    await here.pictures(2)
    assert [job.workflow for job in await here.jobs()] == ["make", "upscale"]


async def test_an_operators_own_upscale_is_given_the_prompt_that_it_needs(tmp_path: Path) -> None:
    own = replace(UPSCALE, title="Ours", inputs=(*PICTURE.inputs, PHOTO))
    async with chat(tmp_path, workflows=[PICTURE, own]) as here:
        shown = await here.made()
        await here.press(shown, "Upscale")
        await here.pictures(2)
        assert (await here.jobs())[1].values["prompt"] == "a red fox"


async def test_upscale_says_when_the_picture_is_gone(here: Chat) -> None:
    shown = await here.made()
    (kept,) = await here.runtime.store.find(RESULTS, {"job": key(shown)}, order="n")
    await here.runtime.store.atomically(lambda tx: tx.delete(RESULTS, kept.key))
    assert (await here.press(shown, "Upscale")).text == words.NO_PICTURE
    assert (await here.press(shown, "Original")).text == words.NO_ORIGINAL
    told = await here.say(f"/show {key(shown)}")
    assert words.RESULT_GONE in told.text
    assert not {words.ORIGINAL, words.upscale(1, AT_ONCE)} & set(labels(told))


class Closed:
    """Refuses one command."""

    @hookimpl
    async def admit(self, event: Event, command: str) -> str | None:
        return "Not on a Sunday." if command == "upscale" else None


async def test_a_plugin_that_refuses_a_command_refuses_its_button(tmp_path: Path) -> None:
    async with chat(tmp_path, Closed()) as here:
        shown = await here.made()
        assert (await here.press(shown, "Upscale")).text == "Not on a Sunday."
        await here.press(shown, "Vary")
        await here.pictures(5)


# --- original, info, show


async def test_the_original_is_sent_as_a_file_under_its_name(here: Chat) -> None:
    shown = await here.gives(file(0), file(1), Output(n=2, node="1", name="words", text="two foxes"))
    for answer in (await here.press(shown, "Original"), await here.say("/original"), await here.say("/original 1")):
        files = answer.message.media
        assert [one.document for one in files] == [True, True]
        assert [one.blob for one in files] == [one.blob for one in shown.message.media]
        assert [one.name for one in files] == [f"make-{key(shown)}-{n}.png" for n in (1, 2)]


async def test_in_a_group_original_and_info_are_for_whoever_asks(here: Chat) -> None:
    shown = await here.send(Said(text="/make a fox"), chat="group", direct=False)
    await here.network.until(lambda: shown.message.media)
    for label in ("Original", "Info"):
        body = Pressed(payload=shown.button(label), message_id=shown.id)
        answer = await here.send(body, "bob", "group", direct=False)
        assert answer.message.private_to == "fake:bob"
    answer = await here.send(Said(text=f"/original {key(shown)}"), "bob", "group", direct=False)
    assert answer.message.private_to == "fake:bob"


async def test_info_tells_all_that_is_needed_to_do_it_again(here: Chat) -> None:
    begun = datetime.now(UTC) + timedelta(seconds=90)
    ended = begun + timedelta(seconds=8)
    shown = await here.gives(file(0), text="/effect --seed 5", files=PHOTO_SENT, started_at=begun, ended_at=ended)
    told = (await here.press(shown, "Info")).text
    for part in ("workflow: effect", "seed: 5", "photo: image/png", "ran: 8.0 s", "server: fake", "attempts: 1"):
        assert part in told
    assert f"asked: {datetime.now(UTC):%Y-%m-%d}" in told
    assert 80 < float(told.partition("waited: ")[2].split()[0]) < 100


async def test_a_job_is_shown_in_any_chat_and_its_buttons_live_there(here: Chat) -> None:
    shown = await here.made()
    elsewhere = await here.send(Said(text=f"/show {key(shown)}"), chat="elsewhere")
    assert elsewhere.message.chat.chat == "elsewhere"
    assert labels(elsewhere) == labels(shown)
    body = Pressed(payload=elsewhere.button("Vary"), message_id=elsewhere.id)
    await here.send(body, chat="elsewhere")
    pictures = await here.pictures(6)
    assert [one.message.chat.chat for one in pictures] == ["room", *["elsewhere"] * 5]


async def test_regen_goes_back_five_runs_and_no_further(here: Chat) -> None:
    prompts = [f"fox number {n}" for n in range(6)]
    for prompt in prompts:
        await here.made(f"/make {prompt}")
    assert "number" in (await here.say("/regen 6")).text
    await here.say("/regen 5")
    await here.pictures(7)
    assert (await here.jobs())[-1].values["prompt"] == prompts[1]


# --- who may, and where there are no buttons


async def test_others_may_make_more_of_what_they_see_and_it_is_theirs(here: Chat) -> None:
    shown = await here.made()
    for n, label in enumerate(("Vary", "Upscale", "Again")):
        await here.press(shown, label, "bob")
        await here.pictures((5, 6, 7)[n])
    mine, *theirs = await here.jobs()
    assert len(theirs) == 6
    assert mine.person not in {job.person for job in theirs}
    assert (
        len(await here.runtime.store.find(ORDERS, {"person": theirs[0].person, "state": "closed"}, order="created"))
        == 3
    )


async def test_numbers_do_what_the_buttons_do(tmp_path: Path) -> None:
    async with chat(tmp_path, can=with_capabilities(buttons=NUMBERS)) as here:

        async def number(shown: Shown, label: str) -> Shown:
            lines = [line.partition(". ") for line in shown.text.splitlines() if ". " in line]
            return await here.say(next(n for n, _, said in lines if label in said))

        shown = await here.made()
        assert (await number(shown, "Original")).message.media[0].document
        await number(shown, "Upscale")
        *_, larger = await here.pictures(3)
        await number(larger, "Upscale")
        await here.pictures(4)
        here.backend.hold = True
        await here.say("/make a fox")
        await here.say("/make an owl")
        told = await here.say("/status")
        await number(told, "Cancel all")
        await here.network.until(lambda: sum("Cancelled" in text for text in here.network.texts) >= 2)


# --- an order with several jobs


async def test_the_card_counts_the_variations_and_its_place_is_taken_by_the_last(here: Chat) -> None:
    await here.made()
    here.backend.hold = True
    card = await here.say("/vary --count 3")
    await here.network.until(lambda: len(here.backend.runs) > 1)
    here.backend.finish(list(here.backend.runs)[1])
    await here.network.until(lambda: "1 of 3 done" in card.text)
    assert labels(card) == ["Cancel"]
    assert not card.message.media
    here.backend.hold = False
    here.backend.finish()
    await here.network.until(lambda: card.message.media)
    assert len(here.network.shown) == 4
    assert len({key(shown) for shown in await here.pictures(4)}) == 4


async def test_cancel_on_the_card_ends_what_is_left_and_says_it_once(here: Chat) -> None:
    await here.made()
    here.backend.hold = True
    card = await here.say("/vary --count 4")
    await here.network.until(lambda: len(here.backend.runs) > 1)
    here.backend.finish(list(here.backend.runs)[1])
    await here.network.until(lambda: "1 of 4 done" in card.text)
    await here.network.receive(here.network.event(Pressed(payload=card.button("Cancel"), message_id=card.id)))
    await here.network.until(lambda: "Cancelled after 1 of 4" in card.text)
    assert len(here.network.shown) == 3
    assert [job.state for job in (await here.jobs())[1:]].count("cancelled") == 3


async def test_one_variation_is_cancelled_from_the_status_and_the_others_go_on(here: Chat) -> None:
    await here.made()
    here.backend.hold = True
    card = await here.say("/vary --count 3")
    told = await here.say("/status")
    one = (await here.jobs())[-1]
    assert (await here.press(told, one.key[:4])).text in (words.CANCELLED, words.CANCELLING)
    await here.network.until(lambda: "1 of 3 done" in card.text)
    here.backend.hold = False
    here.backend.finish()
    await here.network.until(lambda: card.message.media)
    assert {job.key: job.state for job in (await here.jobs())[1:] if job.state != "done"} == {one.key: "cancelled"}


async def test_variations_are_one_of_the_last_runs(here: Chat) -> None:
    for prompt in ("an owl", "a fox"):
        await here.made(f"/make {prompt}")
    await here.say("/vary")
    await here.pictures(6)
    await here.say("/regen 3")
    await here.pictures(7)
    assert (await here.jobs())[-1].values["prompt"] == "an owl"


# --- where there are no forms


async def test_tweak_is_a_menu_of_all_inputs_with_the_values_used(here: Chat) -> None:
    shown = await here.made("/make a red fox --seed 7")
    menu = await here.press(shown, "Tweak")
    assert labels(menu) == ["prompt: a red fox", "seed: 7", "▶️ Run"]
    asked = await here.press(menu, "prompt")
    assert "What should prompt be" in asked.text
    menu = await here.say("a blue owl")
    assert labels(menu) == ["prompt: a blue owl", "seed: 7", "▶️ Run"]
    await here.press(menu, "seed")
    assert "seed" in (await here.say("many")).text
    menu = await here.say("8")
    assert len(await here.jobs()) == 1, "nothing runs before it is said"
    await here.press(menu, "Run")
    await here.pictures(2)
    assert {name: (await here.jobs())[1].values[name] for name in ("prompt", "seed")} == {
        "prompt": "a blue owl",
        "seed": 8,
    }
    assert (await here.press(menu, "Run")).text == chat_words.BUTTON_GONE


async def test_the_line_of_the_menu_does_the_same(here: Chat) -> None:
    menu = await here.press(await here.made("/make a red fox --seed 7"), "Tweak")
    (line,) = [line for line in menu.text.splitlines() if line.startswith("/make")]
    await here.made(line)
    first, second = await here.jobs()
    assert first.values == second.values


async def test_a_menu_keeps_the_picture_that_was_used_until_another_one_is_sent(here: Chat) -> None:
    here.network.files["other"] = WHITE_PIXEL
    shown = await here.made("/effect", files=PHOTO_SENT)
    menu = await here.press(shown, "Tweak")
    assert "photo: as sent" in labels(menu)
    await here.press(menu, "Run")
    await here.pictures(2)
    menu = await here.press(shown, "Tweak")
    await here.press(menu, "photo")
    menu = await here.say("", files=(FileRef(platform="fake", ref="other", mime="image/png"),))
    await here.press(menu, "Run")
    await here.pictures(3)
    used = [next(iter(job.files.values())).sha256 for job in await here.jobs()]
    assert used[0] == used[1] != used[2]


async def test_a_file_that_answers_a_question_is_what_was_asked_for(tmp_path: Path) -> None:
    mask = Input(name="mask", type="image", targets=(("1", "mask"),))
    graph = {"1": {"class_type": "FakeImage", "inputs": {**GRAPH["1"]["inputs"], "mask": ""}}}  # type: ignore[dict-item] # a graph
    two = replace(EFFECT, graph=graph, inputs=(PHOTO, mask, SEED))
    async with chat(tmp_path, workflows=[two]) as here:
        here.network.files["other"] = WHITE_PIXEL
        menu = await here.press(await here.made("/effect", files=PHOTO_SENT), "Tweak")
        await here.press(menu, "mask")
        sound = FileRef(platform="fake", ref="x", mime="audio/mpeg")
        assert "mask" in (await here.say("", files=(sound,))).text
        menu = await here.say("", files=(FileRef(platform="fake", ref="other", mime="image/png"),))
        assert [label for label in labels(menu) if "sent" in label] == ["photo: as sent", "mask: as sent"]
        await here.press(menu, "Run")
        await here.pictures(2)
        job = (await here.jobs())[1]
        assert job.files[str(job.values["photo"])] != job.files[str(job.values["mask"])]


async def test_a_menu_belongs_to_who_asked_for_it(here: Chat) -> None:
    menu = await here.press(await here.made(), "Tweak")
    for label in ("prompt", "Run"):
        assert (await here.press(menu, label, sender="bob")).text == chat_words.NOT_YOURS


async def test_running_a_menu_leaves_its_open_question(here: Chat) -> None:
    menu = await here.press(await here.made(), "Tweak")
    await here.press(menu, "prompt")
    await here.press(menu, "Run")
    await here.pictures(2)
    assert "begin with a slash" in (await here.say("a blue owl")).text
