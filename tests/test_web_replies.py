"""Answering a message that was said before: with which keys it is asked for, and that nobody answers what is not theirs."""

import pytest
from playwright.async_api import Browser, expect

from chatelier import Called, Said
from test_web_page import result, visit
from test_web_platform import page
from web_gateway import outgoing, running


async def test_an_answer_names_the_message_and_keeps_it() -> None:
    async with running() as here, page(here) as tab:
        receipt = await here.web.send(outgoing(tab.visitor.chat, "a fox"))
        await tab.say(type="say", id="message-1", text="/mirror", reply_to=receipt.ids[0])
        assert (await tab.hears("ack"))["id"] == "message-1"
        assert (await here.gateway.next_event()).body == Said(text="/mirror", reply_to=receipt.ids[0])
        await tab.say(type="call", id="message-2", command="mirror", reply_to=receipt.ids[0])
        assert (await here.gateway.next_event()).body == Called(command="mirror", reply_to=receipt.ids[0])
        assert [each["reply_to"] for each in (await tab.hello())["messages"]] == ["", receipt.ids[0], receipt.ids[0]]


async def test_ones_own_message_is_answered_by_the_key_that_its_event_has() -> None:
    async with running() as here, page(here) as tab:
        await tab.say(type="say", id="message-1", text="look")
        first = await here.gateway.next_event()
        key = (await tab.hello())["messages"][0]["key"]
        await tab.say(type="say", id="message-2", text="/mirror", reply_to=key)
        second = (await here.gateway.next_event()).body
        assert isinstance(second, Said)
        assert second.reply_to in first.keys


async def test_what_others_were_told_and_what_is_gone_cannot_be_answered() -> None:
    async with running() as here, page(here) as one, page(here) as other:
        theirs = await here.web.send(outgoing(other.visitor.chat, "for others"))
        gone = await here.web.send(outgoing(one.visitor.chat, "soon gone"))
        await here.web.delete(gone)
        for n, key in enumerate([theirs.ids[0], gone.ids[0], "nothing"]):
            await one.say(type="say", id=f"message-{n}", text="/mirror", reply_to=key)
            assert "no longer there" in (await one.hears("refused"))["words"]
        assert here.gateway.events == []


@pytest.mark.browser
async def test_by_keyboard_a_message_is_answered_and_the_answer_shows_to_what(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        receipt = await here.web.send(outgoing(chat, "a fox", media=[await result(here)]))
        reply = me.page.locator(".message:not(.mine)").get_by_role("button", name="Reply")
        await reply.focus()
        await reply.press("Enter")
        quoted = me.page.get_by_role("group", name="In answer to")
        await expect(quoted).to_contain_text("a fox")
        await expect(quoted.locator("img")).to_have_js_property("naturalWidth", 320)
        await expect(me.box).to_be_focused()
        assert (await me.say("/effect")).body == Said(text="/effect", reply_to=receipt.ids[0])
        await expect(quoted).to_be_hidden()
        await expect(me.page.locator(".mine .quote").last).to_contain_text("a fox")
        assert (await me.say("/status")).body == Said(text="/status")
        await me.page.reload()
        await expect(me.page.locator(".mine .quote")).to_have_count(1)


@pytest.mark.browser
async def test_the_quote_is_taken_away_by_its_button_and_with_its_message(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        receipt = await here.web.send(outgoing(chat, "a fox"))
        reply = me.page.locator(".message:not(.mine)").get_by_role("button", name="Reply")
        quoted = me.page.get_by_role("group", name="In answer to")
        await reply.click()
        await quoted.get_by_role("button", name="Remove the quote").click()
        await expect(quoted).to_be_hidden()
        await expect(me.box).to_be_focused()
        await reply.click()
        await expect(quoted).to_be_visible()
        await here.web.delete(receipt)
        await expect(quoted).to_be_hidden()
        assert (await me.say("hello")).body == Said(text="hello")


@pytest.mark.browser
async def test_the_options_of_an_answer_need_no_file(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        chat = await me.chat()
        receipt = await here.web.send(outgoing(chat, media=[await result(here)]))
        await me.page.locator(".message:not(.mine)").get_by_role("button", name="Reply").click()
        await me.box.fill("/effect")
        await me.page.get_by_role("button", name="Fill in the options of /effect").click()
        await me.page.get_by_role("dialog").get_by_role("button", name="Send").click()
        assert (await here.gateway.next_event()).body == Called(command="effect", reply_to=receipt.ids[0])
