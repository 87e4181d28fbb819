"""The account "web" over its real port: what is kept, what is told, what is refused."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatelier import (
    Ask,
    BadInput,
    Button,
    Called,
    ChatRef,
    Deletes,
    Edits,
    Event,
    FileRef,
    Finds,
    FirstAnswer,
    Form,
    Gone,
    Invoice,
    Media,
    Option,
    Outgoing,
    Platform,
    Pressed,
    Publishes,
    Refused,
    Said,
    Signals,
    Submitted,
    Unavailable,
)
from chatelier.core.settings import Http
from chatelier.core.testing.scripted import describe
from chatelier.platforms.web import Plugin
from chatelier.platforms.web.people import Visitor
from chatelier.platforms.web.settings import WebSettings
from chatelier.testing import FakeStore
from web_gateway import Running, outgoing, picture, running, settings_with

CHAT = ChatRef(platform="web", chat="somebody", direct=True)


class Page:
    """What the page's script does, without a browser."""

    def __init__(self, running: Running, cookie: str, socket: ClientConnection) -> None:
        self.running = running
        self.cookie = cookie
        self.visitor = Visitor(cookie.partition("=")[2], known=True)
        self._socket = socket

    async def say(self, **wire: Any) -> None:
        await self._socket.send(json.dumps(wire))

    async def hears(self, kind: str) -> dict[str, Any]:
        """The next message of this kind; others are passed over."""
        while True:
            wire: dict[str, Any] = json.loads(await self._socket.recv())
            if wire["type"] == kind:
                return wire

    async def hello(self) -> dict[str, Any]:
        await self.say(type="hello")
        return await self.hears("history")

    @property
    def headers(self) -> dict[str, str]:
        return {"Origin": self.running.url, "Cookie": self.cookie}

    async def upload(self, raw: bytes, name: str = "fox.png", **kwargs: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.running.url, trust_env=False, headers=self.headers) as browser:
            if not kwargs:
                kwargs = {"content": raw, "params": {"name": name}}
            return await browser.post("/chat/files", **kwargs)

    async def take_away(self, ref: str) -> int:
        async with httpx.AsyncClient(base_url=self.running.url, trust_env=False, headers=self.headers) as browser:
            return (await browser.delete(f"/chat/files/{ref}")).status_code


async def get(running: Running, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as browser:
        return await browser.get(path, headers=headers)


@asynccontextmanager
async def page(running: Running, cookie: str = "") -> AsyncIterator[Page]:
    cookie = cookie or (await get(running, "/")).headers["set-cookie"].partition(";")[0]
    url = running.url.replace("http", "ws") + "/chat/socket"
    headers = {"Cookie": cookie}
    async with connect(url, origin=running.url, additional_headers=headers, proxy=None) as socket:  # type: ignore[arg-type] # a plain str
        yield Page(running, cookie, socket)


async def test_what_is_said_reaches_the_gateway_and_stands_in_the_conversation() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        await tab.say(type="say", id="message-1", text="/make a fox", files=[])
        assert (await tab.hears("message"))["message"]["text"] == "/make a fox"
        assert (await tab.hears("ack"))["id"] == "message-1"
        event = await here.gateway.next_event()
        assert event.body == Said(text="/make a fox")
        assert event.sender == f"web:{event.chat.chat}"
        assert event.chat.direct
        assert (await tab.hello())["messages"][0]["text"] == "/make a fox"


async def test_a_resent_message_is_acknowledged_again_and_stands_there_once() -> None:
    async with running() as here, page(here) as tab:
        for _ in range(2):
            await tab.say(type="say", id="message-1", text="once")
            await tab.hears("ack")
        assert len(here.gateway.events) == 1
        assert len((await tab.hello())["messages"]) == 1


async def test_two_people_never_see_or_disturb_each_other() -> None:
    async with running() as here, page(here) as one, page(here) as other:
        for tab, text in ((one, "mine"), (other, "yours")):
            await tab.say(type="say", id="message-1", text=text)
            await tab.hears("ack")
        assert [message["text"] for message in (await one.hello())["messages"]] == ["mine"]
        assert [message["text"] for message in (await other.hello())["messages"]] == ["yours"]
        assert len({event.sender for event in here.gateway.events}) == 2
        assert one.visitor.cookie not in str(here.gateway.events)


async def test_all_tabs_of_a_person_show_the_same() -> None:
    async with running() as here, page(here) as one, page(here, one.cookie) as other:
        for tab in (one, other):
            await tab.hello()
        await one.say(type="say", id="message-1", text="hello")
        assert (await other.hears("message"))["message"]["text"] == "hello"
        await here.web.send(outgoing(one.visitor.chat, "and hello to you"))
        for tab in (one, other):
            while (message := (await tab.hears("message"))["message"])["mine"]:
                assert message["text"] == "hello"
            assert "and hello" in message["html"]


async def test_every_kind_of_act_becomes_its_event() -> None:
    async with running() as here, page(here) as tab:
        ref = (await tab.upload(picture())).json()["ref"]
        await tab.say(type="call", id="call-0001", command="effect", options={"image": {"file": ref}, "strength": 0.5})
        called = (await here.gateway.next_event()).body
        assert isinstance(called, Called)
        file = called.options["image"]
        assert isinstance(file, FileRef)
        assert b"".join([chunk async for chunk in here.web.read(file)]) == picture()
        assert called.options["strength"] == 0.5
        assert (await tab.hears("message"))["message"]["text"].startswith("/effect")
        await tab.say(type="press", id="press-001", payload="j.abc.again", message="m1")
        assert (await here.gateway.next_event()).body == Pressed(payload="j.abc.again", message_id="m1")
        await tab.say(type="submit", id="submit-01", form="f1", values={"width": 64, "tile": True})
        assert (await here.gateway.next_event()).body == Submitted(form="f1", values={"width": 64, "tile": True})


async def test_a_form_asked_as_the_first_answer_comes_to_the_tab_that_asked() -> None:
    form = Form(
        key="f1", title="More", fields=(Option(name="width", type="integer", minimum=64),), values={"width": 512}
    )

    async def ask(event: Event) -> FirstAnswer:
        return Ask(form=form)

    async with running() as here, page(here) as tab:
        here.gateway.answer = ask
        await tab.say(type="say", id="message-1", text="/tweak")
        asked = (await tab.hears("ask"))["form"]
        assert (asked["title"], asked["fields"][0]["minimum"], asked["values"]) == ("More", 64, {"width": 512})


@pytest.mark.parametrize(
    ("error", "words"), [(Unavailable("disk on fire"), "try again"), (BadInput("No such option."), "No such option.")]
)
async def test_what_was_not_taken_does_not_stand_there(error: Exception, words: str) -> None:
    async def fail(event: Event) -> FirstAnswer:
        raise error

    async with running() as here, page(here) as tab:
        here.gateway.answer = fail
        await tab.say(type="say", id="message-1", text="hello")
        refused = await tab.hears("refused")
        assert refused["id"] == "message-1"
        assert words in refused["words"]
        assert "disk" not in refused["words"]
        assert (await tab.hello())["messages"] == []
        here.gateway.answer = None
        await tab.say(type="say", id="message-1", text="hello")
        await tab.hears("ack")
        assert len((await tab.hello())["messages"]) == 1


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        ({"text": " \n "}, "Write something"),
        ({"text": "x" * 20_001}, "20,001 characters"),
        ({"text": "x", "files": ["nothing"]}, "Add it again"),
        ({"text": "x", "files": ["f"] * 11}, "At most 10"),
        ({"text": 5}, "Reload"),
        ({"text": "half \ud83e of a fox"}, "Half of a character"),
    ],
)
async def test_what_cannot_be_used_is_refused_in_words(wire: dict[str, Any], words: str) -> None:
    async with running() as here, page(here) as tab:
        await tab.say(type="say", id="message-1", **wire)
        refused = await tab.hears("refused")
        assert (refused["id"], words in refused["words"]) == ("message-1", True)
        assert here.gateway.events == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', '{"type":"steal"}', '{"type":"say","id":"../../etc"}', "\x00", "[" * 99_999],
    ids=lambda text: text[:12],
)
async def test_garbage_on_the_socket_hurts_nobody(text: str) -> None:
    async with running() as here, page(here) as tab:
        await tab._socket.send(text)
        assert (await tab.hears("refused"))["words"]
        await tab._socket.send(b"\xff\xfe")
        assert (await tab.hears("refused"))["words"]
        await tab.say(type="say", id="message-1", text="still here")
        await tab.hears("ack")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
async def test_a_number_that_is_none_is_refused_in_words_and_leaves_nothing(number: str) -> None:
    async with running() as here, page(here) as tab:
        await tab._socket.send(f'{{"type":"call","id":"message-1","command":"make","options":{{"width":{number}}}}}')
        refused = await tab.hears("refused")
        assert (refused["id"], "too large" in refused["words"]) == ("message-1", True)
        assert (await tab.hello())["messages"] == []


async def test_what_shows_as_nothing_is_left_out_of_a_text() -> None:
    async with running() as here, page(here) as tab:
        await tab.say(type="say", id="message-1", text="a\0 fox\0")
        assert (await here.gateway.next_event()).body == Said(text="a fox")
        await tab.say(type="say", id="message-2", text="\0")
        assert "Write something" in (await tab.hears("refused"))["words"]


async def test_a_fault_in_one_act_leaves_the_socket_and_says_so() -> None:
    async def fail(event: Event) -> FirstAnswer:
        raise ZeroDivisionError("in a plugin")

    async with running() as here, page(here) as tab:
        here.gateway.answer = fail
        with structlog.testing.capture_logs() as lines:
            await tab.say(type="say", id="message-1", text="hello")
            refused = await tab.hears("refused")
        assert (refused["id"], "fault" in refused["words"]) == ("message-1", True)
        assert "plugin" not in refused["words"]
        assert [type(line["exc_info"]) for line in lines] == [ZeroDivisionError]
        here.gateway.answer = None
        assert (await tab.hello())["messages"] == []
        await tab.say(type="say", id="message-2", text="still here")
        await tab.hears("ack")


async def test_a_history_that_cannot_be_read_closes_the_page_in_good_order() -> None:
    async with running() as here, page(here) as tab:
        store = here.gateway.store
        assert isinstance(store, FakeStore)
        store.trouble = ZeroDivisionError("in a store")
        with structlog.testing.capture_logs() as lines, pytest.raises(ConnectionClosed) as closed:
            await tab.hello()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert [type(line["exc_info"]) for line in lines] == [ZeroDivisionError]
        store.trouble = None


async def test_a_send_is_kept_before_it_returns_and_repeats_nothing() -> None:
    async with running() as here:
        message = outgoing(CHAT, "you were away")
        assert await here.web.find(message) == "absent"
        first = await here.web.send(message)
        assert await here.web.send(message) == first
        assert await here.web.find(message) == first
        kept = await here.web._conversations.latest(CHAT.chat, 10)
        assert [each.key for each in kept] == list(first.ids)


async def test_an_edit_changes_the_message_where_it_stands() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        chat = tab.visitor.chat
        receipt = await here.web.send(outgoing(chat, "10 %"))
        await here.web.send(outgoing(chat, "below"))
        edited = outgoing(chat, "done", buttons=[[Button(label="Again", payload="j.1.again")]])
        assert await here.web.edit(receipt, edited) == receipt
        seen = (await tab.hears("edit"))["message"]
        assert (seen["html"], seen["buttons"][0][0]["label"]) == ("<p>done</p>", "Again")
        assert await here.web.edit(receipt, edited) == receipt
        texts = [message["html"] for message in (await tab.hello())["messages"]]
        assert texts == ["<p>done</p>", "<p>below</p>"]


async def test_a_preview_is_shown_and_never_kept() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        preview = Media(blob=describe(picture()), name="preview.png", inline=picture())
        receipt = await here.web.send(outgoing(tab.visitor.chat, "50 %", media=[preview]))
        shown = (await tab.hears("message"))["message"]["media"][0]
        assert shown["preview"]
        assert shown["src"].startswith("data:image/png;base64,")
        await here.web.edit(receipt, outgoing(tab.visitor.chat, "50 %", media=[preview]))
        assert (await tab.hears("edit"))["message"]["media"]
        assert (await tab.hello())["messages"][0]["media"] == []


async def test_a_deleted_message_is_gone_for_all_and_is_not_sent_again() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        message = outgoing(tab.visitor.chat, "oops")
        receipt = await here.web.send(message)
        await here.web.delete(receipt)
        assert (await tab.hears("delete"))["key"] == receipt.ids[0]
        await here.web.delete(receipt)
        assert await here.web.find(message) != "absent"
        assert (await tab.hello())["messages"] == []
        with pytest.raises(Gone):
            await here.web.edit(receipt, message)


async def put(here: Running, data: bytes) -> Media:
    return Media(blob=await here.gateway.blobs.keep(data), name="fox & friends.png", alt="a fox")


async def test_a_picture_is_shown_by_an_address_that_says_nothing_about_it() -> None:
    async with running() as here, page(here) as tab:
        media = await put(here, picture())
        receipt = await here.web.send(outgoing(tab.visitor.chat, media=[media]))
        src = (await tab.hello())["messages"][0]["media"][0]["src"]
        assert media.blob.sha256 not in src
        answer = await get(here, src)
        assert (answer.content, answer.headers["content-type"]) == (picture(), "image/png")
        assert "private" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert (await get(here, f"{src}?download")).headers["content-disposition"].startswith("attachment")
        await here.web.edit(receipt, outgoing(tab.visitor.chat, "kept", media=[media]))
        assert (await tab.hello())["messages"][0]["media"][0]["src"] == src
        here.gateway.blobs.kept.clear()
        gone = await get(here, src)
        assert (gone.status_code, "no longer kept" in gone.text) == (410, True)
        await here.web.delete(receipt)
        assert (await get(here, src)).status_code == 404


async def test_what_could_be_a_page_is_only_ever_saved() -> None:
    async with running() as here, page(here) as tab:
        await here.web.send(outgoing(tab.visitor.chat, media=[await put(here, b"<script>alert(1)</script>")]))
        shown = (await tab.hello())["messages"][0]["media"][0]
        assert shown["kind"] == "file"
        answer = await get(here, shown["src"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''fox%20%26%20friends.png"


async def test_a_file_goes_with_its_message_raw_or_as_a_form() -> None:
    async with running() as here, page(here) as tab:
        raw = await tab.upload(picture(), "../../etc/fox\n.png")
        form = await tab.upload(b"", files={"file": ("form.png", picture("navy"), "text/html")})
        assert [raw.json()["name"], form.json()["name"]] == ["fox.png", "form.png"]
        refs = [raw.json()["ref"], form.json()["ref"]]
        await tab.say(type="say", id="message-1", text="", files=refs)
        body = (await here.gateway.next_event()).body
        assert isinstance(body, Said)
        assert [file.mime for file in body.files] == ["image/png", "image/png"]
        media = (await tab.hello())["messages"][0]["media"]
        assert [(await get(here, each["src"])).content for each in media] == [picture(), picture("navy")]


async def test_a_file_belongs_to_who_sent_it() -> None:
    async with running() as here, page(here) as one, page(here) as other:
        ref = (await one.upload(picture())).json()["ref"]
        await other.say(type="say", id="message-1", text="look", files=[ref])
        assert (await other.hears("refused"))["words"]


async def test_uploads_that_cannot_be_kept_are_refused_in_words() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    async with running(web=WebSettings(upload_bytes=100_000)) as here, page(here) as tab:
        large = await tab.upload(b"", content=endless())
        assert (large.status_code, "0.1 MB" in large.json()["error"]) == (413, True)
        form = await tab.upload(b"", files={"file": ("x.bin", b"x" * 150_000)})
        assert form.status_code == 413
        assert (await tab.upload(b"", content=b"", params={"name": "x"})).status_code == 400
        assert (await tab.upload(b"", data={"file": "text"}, files={"other": b"x"})).status_code == 400
        broken = {"Content-Type": "multipart/form-data; boundary=x", "Origin": here.url, "Cookie": tab.cookie}
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await browser.post(f"{here.url}/chat/files", headers=broken, content=b"--y\r\nnonsense")
            assert answer.status_code == 400
            stranger = await browser.post(f"{here.url}/chat/files", headers={"Origin": here.url}, content=b"x")
            assert stranger.status_code == 403


async def test_signs_and_commands_reach_the_page() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        await tab.say(type="say", id="message-1", text="hello")
        event = await here.gateway.next_event()
        await here.web.signal(event.chat, "busy")
        assert (await tab.hears("signal"))["what"] == "busy"
        await here.web.signal(event.chat, "done", event.keys[-1])
        assert (await tab.hears("signal"))["what"] == "done"
        assert (await tab.hello())["messages"][0]["sign"] == "done"
        await here.web.signal(event.chat, "failed", "no such message")
        await here.web.publish(here.gateway.commands[:1])
        assert [each["name"] for each in (await tab.hears("commands"))["commands"]] == ["effect"]


async def test_completion_is_answered_with_its_number() -> None:
    async with running() as here, page(here) as tab:
        await tab.say(type="complete", n=6, command="make", option="style", typed="")
        await tab.say(type="complete", n=7, command="make", option="style", typed="oil")
        while (answer := await tab.hears("choices"))["n"] != 7:
            assert answer["n"] == 6
        assert [choice["value"] for choice in answer["choices"]] == ["oil on canvas"]


async def test_the_history_comes_in_pages() -> None:
    async with running(web=WebSettings(history=3)) as here, page(here) as tab:
        for n in range(5):
            await here.web.send(outgoing(tab.visitor.chat, str(n)))
        latest = await tab.hello()
        assert [each["html"] for each in latest["messages"]] == ["<p>2</p>", "<p>3</p>", "<p>4</p>"]
        assert latest["more"]
        await tab.say(type="earlier", before=latest["messages"][0]["place"])
        earlier = await tab.hears("history")
        assert [each["html"] for each in earlier["messages"]] == ["<p>0</p>", "<p>1</p>"]
        assert (earlier["earlier"], earlier["more"]) == (True, False)


async def test_nothing_is_taken_while_the_account_is_not_on_line() -> None:
    async with running() as here, page(here) as tab:
        ref_page = await get(here, "/")
        here.web._gateway = None
        await tab.say(type="say", id="message-1", text="hello")
        assert "try again" in (await tab.hears("refused"))["words"]
        await tab.say(type="complete", n=1, command="make", option="style", typed="")
        assert (await tab.hears("choices"))["choices"] == []
        assert (await tab.upload(b"x")).status_code == 503
        assert (await get(here, "/chat/media/x")).status_code == 503
        await tab.say(type="hello")
        with pytest.raises(ConnectionClosed):
            await tab.hears("history")
        async with page(here, ref_page.headers["set-cookie"].partition(";")[0]) as late:
            with pytest.raises(ConnectionClosed):
                await late.hears("history")


async def test_stopping_the_account_closes_its_pages() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        here.web.tabs.close_all()
        with pytest.raises(ConnectionClosed) as closed:
            await tab.hears("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_a_page_that_does_not_read_is_cut_off_and_comes_back() -> None:
    async with running() as here, page(here) as tab:
        await tab.hello()
        for n in range(600):
            here.web.tabs.tell(tab.visitor.id, {"type": "signal", "what": "busy", "message": str(n)})
        with pytest.raises(ConnectionClosed) as closed:
            await tab.hears("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_a_socket_without_a_cookie_is_given_one() -> None:
    async with running() as here:
        url = here.url.replace("http", "ws") + "/chat/socket"
        async with connect(url, origin=here.url, proxy=None) as socket:  # type: ignore[arg-type] # a plain str
            assert socket.response is not None
            cookie = socket.response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


async def test_behind_https_the_persons_cookie_is_secure() -> None:
    http = Http(port=0, public_url="https://studio.example", token=SecretStr("open sesame"))
    async with running(http) as here:
        assert "; Secure" in (await get(here, "/", Authorization="Bearer open sesame")).headers["set-cookie"]


async def test_every_door_of_the_page_needs_the_token() -> None:
    async with running(Http(port=0, token=SecretStr("open sesame"))) as here:
        for path in ("/", "/chat/page/chat.js", "/chat/media/x"):
            assert (await get(here, path)).status_code == 401
            assert (await get(here, path, Authorization="Bearer open sesame")).status_code in {200, 404}
        with pytest.raises(InvalidStatus):
            await connect(here.url.replace("http", "ws") + "/chat/socket", origin=here.url, proxy=None)  # type: ignore[arg-type] # a plain str


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fadapter.py", "%2e%2e%2fadapter.py"])
async def test_only_the_pages_own_parts_are_served(name: str) -> None:
    async with running() as here:
        assert (await get(here, f"/chat/page/{name}")).status_code == 404


async def test_a_bill_is_refused_in_words() -> None:
    bill = Invoice(key="i", title="Points", amount=100, currency="EUR")
    async with running() as here:
        with pytest.raises(Refused, match="payments"):
            await here.web.send(Outgoing(key="k" * 22, chat=CHAT, invoice=bill))
        with pytest.raises(Gone):
            await anext(here.web.read(FileRef(platform="web", ref="nothing")))


async def test_a_place_that_no_message_can_have_is_refused_and_the_socket_stays() -> None:
    async with running() as here, page(here) as tab:
        await tab.say(type="earlier", before=10**30)
        assert (await tab.hears("refused"))["words"]
        await tab.hello()


async def test_a_button_opens_pages_and_nothing_else() -> None:
    async with running() as here, page(here) as tab:
        rows = [[Button(label="a", url="javascript:alert(1)"), Button(label="b", url="https://example.com")]]
        await here.web.send(outgoing(tab.visitor.chat, "x", buttons=rows))
        shown = (await tab.hello())["messages"][0]["buttons"][0]
        assert [button["url"] for button in shown] == ["", "https://example.com"]


async def test_what_is_declared_is_there() -> None:
    async with running() as here:
        web: Platform = here.web
        can = web.capabilities()
        assert isinstance(web, Edits) == can.edit_text == can.edit_media
        assert isinstance(web, Deletes) == can.delete
        assert isinstance(web, Finds) == can.finds
        assert isinstance(web, Signals) == can.busy
        assert isinstance(web, Publishes)
        assert can.download[""] == here.web.settings.upload_bytes
        assert can.text == 20_000


def test_a_page_that_is_off_registers_nothing() -> None:

    plugin = Plugin()
    settings = settings_with(web=WebSettings(enabled=False))
    found: list[object] = []
    plugin.register_platforms(found.append, settings)
    plugin.register_routes(found.append, settings)
    assert found == []
    sections: dict[str, object] = {}
    plugin.register_settings(sections.__setitem__)
    plugin.register_kinds(found.append)
    assert (list(sections), len(found)) == (["platforms.web"], 4)


@given(st.text(alphabet="abcXYZ019-_", min_size=32, max_size=32))
def test_a_handle_does_not_give_the_cookie_away(cookie: str) -> None:
    visitor = Visitor(cookie, known=True)
    assert cookie not in visitor.handle + visitor.name
    assert visitor.handle == Visitor(cookie, known=False).handle
