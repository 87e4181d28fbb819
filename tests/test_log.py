"""Every line says what it is about, and none holds a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatelier.core import log
from chatelier.core.testing.logs import sent_to

CANARY = "canary-71f2\"quoted\\and'more"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with sent_to(stream):
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_time_level_and_logger(stream: io.StringIO) -> None:
    log.get_logger("chatelier.test").warning("took long", seconds=3)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"], line["seconds"]) == (
        "took long",
        "warning",
        "chatelier.test",
        3,
    )
    assert line["timestamp"].endswith("Z")


async def test_each_task_has_its_own_context(stream: io.StringIO) -> None:
    logger = log.get_logger("chatelier.test")

    async def work(job: str) -> None:
        with log.context(order="o", job=job):
            await asyncio.sleep(0)
            logger.info("worked", expected=job)

    await asyncio.gather(work("a"), work("b"))
    logger.info("outside")
    first, second, outside = lines(stream)
    assert [line["job"] == line["expected"] for line in (first, second)] == [True, True]
    assert "job" not in outside


def test_the_standard_library_goes_the_same_way(stream: io.StringIO) -> None:
    with log.context(job="j1"):
        logging.getLogger("some.library").error("could not %s", "open", extra={"path": "/x"})
    (line,) = lines(stream)
    assert (line["event"], line["job"], line["logger"], line["path"]) == ("could not open", "j1", "some.library", "/x")


def test_a_traceback_is_part_of_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("oh")
    except ValueError:
        log.get_logger("chatelier.test").exception("failed")
        logging.getLogger("some.library").exception("failed")
    assert all("ValueError: oh" in line["exception"] for line in lines(stream))


def test_libraries_that_say_every_url_are_quiet(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://example.com")
    assert not lines(stream)


def test_a_terminal_gets_pretty_lines_without_secrets() -> None:
    stream = io.StringIO()
    with sent_to(io.StringIO()):
        log.configure(stream=stream, pretty=True)
        try:
            raise ValueError("token=abc123")
        except ValueError:
            log.get_logger("chatelier.test").exception("failed", job="j1")
    text = stream.getvalue()
    assert not text.startswith("{")
    assert "failed" in text
    assert "ValueError" in text
    assert "abc123" not in text


def test_a_known_secret_is_nowhere_however_it_is_spelt(stream: io.StringIO) -> None:
    log.hide([CANARY])
    logger = log.get_logger("chatelier.test")
    said = f"said {CANARY}"
    logger.info(said, value=CANARY, inside={"deep": [CANARY]}, url=f"https://x/?q={quote(CANARY, safe='')}")
    logging.getLogger("some.library").error("%r", {"value": CANARY})
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("failed")
    assert "canary" not in stream.getvalue()
    assert len(lines(stream)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.telegram.org/bot123456:AAF-secretpart_x/getMe",
        "https://example.com/view?token=secretpart&a=1",
        "https://example.com/view?a=1&api_key=secretpart",
        "https://example.com/view?a=1&X-Signature=secretpart",
        "mongodb://user:secretpart@db.example.com/x",
        "Authorization: Bearer secretpart.secretpart",
        "password=secretpart",
    ],
)
def test_secrets_of_a_known_form_are_taken_out_of_any_text(text: str) -> None:
    hidden = log.redact(text)
    assert "secretpart" not in hidden
    assert log.HIDDEN in hidden


@pytest.mark.parametrize(
    "text", ["https://example.com/view?a=1&filename=x.png", "http://[::1]:8080/x@y", "a token: the red fox"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert log.redact(text) == text


@pytest.mark.parametrize(
    "name", ["token", "console_token", "PASSWORD", "authorization", "api-key", "secret.reply", "client_secret"]
)
def test_what_is_called_a_secret_is_hidden(stream: io.StringIO, name: str) -> None:
    log.get_logger("chatelier.test").info("x", native={name: "hush-hush", "chat": "seen"}, items=[{name: "hush-hush"}])
    assert "hush-hush" not in stream.getvalue()
    assert lines(stream)[0]["native"]["chat"] == "seen"


def test_names_that_only_sound_alike_are_shown(stream: io.StringIO) -> None:
    log.get_logger("chatelier.test").info("x", tokens=77, key="rec1", token="")
    (line,) = lines(stream)
    assert (line["tokens"], line["key"], line["token"]) == (77, "rec1", "")


@given(st.lists(st.text(min_size=log.SHORTEST, max_size=40), min_size=1, max_size=5), st.text())
def test_no_text_ever_holds_a_secret(values: list[str], around: str) -> None:
    secrets = log.Secrets()
    secrets.add(values)
    hidden = secrets.take_out("".join(f"{around}\n{value}\n{around}" for value in values))
    assert not [value for value in values if value in hidden and value.strip("*\n ")]
