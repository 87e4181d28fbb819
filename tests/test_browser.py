"""A real Chromium at the real gateway: what somebody sees who opens the page for the first time.

SCREENSHOTS=1 writes the pictures of docs/ anew.
"""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, FilePayload, Locator, Page, Response, expect

from chatelier.core.generation.jobs import JOBS
from files import picture
from gateways import PATIENCE, Here, configured, gateway
from workday import a_day, keep

DOCS = Path(__file__).parent.parent / "docs"
FOX = "/make a red fox in the snow"
SMALL = " --width 256 --height 256 --steps 4"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
WAIT_MS = PATIENCE * 1000

pytestmark = pytest.mark.browser


@dataclass
class Visit:
    """The open page, and what must not have happened on it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    @property
    def messages(self) -> Locator:
        """What the gateway said."""
        return self.page.locator(".message:not(.mine)")

    @property
    def last(self) -> Locator:
        return self.messages.last

    def picture(self, within: Locator | None = None) -> Locator:
        return (within or self.last).locator("button.picture img")

    async def say(self, text: str) -> None:
        box = self.page.get_by_role("combobox", name="Message")
        await box.fill(text)
        await box.press("Escape")  # the list of suggestions
        await box.press("Enter")
        await expect(box).to_have_value("")

    async def press(self, name: str, within: Locator | None = None) -> None:
        await (within or self.last).get_by_role("button", name=name).click()

    async def result(self, count: int) -> Locator:
        """The message with this number, once it shows a finished picture with its buttons."""
        found = self.messages.nth(count - 1)
        await expect(self.picture(found)).to_have_js_property("complete", True, timeout=WAIT_MS)
        await expect(found.get_by_role("button", name="Again")).to_be_enabled()
        return found

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("response", self._judge)
        self.page.on("request", lambda request: self._check(request.url))

    def _hear(self, line: ConsoleMessage) -> None:
        by_itself = line.location["url"].endswith("/favicon.ico")  # the browser wants it, not the page
        if line.type in ("error", "warning") and not by_itself:
            self.complaints.append(line.text)

    def _judge(self, answer: Response) -> None:
        if not answer.ok:
            self.complaints.append(f"{answer.status} {answer.url}")

    def _check(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "about:")):
            self.complaints.append(f"asked another host: {url}")


@asynccontextmanager
async def visit(browser: Browser, here: Here, **context: Any) -> AsyncIterator[Visit]:
    opened = await browser.new_context(locale="en-GB", **context)
    found = Visit(await opened.new_page(), here.url)
    found.page.set_default_timeout(WAIT_MS)
    found.watch()
    await found.page.goto(here.url)
    await found.page.locator("#examples li").first.wait_for(state="attached")
    yield found
    await opened.close()
    assert found.complaints == []


def studio(folder: Path, seconds: float = 0) -> Any:
    """seconds: that each job takes longer than it needs."""
    return gateway(configured(folder, backends={"sketch": {"seconds": seconds}}))


async def test_a_first_picture_and_every_button_under_it(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.page.get_by_role("button", name=FOX).click()
        done = await me.result(1)
        await expect(done).to_contain_text("a red fox in the snow")
        await expect(me.picture(done)).to_have_js_property("naturalWidth", 768)

        await me.press("Again", done)
        again = await me.result(2)
        assert await me.picture(again).get_attribute("src") != await me.picture(done).get_attribute("src")

        await me.press("Tweak", done)
        form = me.page.get_by_role("dialog")
        await expect(form.get_by_label("Prompt", exact=True)).to_have_value("a red fox in the snow")
        await form.get_by_label("Steps").fill("5")
        await form.get_by_label("Width").fill("384")
        await form.get_by_role("button", name="Send").click()
        await expect(form).to_be_hidden()
        tweaked = await me.result(3)
        await expect(me.picture(tweaked)).to_have_js_property("naturalWidth", 384)

        await me.press("Info", tweaked)
        await expect(me.messages.nth(3)).to_contain_text("steps: 5")
        await me.press("👍", tweaked)
        await expect(me.messages.nth(4)).to_have_text(re.compile("Thank you"))

        await me.press("Hide", done)
        await expect(me.messages.first).to_contain_text("Hidden")
        await expect(me.picture(me.messages.first)).to_have_count(0)
        await me.press("Show", me.messages.first)
        await me.result(6)

        await me.page.reload()
        await expect(me.messages).to_have_count(6)
        await expect(me.messages.nth(3)).to_contain_text("steps: 5")
        await me.press("Again", me.messages.nth(2))
        await me.result(7)


async def test_the_card_moves_while_the_picture_is_made(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path, seconds=8) as here, visit(browser, here) as me:
        await me.say("/make a lighthouse at dusk --width 640 --height 640 --steps 32")
        await expect(me.last).to_contain_text("%")
        first = await me.last.inner_text()
        preview = me.last.locator(".preview img")
        await expect(preview).to_be_visible()
        assert await preview.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        await expect(me.last).not_to_have_text(first)
        done = await me.result(1)
        await expect(me.messages).to_have_count(1)
        await expect(done.locator(".preview")).to_have_count(0)
        await expect(me.page.locator("#busy")).to_be_hidden()


async def test_a_picture_chosen_and_a_picture_dropped_are_changed(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.page.locator("#files").set_input_files(
            FilePayload(name="chosen.png", mimeType="image/png", buffer=picture("PNG", 120, 80))
        )
        await expect(me.page.locator("#tray .uploading")).to_have_count(0)
        await me.say("/effect an old oil painting --steps 2")
        await expect(me.page.locator(".message.mine img")).to_have_js_property("naturalWidth", 120)
        await me.result(1)

        data = base64.b64encode(picture("JPEG", 100, 60)).decode()
        await me.page.evaluate(DROP, data)
        await expect(me.page.locator("#tray img")).to_be_visible()
        await expect(me.page.locator("#tray .uploading")).to_have_count(0)
        await me.say("/upscale")
        await expect(me.picture(await me.result(2))).to_have_js_property("naturalWidth", 200)


DROP = """data => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
  for (const type of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


async def test_what_came_while_the_page_was_closed_is_there_afterwards(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path, seconds=1) as here, visit(browser, here) as me:
        await me.say(FOX + SMALL)
        await expect(me.messages).to_have_count(1)
        await me.page.goto("about:blank")
        changes = here.runtime.store.changes(JOBS)
        async with asyncio.timeout(PATIENCE):
            while not await here.runtime.store.find(JOBS, {"state": "done"}, order="created", limit=1):
                await changes.wait(0.5)
        await me.page.goto(here.url)
        await me.result(1)
        await expect(me.messages).to_have_count(1)


async def test_a_job_is_cancelled_from_its_card(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path, seconds=30) as here, visit(browser, here) as me:
        await me.say(FOX + SMALL)
        await me.press("Cancel")
        await expect(me.last).to_contain_text("Cancelled. It cost nothing.")
        await expect(me.last.get_by_role("group")).to_have_count(0)
        await expect(me.messages).to_have_count(1)


async def test_a_moving_card_can_be_used_by_keyboard_and_by_a_slow_hand(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path, seconds=20) as here, visit(browser, here) as me:
        await me.say(f"{FOX} --width 256 --height 256 --steps 40")
        cancel = me.last.get_by_role("button", name="Cancel")
        await cancel.focus()
        await expect(me.last).to_contain_text("%")
        for _ in range(3):
            before = await me.last.inner_text()
            await expect(me.last).not_to_have_text(before, use_inner_text=True)
            await expect(cancel).to_be_focused()
        await cancel.hover()
        await me.page.mouse.down()
        before = await me.last.inner_text()
        await expect(me.last).not_to_have_text(before, use_inner_text=True)
        await me.page.mouse.up()
        await expect(me.last).to_contain_text("Cancelled.")


async def test_a_picture_that_was_made_is_answered_with_mirror(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.say(FOX + SMALL)
        done = await me.result(1)
        await me.press("Reply", done)
        await expect(me.page.get_by_role("group", name="In answer to")).to_contain_text("a red fox in the snow")
        await me.say("/mirror")
        mirrored = await me.result(2)
        await expect(me.picture(mirrored)).to_have_js_property("naturalWidth", 512)
        await expect(me.page.locator(".mine .quote")).to_contain_text("a red fox in the snow")

        await me.page.locator("#files").set_input_files(
            FilePayload(name="own.png", mimeType="image/png", buffer=picture("PNG", 60, 40))
        )
        await expect(me.page.locator("#tray .uploading")).to_have_count(0)
        await me.say("what do you say to this?")
        await me.press("Reply", me.page.locator(".message.mine").last)
        await me.say("/mirror")
        await expect(me.picture(await me.result(4))).to_have_js_property("naturalWidth", 120)


async def test_a_negative_prompt_is_taken_away_again(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.say(f'{FOX} --negative "blurry hands"{SMALL}')
        done = await me.result(1)
        await me.press("Tweak", done)
        form = me.page.get_by_role("dialog")
        await expect(form.get_by_label("Negative")).to_have_value("blurry hands")
        await form.get_by_label("Negative").fill("")
        await form.get_by_role("button", name="Send").click()
        await me.result(2)
        jobs = await here.runtime.store.find(JOBS, order="created")
        assert [job.values["negative"] for job in jobs] == ["blurry hands", ""]


async def test_a_form_that_was_closed_is_answered_in_a_message(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.say("/make")
        await me.page.get_by_role("dialog").get_by_label("Prompt", exact=True).press("Escape")
        await expect(me.page.locator(".note")).to_contain_text("/make waits for: Prompt.")
        await me.say("a red fox in the snow")
        await expect(await me.result(1)).to_contain_text("a red fox in the snow")


async def test_it_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here, **PHONE) as me:
        await me.say(FOX + SMALL)
        done = await me.result(1)
        assert await me.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(me.picture(done)).to_be_in_viewport(ratio=1)
        for button in await done.get_by_role("group").get_by_role("button").all():
            box = await button.bounding_box()
            assert box is not None
            assert box["height"] >= 36
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        await done.get_by_role("button", name="Again").tap()
        await me.result(2)
        await expect(me.page.get_by_role("combobox", name="Message")).to_be_in_viewport()


async def test_a_wrong_option_is_answered_in_words_on_the_page(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.say("/make a fox --widht 512")
        await expect(me.last).to_contain_text("Did you mean --width?")
        await me.say(FOX + SMALL)
        await me.result(2)


async def test_the_operator_sees_what_was_made(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here, viewport={"width": 1200, "height": 1250}) as me:
        await keep(here.runtime.store, a_day(here.runtime.clock.now(), ["sketch"]))
        prompts = ["a red fox in the snow", "a lighthouse at dusk, oil on canvas", "a tea house in the rain"]
        for n, prompt in enumerate(prompts, start=1):
            await me.say(f"/make {prompt} --width 384 --height 384 --steps 20 --seed {n}")
            await me.result(n)
        await me.page.goto(f"{here.url}/console")
        for part in ("sketch", "web", "Make a picture"):
            await expect(me.page.get_by_text(part).first).to_be_visible()
        await expect(me.page.locator("img")).to_have_count(len(prompts))
        await screenshot(me.page, "console.png")


async def test_the_tour_shows_a_finished_picture(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here, viewport={"width": 1200, "height": 800}) as me:
        await me.say(f"{FOX} --seed 7 --width 832 --height 576")
        done = await me.result(1)
        await expect(me.picture(done)).to_be_in_viewport(ratio=1)
        await expect(done.get_by_role("button", name="👎")).to_be_in_viewport()
        await screenshot(me.page, "tour.png")


async def test_a_picture_is_varied_enlarged_and_had_as_a_file(browser: Browser, tmp_path: Path) -> None:
    async with studio(tmp_path) as here, visit(browser, here) as me:
        await me.say(FOX + SMALL)
        done = await me.result(1)
        await me.press("Vary", done)
        varied = [await me.result(n) for n in range(2, 6)]
        pictures = {await me.picture(one).get_attribute("src") for one in (done, *varied)}
        assert len(pictures) == 5

        await me.press("Upscale", done)
        await expect(me.picture(await me.result(6))).to_have_js_property("naturalWidth", 512)

        await me.press("Original", done)
        file = me.messages.nth(6).locator("a.file")
        async with me.page.expect_download() as loading:
            await file.click()
        saved = await loading.value
        assert re.fullmatch(r"make-\w{12}-1\.png", saved.suggested_filename)
        assert (await saved.path()).read_bytes().startswith(b"\x89PNG")


async def screenshot(page: Page, name: str) -> None:
    """Into docs/, when it is asked for."""
    if os.environ.get("SCREENSHOTS") == "1":
        await page.locator("main img[src^='/']:visible").evaluate_all(
            "images => Promise.all(images.map((image) => image.decode()))"
        )
        await expect(page.locator("#busy")).to_be_hidden(timeout=WAIT_MS)
        await page.screenshot(path=DOCS / name)
