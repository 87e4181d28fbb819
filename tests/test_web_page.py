"""The page in a real Chromium."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, FilePayload, Page, expect

from chatelier import Ask, BadInput, Button, Called, ChatRef, Event, FirstAnswer, Form, Media, Option, Said, Submitted
from chatelier.core.settings import Http
from chatelier.core.testing.scripted import describe
from chatelier.platforms.web.records import FILES
from web_gateway import Running, outgoing, picture, running

pytestmark = pytest.mark.browser


@dataclass
class Visit:
    """One open page, and what must not have happened on it."""

    here: Running
    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    @property
    def box(self) -> Any:
        return self.page.locator("#say")

    async def say(self, text: str) -> Event:
        await self.box.fill(text)
        await self.box.press("Escape")
        await self.box.press("Enter")
        return await self.here.gateway.next_event()

    async def chat(self) -> ChatRef:
        return (await self.say("hello")).chat

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self._check(request.url))

    def _hear(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.complaints.append(line.text)

    def _check(self, url: str) -> None:
        if not url.startswith((self.here.url, "data:", "blob:")):
            self.complaints.append(f"asked another host: {url}")


@asynccontextmanager
async def visit(browser: Browser, here: Running, **context: Any) -> AsyncIterator[Visit]:
    opened = await browser.new_context(**context)
    found = Visit(here, await opened.new_page(), opened)
    found.page.set_default_timeout(5000)
    found.watch()
    await found.page.goto(here.url)
    await found.page.locator("#examples li").first.wait_for(state="attached")
    yield found
    await opened.close()
    assert found.complaints == []


async def test_a_message_goes_out_and_its_answer_comes_back(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await expect(me.page.locator("#welcome")).to_be_visible()
        event = await me.say("/make a red fox in the snow")
        assert event.body == Said(text="/make a red fox in the snow")
        await expect(me.page.locator(".message.mine .text")).to_have_text("/make a red fox in the snow")
        await expect(me.page.locator(".message.mine .sign")).to_have_text("Sent")
        await expect(me.box).to_have_value("")
        await here.web.send(outgoing(event.chat, "on it"))
        await expect(me.page.locator(".message:not(.mine) .text")).to_have_text("on it")
        await expect(me.page.locator("#welcome")).to_be_hidden()


async def test_an_example_is_one_tap_away(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await me.page.get_by_role("button", name="/make a red fox in the snow").click()
        assert (await here.gateway.next_event()).body == Said(text="/make a red fox in the snow")


async def test_everything_is_there_after_a_reload_also_what_came_meanwhile(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        await me.page.goto("about:blank")
        for n in range(30):
            await here.web.send(outgoing(chat, f"while you were away {n}"))
        await me.page.goto(here.url)
        await expect(me.page.locator(".message")).to_have_count(31)
        await expect(me.page.locator(".message").last).to_be_in_viewport()
        await expect(me.page.locator("#jump")).to_be_hidden()


async def test_progress_changes_in_place_and_ends_as_a_picture(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        await here.web.signal(chat, "busy")
        await expect(me.page.locator("#busy")).to_be_visible()
        preview = Media(blob=describe(picture("teal")), name="p.png", inline=picture("teal"))
        receipt = await here.web.send(outgoing(chat, "50 %", media=[preview]))
        await expect(me.page.locator(".preview img")).to_have_js_property("naturalWidth", 320)
        await expect(me.page.locator("#busy")).to_be_hidden()
        done = await result(here)
        await here.web.edit(receipt, outgoing(chat, "a red fox", media=[done], buttons=BUTTONS))
        image = me.page.locator(".message:not(.mine) img")
        await expect(image).to_have_js_property("naturalWidth", 320)
        await expect(image).to_have_attribute("alt", "a red fox")
        await expect(me.page.locator(".message:not(.mine)")).to_have_count(1)
        await me.page.get_by_role("button", name="Again").click()
        pressed = (await here.gateway.next_event()).body
        assert pressed.type == "pressed"
        assert pressed.message_id == receipt.ids[0]
        await expect(me.page.get_by_role("button", name="Again")).to_be_enabled()


BUTTONS = [[Button(label="Again", payload="j.1.again"), Button(label="Info", payload="j.1.info")]]


async def result(here: Running, colour: str = "tomato") -> Media:
    return Media(blob=await here.gateway.blobs.keep(picture(colour)), name=f"{colour}.png", alt="a red fox")


async def test_pictures_open_large_and_are_walked_by_keyboard(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        await here.web.send(outgoing(chat, media=[await result(here), await result(here, "gold")]))
        first = me.page.locator(".picture").first
        await first.focus()
        await me.page.keyboard.press("Enter")
        large = me.page.locator("#large")
        await expect(large).to_be_visible()
        before = await large.get_attribute("src")
        await me.page.keyboard.press("ArrowRight")
        assert await large.get_attribute("src") != before
        await me.page.keyboard.press("ArrowRight")
        assert await large.get_attribute("src") == before
        await me.page.keyboard.press("Escape")
        await expect(large).to_be_hidden()
        await expect(first).to_be_focused()


async def test_a_picture_that_is_no_longer_kept_says_so(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        media = await result(here)
        here.gateway.blobs.kept.clear()
        await here.web.send(outgoing(chat, media=[media]))
        await expect(me.page.locator(".lost")).to_contain_text("no longer kept")
        assert [line for line in me.complaints if "410" in line] == me.complaints
        me.complaints.clear()


NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><b>x"


async def test_nothing_that_people_write_becomes_markup(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        dialogs: list[str] = []
        me.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        event = await me.say(NASTY)
        await expect(me.page.locator(".mine .text")).to_have_text(NASTY)
        await here.web.send(outgoing(event.chat, NASTY, buttons=[[Button(label=NASTY[:80], payload="x")]]))
        await expect(me.page.locator(".message:not(.mine) .text")).to_have_text(NASTY)
        media = await result(here)
        nasty = Media(blob=media.blob, name=NASTY, alt=NASTY)
        await here.web.send(outgoing(event.chat, media=[nasty]))
        await expect(me.page.locator(".picture img")).to_have_attribute("alt", NASTY)
        await here.web.signal(event.chat, "seen", event.keys[-1])
        await expect(me.page.locator(".mine .sign")).to_have_text("Seen")
        assert await me.page.locator("#log script, #log b, #log [onerror]").count() == 0
        assert dialogs == []


async def test_markup_that_should_never_come_is_shown_as_text(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        html = '<p onclick="x">fine</p><iframe src="/"></iframe><a href="javascript:x">y</a>'
        texts = {"key": "k", "id": "", "text": "", "html": html, "reply_to": "", "sign": "", "at": ""}
        wire = texts | {"place": 9, "mine": False, "media": [], "buttons": [], "private": True}
        here.web.tabs.tell(chat.chat, {"type": "message", "message": wire})
        last = me.page.locator(".message").last
        await expect(last).to_contain_text("<iframe")
        assert await last.locator("iframe, [onclick], a[href]").count() == 0
        await expect(last).to_contain_text("only you see this")
        assert all("event handler" in line for line in me.complaints)
        me.complaints.clear()


async def test_commands_are_completed_by_keyboard(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await me.box.press_sequentially("/m")
        options = me.page.get_by_role("option")
        await expect(options).to_have_count(1)
        await expect(me.box).to_have_attribute("aria-expanded", "true")
        await expect(me.box).to_have_attribute("aria-activedescendant", "choice-0")
        await me.box.press("Enter")
        await expect(me.box).to_have_value("/make ")
        await expect(me.page.locator("#hint")).to_contain_text("--width 64…2048")
        await me.box.press_sequentially("a fox --w")
        await expect(options).to_contain_text(["--width 64…2048"])
        await me.box.press("Tab")
        await expect(me.box).to_have_value("/make a fox --width ")
        await me.box.press_sequentially("512 --style ")
        await expect(options).to_have_count(2)
        await me.box.press("ArrowDown")
        await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        await me.box.press("Enter")
        await expect(me.box).to_have_value('/make a fox --width 512 --style "oil on canvas" ')
        await me.box.press_sequentially("--tile ")
        await expect(options).to_have_count(2)
        await me.box.press("Escape")
        await expect(options).to_have_count(0)
        await me.box.press("Enter")
        body = (await here.gateway.next_event()).body
        assert body == Said(text='/make a fox --width 512 --style "oil on canvas" --tile')


async def test_shift_enter_is_a_new_line_and_the_box_grows(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        low = await me.box.bounding_box()
        await me.box.press_sequentially("one")
        for _ in range(3):
            await me.box.press("Shift+Enter")
        await me.box.press_sequentially("two")
        high = await me.box.bounding_box()
        assert high["height"] > low["height"] + 30
        await me.box.press("Enter")
        assert (await here.gateway.next_event()).body == Said(text="one\n\n\ntwo")


async def test_a_picture_is_added_seen_removed_and_sent(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        files: list[FilePayload] = [
            {"name": "<b>fox.png", "mimeType": "image/png", "buffer": picture()},
            {"name": "gold.png", "mimeType": "image/png", "buffer": picture("gold")},
        ]
        await me.page.locator("#files").set_input_files(files)
        await expect(me.page.locator("#tray li:not(.uploading)")).to_have_count(2)
        async with me.page.expect_response(lambda answer: answer.request.method == "DELETE") as taken_away:
            await me.page.get_by_role("button", name="Remove gold.png").click()
        assert (await taken_away.value).status == 204
        await me.box.press("Enter")
        body = (await here.gateway.next_event()).body
        assert isinstance(body, Said)
        assert [file.name for file in body.files] == ["<b>fox.png"]
        await expect(me.page.locator(".mine img")).to_have_js_property("naturalWidth", 320)
        await expect(me.page.locator("#tray")).to_be_hidden()
        assert len(await here.gateway.store.find(FILES, order="created_at")) == 1


TRANSFER = """([target, kind, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "held.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.querySelector(target).dispatchEvent(event);
}"""


@pytest.mark.parametrize(("target", "kinds"), [("#say", ["paste"]), ("main", ["dragenter", "dragover", "drop"])])
async def test_a_picture_can_be_pasted_and_dropped(browser: Browser, target: str, kinds: list[str]) -> None:
    async with running() as here, visit(browser, here) as me:
        for kind in kinds:
            await me.page.evaluate(TRANSFER, [target, kind, base64.b64encode(picture()).decode()])
        await expect(me.page.locator("#tray li:not(.uploading) img")).to_have_count(1)
        await expect(me.page.locator("#drop")).to_be_hidden()
        await me.box.press("Enter")
        body = (await here.gateway.next_event()).body
        assert isinstance(body, Said)
        assert body.files[0].name == "held.png"


async def test_a_file_that_is_refused_says_why_and_leaves(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await me.page.locator("#files").set_input_files(FilePayload(name="empty.png", mimeType="image/png", buffer=b""))
        await expect(me.page.locator(".toast")).to_contain_text("empty")
        await expect(me.page.locator("#tray")).to_be_hidden()
        assert all("400" in line for line in me.complaints)
        me.complaints.clear()


async def test_a_form_is_checked_filled_in_and_sent(browser: Browser) -> None:
    fields = (
        Option(name="width", type="integer", label="Width", required=True, minimum=64, maximum=2048),
        Option(name="tile", type="boolean", label="Tile"),
        Option(name="image", type="image", label="Picture"),
    )

    async def ask(event: Event) -> FirstAnswer:
        if isinstance(event.body, Submitted) and event.body.values["width"] == 666:
            raise BadInput("Any width but that one.")
        return Ask(form=Form(key="f1", title="Tweak", fields=fields)) if isinstance(event.body, Said) else None

    async with running() as here, visit(browser, here) as me:
        here.gateway.answer = ask
        await me.say("/tweak")
        sheet = me.page.get_by_role("dialog", name="Tweak")
        width = sheet.get_by_label("Width")
        await expect(width).to_be_focused()
        await width.fill("5000")
        await width.press("Enter")
        await expect(sheet.locator(".wrong").first).to_contain_text("2048")
        await expect(width).to_have_attribute("aria-invalid", "true")
        await width.fill("666")
        await width.press("Enter")
        await expect(sheet.locator("#form-error")).to_have_text("Any width but that one.")
        await width.fill("512")
        await sheet.get_by_label("Tile").check()
        await sheet.get_by_label("Picture").set_input_files(
            FilePayload(name="a.png", mimeType="image/png", buffer=picture())
        )
        await sheet.get_by_role("button", name="Send").click()
        body = (await here.gateway.next_event()).body
        assert isinstance(body, Submitted)
        assert (body.values["width"], body.values["tile"]) == (512, True)
        assert set(body.values) == {"width", "tile", "image"}
        await expect(sheet).to_be_hidden()


async def test_a_command_can_be_filled_in_with_typed_fields(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await me.box.fill("/make a fox --width 768")
        await me.page.get_by_role("button", name="Fill in the options of /make").click()
        sheet = me.page.get_by_role("dialog", name="/make")
        await expect(sheet.get_by_label("prompt")).to_have_value("a fox")
        await expect(sheet.get_by_label("width")).to_have_value("768")
        await sheet.get_by_label("style").select_option("ink")
        await sheet.get_by_role("button", name="Send").click()
        body = (await here.gateway.next_event()).body
        assert isinstance(body, Called)
        assert body.command == "make"
        assert body.options["prompt"] == "a fox"
        assert (body.options["width"], body.options["style"]) == (768, "ink")


async def test_what_is_refused_stays_in_the_box(browser: Browser) -> None:
    async def no(event: Event) -> FirstAnswer:
        raise BadInput("There is no /mkae. Did you mean /make?")

    async with running() as here, visit(browser, here) as me:
        here.gateway.answer = no
        await me.box.fill("/mkae a fox")
        await me.box.press("Enter")
        await expect(me.page.locator(".toast")).to_contain_text("Did you mean /make?")
        await expect(me.box).to_have_value("/mkae a fox")
        await expect(me.page.locator(".message")).to_have_count(0)


async def test_what_is_said_without_a_connection_arrives_later_once(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        gateway, here.web._gateway = here.web._gateway, None
        here.web.tabs.close_all()
        await expect(me.page.locator("#banner")).to_be_visible()
        await me.box.fill("kept for later")
        await me.box.press("Enter")
        await expect(me.page.locator(".pending .text")).to_have_text("kept for later")
        await me.page.reload()
        here.web._gateway = gateway
        event = await here.gateway.next_event()
        assert event.body == Said(text="kept for later")
        assert event.chat == chat
        await expect(me.page.locator("#banner")).to_be_hidden()
        await expect(me.page.locator(".mine .text")).to_have_text(["hello", "kept for later"])
        await expect(me.page.locator(".pending")).to_have_count(0)
        assert len(here.gateway.events) == 2


async def test_new_messages_do_not_pull_a_reader_away(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        for n in range(40):
            await here.web.send(outgoing(chat, f"line {n}"))
        await expect(me.page.locator(".message").last).to_be_in_viewport()
        await me.page.locator("#scroll").evaluate("(main) => { main.scrollTop = 0; }")
        await expect(me.page.locator(".message").first).to_be_in_viewport()
        await here.web.send(outgoing(chat, "the latest"))
        jump = me.page.get_by_role("button", name="New messages")
        await expect(jump).to_be_visible()
        await expect(me.page.locator(".message").first).to_be_in_viewport()
        await jump.click()
        await expect(me.page.get_by_text("the latest")).to_be_in_viewport()
        await expect(jump).to_be_hidden()


@pytest.mark.parametrize("system", ["light", "dark"])
async def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser, system: Any) -> None:
    async with running() as here, visit(browser, here, color_scheme=system) as me:
        colour = "() => getComputedStyle(document.body).backgroundColor"
        before = await me.page.evaluate(colour)
        assert (sum(map(int, before.strip("rgb()").split(","))) < 380) == (system == "dark")
        toggle = me.page.get_by_role("button", name="Dark theme")
        await expect(toggle).to_have_attribute("aria-pressed", str(system == "dark").lower())
        await toggle.click()
        chosen = await me.page.evaluate(colour)
        assert chosen != before
        await me.page.reload()
        assert await me.page.evaluate(colour) == chosen


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
async def test_nothing_sticks_out_sideways(browser: Browser, width: int) -> None:
    async with running() as here, visit(browser, here, viewport={"width": width, "height": 700}) as me:
        chat = await me.chat()
        media = [await result(here, colour) for colour in ("tomato", "gold", "teal")]
        rows = [[Button(label=f"A rather long label {n}", payload=str(n)) for n in range(5)]]
        await here.web.send(outgoing(chat, "w" * 300, media=media, buttons=rows))
        await me.box.fill("/make x --w")
        await expect(me.page.get_by_role("option")).to_have_count(1)
        for root in ("document.documentElement", "document.getElementById('scroll')"):
            assert await me.page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
        for control in await me.page.locator("button:visible").all():
            box = await control.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


async def test_a_screen_reader_finds_its_way(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        await me.chat()
        await expect(me.page.get_by_role("log", name="Conversation")).to_have_attribute("aria-live", "polite")
        await expect(me.page.get_by_role("combobox", name="Message")).to_be_focused()
        unnamed = await me.page.evaluate(
            "() => [...document.querySelectorAll('button, input, textarea, a')]"
            ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.ariaHidden)).map((e) => e.outerHTML)"
        )
        assert unnamed == []
        await here.web.send(outgoing((await me.say("x")).chat, "answer"))
        await expect(me.page.locator(".message").last).to_contain_text("Chatelier: answer")


async def test_with_a_token_the_page_opens_after_it_is_entered(browser: Browser) -> None:
    async with running(Http(port=0, token="open sesame")) as here:  # type: ignore[arg-type] # pydantic makes it a secret
        context = await browser.new_context()
        page = await context.new_page()
        page.set_default_timeout(5000)
        await page.goto(here.url)
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_role("status")).to_contain_text("not right")
        await page.get_by_label("Token").fill("open sesame")
        await page.get_by_role("button", name="Open").click()
        await page.locator("#examples li").first.wait_for()
        await page.locator("#say").fill("hello")
        await page.locator("#say").press("Enter")
        assert (await here.gateway.next_event()).body == Said(text="hello")
        await context.close()


async def test_two_tabs_and_an_older_history(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        second = await me.context.new_page()
        await second.goto(here.url)
        await expect(second.locator(".message")).to_have_count(1)
        await me.say("from the first tab")
        await expect(second.locator(".message")).to_have_count(2)
        await asyncio.gather(*(here.web.send(outgoing(chat, str(n))) for n in range(5)))
        receipt = await here.web.send(outgoing(chat, "goes"))
        await here.web.delete(receipt)
        for page in (me.page, second):
            await expect(page.locator(".message")).to_have_count(7)
