"""What a finished job shows, and the buttons under it."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from ..chat.buttons import OnJob, Verb
from ..chat.graphemes import shorten
from ..chat.markup import escape
from ..chat.messages import Button, Media, Reply
from ..errors import Gone
from ..media.blob import Blob
from ..points import words as point_words
from . import words
from .jobs import RESULTS, Job, Result

if TYPE_CHECKING:
    from ..gateway import Runtime

BadEnd = Literal["failed", "expired", "cancelled"]
UNTOLD = frozenset({".bin", ".txt"})
"""Suffixes of bytes that say little of what they are: 3D models in words, latents."""
CAPTION_CHARACTERS = 300
"""Of a prompt, under its picture."""
AT_ONCE = 6
"""Jobs of one order that a button or `/vary` makes: as many as the pictures of one run, where its author says nothing else."""
SEEN = ("image", "animation", "video")
"""Kinds that a network may scale or compress to show them."""


def prompt_of(job: Job) -> str:
    """What the person asked to see, cut to a caption."""
    return shorten(str(job.values.get("prompt", "")), CAPTION_CHARACTERS)


def reply(job: Job, results: Sequence[Result], offers: Collection[Verb] = ()) -> Reply:
    """The result message: words, media, buttons. The same whenever it is shown again.

    offers: what else the catalogue can do with it (`workflow_commands.offers`).
    """
    texts = [escape(result.text) for result in results if result.blob is None]
    head = f"**{escape(job.title)}**"
    if prompt := prompt_of(job):
        head = f"{head} · {escape(prompt)}"
    notes = [f"⚠️ {escape(note)}" for note in (*job.notes, *(() if results else (words.RESULT_GONE,)))]
    text = "\n\n".join([head, *texts, *notes])
    return Reply(text=text, media=media_of(job, results), buttons=buttons(job, results, offers))


def nothing_more(_: str) -> Collection[Verb]:
    """Where there is no catalogue."""
    return ()


def media_of(job: Job, results: Sequence[Result]) -> tuple[Media, ...]:
    """The files among them, to be shown."""
    return tuple(
        Media(blob=result.blob, name=file_name(job, result), alt=prompt_of(job) or job.title)
        for result in results
        if result.blob is not None
    )


def originals(job: Job, results: Sequence[Result]) -> tuple[Media, ...]:
    """Pictures and videos, to be sent as the files that they are."""
    return tuple(
        Media(blob=one.blob, name=one.name, alt=one.alt, document=True)
        for one in media_of(job, results)
        if one.blob.kind in SEEN
    )


def pictures(results: Sequence[Result]) -> tuple[Blob, ...]:
    """Those that can be enlarged, `AT_ONCE` at a time."""
    return tuple(result.blob for result in results if result.blob is not None and result.blob.kind == "image")


def file_name(job: Job, result: Result) -> str:
    """What people save it as: the server's own names say nothing but, of a file that is not known by its bytes, the kind."""
    suffix = result.blob.suffix if result.blob else ".txt"
    if suffix in UNTOLD and re.fullmatch(r"\.[A-Za-z0-9]{1,8}", own := PurePosixPath(result.name).suffix):
        suffix = own
    return f"{job.workflow}-{job.key}-{result.n + 1}{suffix}"


def buttons(job: Job, results: Sequence[Result], offers: Collection[Verb]) -> tuple[tuple[Button, ...], ...]:
    """Make another one; do something with this one; say what it is worth. Three a row, which fits a phone."""
    enlarged = pictures(results)
    can: dict[Verb, bool] = {
        "vary": "vary" in offers,
        "upscale": "upscale" in offers and bool(enlarged),
        "original": bool(originals(job, results)),
    }
    rows: tuple[tuple[tuple[Verb, str], ...], ...] = (
        (("again", words.AGAIN), ("vary", words.VARY), ("tweak", words.TWEAK)),
        (("upscale", words.upscale(len(enlarged), AT_ONCE)), ("original", words.ORIGINAL), ("info", words.INFO)),
        (("hide", words.HIDE), ("up", words.UP), ("down", words.DOWN)),
    )
    return tuple(
        tuple(
            Button(label=label, payload=OnJob(job=job.key, verb=verb).payload)
            for verb, label in row
            if can.get(verb, True)
        )
        for row in rows
    )


def info(job: Job) -> str:
    """Workflow, inputs, seed, times, server: all that is needed to run it again."""
    lines = [f"**{escape(job.title)}** · job `{job.key}` · {job.state}", f"- workflow: `{job.workflow}`"]
    for name, value in job.values.items():
        file = job.files.get(str(value))
        lines.append(f"- {escape(name)}: {escape(file.mime if file else str(value))}")
    lines += [f"- {line}" for line in _times(job)]
    if job.backend:
        lines.append(f"- server: {escape(job.backend)} · attempts: {job.attempts}")
    if job.words:
        lines.append(f"- {escape(job.words)}")
    return "\n".join(lines)


def _times(job: Job) -> Iterator[str]:
    """When it was asked for, how long it waited and how long it ran, as far as it has come."""
    yield f"asked: {job.created:%Y-%m-%d %H:%M} UTC"
    if job.started:
        # The one by the backend's clock, the other by the store's.
        yield f"waited: {max(0.0, (job.started - job.created).total_seconds()):.1f} s"
    if job.run_ms:
        yield f"ran: {job.run_ms / 1000:.1f} s"
    if job.price is not None and not job.open:
        yield f"cost: {point_words.cost(job.cost, job.written_off)}"


async def result_blob(runtime: "Runtime", key: str) -> bytes:
    """The bytes of one result. Raises Gone when it has none, or they went."""
    result = await runtime.store.get(RESULTS, key)
    if result is None or result.blob is None:
        raise Gone(words.OUTPUT_GONE)
    return b"".join([piece async for piece in runtime.blobs.open(result.blob.sha256)])
