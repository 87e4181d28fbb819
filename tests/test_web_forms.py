"""Forms of the page that are closed, opened again, or sent with less in them than before. In a real Chromium."""

import pytest
from playwright.async_api import Browser, Locator, expect

from chatelier import Ask, Event, FirstAnswer, Form, Option, Said, Submitted
from test_web_page import Visit, visit
from web_gateway import Running, running

pytestmark = pytest.mark.browser

PROMPT = Option(name="prompt", label="Prompt", required=True, rest=True)
NEGATIVE = Option(name="negative", label="Negative prompt")
STYLE = Option(name="style", label="Style")
STEPS = Option(name="steps", label="Steps", type="integer", default=20)


def asking(here: Running, form: Form) -> None:
    """Each command is answered with this form."""

    async def ask(event: Event) -> FirstAnswer:
        is_command = isinstance(event.body, Said) and event.body.text.startswith("/")
        return Ask(form=form) if is_command else None

    here.gateway.answer = ask


def sheet(me: Visit) -> Locator:
    return me.page.get_by_role("dialog", name="Make")


async def test_a_form_that_was_closed_leaves_a_note_that_opens_it_again(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        asking(here, Form(key="a.1", title="Make", fields=(PROMPT, STEPS)))
        await me.say("/make")
        await sheet(me).get_by_label("Prompt").press("Escape")
        note = me.page.locator(".mine .note")
        await expect(note).to_contain_text("/make waits for: Prompt. Write it here, or open the form again.")
        await note.get_by_role("button", name="Open the form").press("Enter")
        await expect(note).to_have_count(0)
        await sheet(me).get_by_role("button", name="Cancel").click()
        await note.get_by_role("button", name="Open the form").click()
        await sheet(me).get_by_label("Prompt").fill("a fox")
        await sheet(me).get_by_role("button", name="Send").click()
        assert (await here.gateway.next_event()).body == Submitted(form="a.1", values={"prompt": "a fox", "steps": 20})
        await expect(sheet(me)).to_be_hidden()
        await expect(note).to_have_count(0)


async def test_the_note_goes_when_the_question_is_answered_in_a_message(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        asking(here, Form(key="a.1", title="Make", fields=(PROMPT,)))
        await me.say("/make")
        await sheet(me).get_by_label("Prompt").press("Escape")
        await expect(me.page.locator(".note")).to_have_count(1)
        assert (await me.say("a fox")).body == Said(text="a fox")
        await expect(me.page.locator(".note")).to_have_count(0)


async def test_a_form_in_which_nothing_must_be_filled_in_leaves_no_note(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        asking(here, Form(key="a.1", title="Make", fields=(PROMPT, STEPS), values={"prompt": "a fox"}))
        await me.say("/tweak")
        await sheet(me).get_by_label("Prompt").press("Escape")
        await expect(sheet(me)).to_be_hidden()
        await expect(me.page.locator(".note")).to_have_count(0)


async def test_a_text_that_was_emptied_is_sent_as_empty_and_one_that_was_empty_is_not(browser: Browser) -> None:
    async with running() as here, visit(browser, here) as me:
        known: dict[str, str | int | float | bool] = {"prompt": "a fox", "negative": "blurry", "steps": 5}
        asking(here, Form(key="a.1", title="Make", fields=(PROMPT, NEGATIVE, STYLE, STEPS), values=known))
        await me.say("/tweak")
        await sheet(me).get_by_label("Negative prompt").fill("")
        await sheet(me).get_by_label("Steps").fill("")
        await sheet(me).get_by_role("button", name="Send").click()
        body = (await here.gateway.next_event()).body
        assert body == Submitted(form="a.1", values={"prompt": "a fox", "negative": ""})
