"""What a job gave: its bytes from the backend into the blob store, and the record of each result."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import cast

from ..clock import Clock
from ..errors import BadInput, ChatelierError, Gone, OperatorMust, Refused, Unavailable
from ..log import get_logger
from ..media.blob import Blob, Blobs
from ..media.references import refer
from ..storage import Tx
from ..supervise import in_time
from . import words
from .backend import Attempt, Backend, Output
from .jobs import RESULTS, Job, Result, result_owner

log = get_logger(__name__)

QUICK_SECONDS = 1.0
"""Results that are here within so long are stored together with the end of their job."""
QUICK_OUTPUTS = 4
"""At most so many of them."""
OUTPUTS_AT_ONCE = 4
"""Results of one job that are fetched at a time."""
LONGEST_TEXT = 12_000
"""Characters; a longer text is a file. About three messages of the smaller networks."""
MAY_PASS = (OperatorMust, Unavailable, TimeoutError)
"""Why a result is not here yet, but may be later: a full disk, a server that does not answer."""
NOT_FETCHED = (Gone, BadInput, Refused, *MAY_PASS)


class Fetching:
    """The outputs of one attempt. backend: raises Unavailable when it is not configured any more."""

    def __init__(self, blobs: Blobs, clock: Clock, backend: Callable[[], Backend], attempt: Attempt) -> None:
        self._blobs = blobs
        self._clock = clock
        self._backend = backend
        self._attempt = attempt

    async def quickly(self, outputs: Sequence[Output]) -> Mapping[int, Blob | None]:
        """By their numbers, the bytes of those that are here in no time, None for a text."""
        here: dict[int, Blob | None] = {}

        async def fetch() -> None:
            for output in outputs[:QUICK_OUTPUTS]:
                here[output.n] = await self._bytes_of(output)

        try:
            await in_time(fetch(), self._clock.sleep(QUICK_SECONDS))
        except (ChatelierError, TimeoutError) as error:  # what is wrong, the longer way tells
            log.debug("results take longer", error=str(error))
        return here

    async def all(
        self, outputs: Sequence[Output], seconds: float, store: Callable[[Output, Blob | None], Awaitable[None]]
    ) -> list[Exception]:
        """Why some of these are not stored, or nothing. All have one limit in time. Raises what has to do with none of them."""
        until, at_once = self._clock.monotonic() + seconds, asyncio.Semaphore(OUTPUTS_AT_ONCE)

        async def fetch(output: Output) -> None:
            await store(output, await self._bytes_of(output))

        async def one(output: Output) -> None:
            async with at_once:
                await in_time(fetch(output), self._clock.sleep(max(0.0, until - self._clock.monotonic())))

        found = await asyncio.gather(*map(one, outputs), return_exceptions=True)
        failures = [failure for failure in found if failure is not None]
        if other := next((failure for failure in failures if not isinstance(failure, NOT_FETCHED)), None):
            raise other
        return cast(list[Exception], failures)

    async def _bytes_of(self, output: Output) -> Blob | None:
        """None for a text, unless it is so long that nobody reads it in a chat."""
        if output.text is None:
            return await self._blobs.put(self._backend().fetch(self._attempt, output))
        return await self._blobs.put(_in_bytes(output.text)) if len(output.text) > LONGEST_TEXT else None


async def keep(tx: Tx, job: Job, output: Output, blob: Blob | None) -> Result:
    """The result's record, and its claim on the bytes. blob: None for a text."""
    if blob is not None:
        await refer(tx, result_owner(job.key, output.n), blob)
    return await tx.insert(
        RESULTS,
        Result(
            key=f"{job.key}.{output.n}",
            job=job.key,
            n=output.n,
            name=output.name,
            blob=blob,
            text=(output.text or "") if blob is None else "",
            created=tx.now,
        ),
    )


def says_something(output: Output) -> bool:
    return output.text is None or bool(output.text.strip())


def why_not_fetched(failure: Exception) -> str:
    """In words for who ordered it."""
    match failure:
        case BadInput() | Refused():
            return words.output_unusable(str(failure))
        case OperatorMust():
            return words.DISK_FULL
        case _:
            return words.OUTPUT_GONE


async def _in_bytes(text: str) -> AsyncIterator[bytes]:
    yield text.encode()
