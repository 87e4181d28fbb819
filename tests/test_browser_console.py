"""The operator's page in a real Chromium: charts that can be seen and heard, and buttons that do what they say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from test_console import Here, console
from workday import a_day, keep

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 900}}
DARK = {**DESK, "color_scheme": "dark"}
CHARTS = ("Waiting and running", "Finished an hour")

pytestmark = pytest.mark.browser


@asynccontextmanager
async def opened(browser: Browser, here: Here, **context: Any) -> AsyncIterator[Page]:
    """The page after a day of work; at the end nothing must have gone wrong on it."""
    await keep(here.runtime.store, a_day(here.runtime.clock.now(), ["fake"]))
    visit = await browser.new_context(locale="en-GB", **context)
    page = await visit.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda asked: None if asked.url.startswith(here.url) else wrong.append(asked.url))
    await page.goto(f"{here.url}/console")
    yield page
    await visit.close()
    assert wrong == []


@pytest.mark.parametrize("context", [DESK, DARK, PHONE], ids=["desk", "dark", "phone"])
async def test_the_charts_are_drawn_named_and_fit(browser: Browser, tmp_path: Path, context: dict[str, Any]) -> None:
    async with console(tmp_path) as here, opened(browser, here, **context) as page:
        for name in CHARTS:
            chart = page.get_by_role("img", name=name)
            box = await chart.bounding_box()
            assert box is not None
            assert 60 <= box["height"] <= 200
            assert 0 < box["width"] <= context["viewport"]["width"]
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # The content security policy lets no style of an element through: what colours the shapes has to come from the sheet.
        seen = "(kind) => getComputedStyle(document.querySelector(`rect.${kind}`)).fill"
        fills = [await page.evaluate(seen, kind) for kind in ("done", "bad")]
        assert len({*fills, "rgb(0, 0, 0)"}) == 3


async def test_an_opened_table_stays_open_while_the_page_looks_again(browser: Browser, tmp_path: Path) -> None:
    async with console(tmp_path) as here, opened(browser, here, **DESK) as page:
        figure = page.locator("figure.finished")
        await figure.get_by_text("As a table").click()
        await expect(figure.get_by_role("columnheader", name="not done")).to_be_visible()
        assert await figure.get_by_role("row").count() == 25
        await page.evaluate("document.activeElement.blur()")
        async with page.expect_response("**/console/now", timeout=10_000):
            pass
        await expect(figure.get_by_role("columnheader", name="not done")).to_be_visible()


async def test_backends_and_the_gateway_are_drained_with_a_click(browser: Browser, tmp_path: Path) -> None:
    async with console(tmp_path) as here, opened(browser, here, **DESK) as page:
        await page.get_by_role("button", name="Drain fake").click()
        await expect(page.get_by_role("button", name="Enable fake")).to_be_visible(timeout=10_000)
        assert here.runtime.fleet.members["fake"].standing.draining
        await page.get_by_role("button", name="Enable fake").click()
        await expect(page.get_by_role("button", name="Disable fake")).to_be_visible(timeout=10_000)
        await page.get_by_role("button", name="Drain the gateway").click()
        await expect(page.get_by_role("status")).to_contain_text("no orders are taken")
        await page.get_by_role("button", name="Take orders again").click()
        await expect(page.get_by_role("status")).to_have_count(0)
