"""A card that moves under somebody's hands: the focus, a slow press, and what is read aloud. In a real Chromium."""

from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Locator, expect

from chatelier import Button, ChatRef, Media, Receipt
from chatelier.core.testing.scripted import describe
from test_web_page import BUTTONS, Visit, result, visit
from web_gateway import Running, outgoing, picture, running

pytestmark = pytest.mark.browser

CANCEL = [[Button(label="Cancel", payload="j.1.cancel", style="danger")]]


@dataclass
class Card:
    """A running job's card, which changes when a test says so."""

    here: Running
    me: Visit
    chat: ChatRef
    receipt: Receipt

    @property
    def shown(self) -> Locator:
        return self.me.page.locator(".message:not(.mine)").last

    async def step(self, percent: int) -> None:
        """A bit further, with another preview; returns when the page shows it."""
        raw = picture(f"rgb({percent}, 0, 0)")
        preview = Media(blob=describe(raw), name="p.png", inline=raw)
        look = outgoing(self.chat, f"{percent} %", media=[preview], buttons=CANCEL)
        await self.here.web.edit(self.receipt, look)
        await expect(self.shown.locator(".text")).to_have_text(f"{percent} %")

    async def done(self) -> None:
        look = outgoing(self.chat, "a red fox", media=[await result(self.here)], buttons=BUTTONS)
        await self.here.web.edit(self.receipt, look)
        await expect(self.shown.get_by_role("button", name="Again")).to_be_visible()


async def card(here: Running, me: Visit) -> Card:
    chat = await me.chat()
    receipt = await here.web.send(outgoing(chat, "0 %", buttons=CANCEL))
    return Card(here, me, chat, receipt)


async def test_the_focus_stays_on_cancel_while_the_card_moves(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        moving = await card(here, me)
        cancel = moving.shown.get_by_role("button", name="Cancel")
        await cancel.focus()
        for percent in (10, 20, 30):
            await moving.step(percent)
            await expect(cancel).to_be_focused()
        await expect(moving.shown.locator(".preview img")).to_have_js_property("naturalWidth", 320)
        await moving.done()
        # Cancel is gone; whoever was there is still at this message, and the next Tab leads on in it.
        await expect(moving.shown).to_be_focused()
        await me.page.keyboard.press("Tab")
        assert await moving.shown.evaluate("message => message.contains(document.activeElement)")


async def test_the_focus_goes_to_the_button_that_does_the_same(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        receipt = await here.web.send(outgoing(chat, "a fox", media=[await result(here)], buttons=BUTTONS))
        info = me.page.get_by_role("button", name="Info")
        await info.focus()
        more = [[Button(label="New", payload="j.1.new"), *BUTTONS[0]]]
        await here.web.edit(receipt, outgoing(chat, "a fox", media=[await result(here)], buttons=more))
        await expect(me.page.get_by_role("button", name="New")).to_be_visible()
        await expect(info).to_be_focused()


async def test_pressing_by_keyboard_keeps_the_focus_and_counts_once(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        await here.web.send(outgoing(chat, "a fox", buttons=BUTTONS))
        again = me.page.get_by_role("button", name="Again")
        await again.focus()
        gateway, here.web._gateway = here.web._gateway, None
        here.web.tabs.close_all()
        await again.press("Enter")
        await expect(again).to_be_disabled()
        await again.press("Enter")
        await expect(again).to_be_focused()
        here.web._gateway = gateway
        await expect(again).to_be_enabled()
        await expect(again).to_be_focused()
        assert [event.body.type for event in here.gateway.events] == ["said", "pressed"]


async def test_a_slow_click_works_though_the_card_moved_meanwhile(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        moving = await card(here, me)
        await moving.step(10)
        await moving.shown.get_by_role("button", name="Cancel").hover()
        await me.page.mouse.down()
        await moving.step(20)
        await moving.step(30)
        await me.page.mouse.up()
        pressed = (await here.gateway.next_event()).body
        assert pressed.type == "pressed"
        assert pressed.payload == "j.1.cancel"


async def test_progress_is_not_read_aloud_and_the_result_is_once(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        moving = await card(here, me)
        told = me.page.locator("#told")
        await me.page.evaluate(LISTEN)
        for percent in (10, 20, 30):
            await moving.step(percent)
        await expect(moving.shown).to_have_attribute("aria-live", "off")
        await moving.done()
        await expect(told).to_contain_text("a red fox")
        assert await me.page.evaluate("heard.length") == 1
        assert await told.get_attribute("role") == "status"


LISTEN = """() => {
  window.heard = [];
  new MutationObserver(() => heard.push(told.textContent)).observe(told, { childList: true });
}"""


async def test_a_picture_that_is_looked_at_keeps_the_focus_when_its_words_change(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        media = [await result(here)]
        receipt = await here.web.send(outgoing(chat, "one", media=media))
        frame = me.page.get_by_role("button", name="Enlarge")
        await frame.focus()
        await here.web.edit(receipt, outgoing(chat, "two", media=media))
        await expect(me.page.locator(".message").last).to_contain_text("two")
        await expect(frame).to_be_focused()
        await here.web.edit(receipt, outgoing(chat, "three", media=[*media, await result(here, "gold")]))
        await expect(me.page.locator(".message").last.get_by_role("button", name="Enlarge")).to_have_count(2)
        await expect(frame.first).to_be_focused()
        await here.web.edit(receipt, outgoing(chat, "four"))
        await expect(frame).to_have_count(0)
