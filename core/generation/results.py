"""What a finished job shows, and the buttons under it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..chat.buttons import OnJob, Verb
from ..chat.graphemes import shorten
from ..chat.markup import escape
from ..chat.messages import Button, Media, Reply
from ..errors import Gone
from . import words
from .jobs import RESULTS, Job, Result

if TYPE_CHECKING:
    from ..gateway import Runtime

BadEnd = Literal["failed", "expired", "cancelled"]
CAPTION_CHARACTERS = 300
"""Of a prompt, under its picture."""


def prompt_of(job: Job) -> str:
    """What the person asked to see, cut to a caption."""
    return shorten(str(job.values.get("prompt", "")), CAPTION_CHARACTERS)


def reply(job: Job, results: Sequence[Result]) -> Reply:
    """The result message: words, media, buttons. The same whenever it is shown again."""
    texts = [escape(result.text) for result in results if result.blob is None]
    media = tuple(
        Media(blob=result.blob, name=file_name(job, result), alt=prompt_of(job) or job.title)
        for result in results
        if result.blob is not None
    )
    head = f"**{escape(job.title)}**"
    if prompt := prompt_of(job):
        head = f"{head} · {escape(prompt)}"
    notes = [f"⚠️ {escape(note)}" for note in job.notes]
    return Reply(text="\n\n".join([head, *texts, *notes]), media=media, buttons=buttons(job))


def file_name(job: Job, result: Result) -> str:
    """What people save it as: the server's own names say nothing."""
    suffix = result.blob.suffix if result.blob else ".txt"
    return f"{job.workflow}-{job.key}-{result.n + 1}{suffix}"


def buttons(job: Job) -> tuple[tuple[Button, ...], ...]:
    """Again, tweak, info; hide and rate."""

    def button(label: str, verb: Verb) -> Button:
        return Button(label=label, payload=OnJob(job=job.key, verb=verb).payload)

    return (
        (button(words.AGAIN, "again"), button(words.TWEAK, "tweak"), button(words.INFO, "info")),
        (button(words.HIDE, "hide"), button(words.UP, "up"), button(words.DOWN, "down")),
    )


def info(job: Job) -> str:
    """Workflow, inputs, seed, times, server: all that is needed to run it again."""
    lines = [f"**{escape(job.title)}** · job `{job.key}` · {job.state}"]
    lines += [f"- {escape(name)}: {escape(str(value))}" for name, value in job.said.items()]
    if job.run_ms:
        lines.append(f"- time: {job.run_ms / 1000:.1f} s on {escape(job.backend)}")
    lines.append(f"- asked: {job.created:%Y-%m-%d %H:%M} UTC")
    if job.words:
        lines.append(f"- {escape(job.words)}")
    return "\n".join(lines)


async def result_blob(runtime: "Runtime", key: str) -> bytes:
    """The bytes of one result. Raises Gone when it has none, or they went."""
    result = await runtime.store.get(RESULTS, key)
    if result is None or result.blob is None:
        raise Gone(words.OUTPUT_GONE)
    return b"".join([piece async for piece in runtime.blobs.open(result.blob.sha256)])
