"""Drives one public framework for `dispatch.py`, in an environment of its own: the peer is in it, Chatelier is not.

    python dispatch_peers.py PEER COMMANDS MESSAGES ROOMS SHARE SECONDS

prints JSON: messages a second at saturation and one by one, and the seconds that each message took below it. Every framework keeps
nothing, has one command of so many that answers, and is given its messages by an adapter that its own documentation describes.
"""

import asyncio
import json
import logging
import selectors
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

# ruff: noqa: PLC0415 - each peer is imported only where it is asked for
# mypy: disable-error-code="import-not-found, misc, untyped-decorator"


class Waits:
    """Who waits for which answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[float]] = {}

    def shown(self, text: str) -> None:
        """An answer went out. On the loop's own thread."""
        self._waiting.pop(text).set_result(time.perf_counter())

    def shown_by_thread(self, text: str) -> None:
        future, now = self._waiting.pop(text), time.perf_counter()
        self._loop.call_soon_threadsafe(future.set_result, now)

    def expect(self, text: str) -> asyncio.Future[float]:
        future = self._waiting[text] = self._loop.create_future()
        return future


class Hand(Protocol):
    """Hands a text of a room to a peer; returns when the peer took it."""

    def __call__(self, text: str, room: str) -> Awaitable[None]: ...


async def nonebot2(waits: Waits, commands: int, folder: Path) -> Hand:
    import nonebot
    from nonebot.adapters import Adapter, Bot, Event, Message, MessageSegment
    from nonebot.message import handle_event
    from nonebot.params import CommandArg

    class Segment(MessageSegment["Text"]):
        @classmethod
        def get_message_class(cls) -> type["Text"]:
            return Text

        def __str__(self) -> str:
            return str(self.data["text"])

        def is_text(self) -> bool:
            return True

    class Text(Message[Segment]):
        @classmethod
        def get_segment_class(cls) -> type[Segment]:
            return Segment

        @staticmethod
        def _construct(msg: str) -> list[Segment]:
            return [Segment("text", {"text": msg})]

    class Said(Event):
        room: str
        message: Text

        def get_type(self) -> str:
            return "message"

        def get_event_name(self) -> str:
            return "message"

        def get_event_description(self) -> str:
            return str(self.message)

        def get_message(self) -> Text:
            return self.message

        def get_user_id(self) -> str:
            return self.room

        def get_session_id(self) -> str:
            return self.room

        def is_tome(self) -> bool:
            return True

    class Wire(Adapter):
        @classmethod
        def get_name(cls) -> str:
            return "wire"

        async def _call_api(self, bot: Bot, api: str, **data: Any) -> None:
            waits.shown(str(data["message"]))

    class Robot(Bot):
        async def send(self, event: Event, message: Any, **kwargs: Any) -> Any:
            return await self.call_api("send", message=message)

    nonebot.init(driver="~none", log_level="WARNING")
    driver = nonebot.get_driver()
    driver.register_adapter(Wire)
    robot = Robot(nonebot.get_adapter("wire"), "robot")
    nonebot.get_adapter("wire").bot_connect(robot)
    for n in range(commands):
        matcher = nonebot.on_command(f"echo{n}")

        async def answer(text: Text = CommandArg(), *, mine: Any = matcher) -> None:  # noqa: B008 - its own way to ask for them
            await mine.send(text)

        matcher.handle()(answer)

    async def hand(text: str, room: str) -> None:
        await handle_event(robot, Said(room=room, message=Text(f"/echo0 {text}")))

    return hand


async def errbot(waits: Waits, commands: int, folder: Path) -> Hand:
    from errbot import BotPlugin
    from errbot.backends.base import Message, Person
    from errbot.bootstrap import setup_bot
    from errbot.botplugin import Command

    (folder / "wire.plug").write_text("[Core]\nName = Wire\nModule = wire\n[Documentation]\nDescription = none\n")
    (folder / "wire.py").write_text(WIRE)
    config = SimpleNamespace(
        BACKEND="Wire",
        BOT_ADMINS=("@nobody",),
        BOT_DATA_DIR=str(folder),
        BOT_EXTRA_BACKEND_DIR=str(folder),
        BOT_EXTRA_PLUGIN_DIR=None,
        BOT_EXTRA_STORAGE_PLUGINS_DIR=None,
        BOT_IDENTITY={},
        BOT_LOG_FILE=None,
        BOT_LOG_LEVEL=logging.WARNING,
        BOT_PREFIX="/",
        CORE_PLUGINS=(),
        STORAGE="Memory",
    )
    logging.getLogger().setLevel(logging.WARNING)
    bot: Any = setup_bot("Wire", logging.getLogger(), config)
    bot.shown = waits.shown_by_thread
    people: dict[str, Person] = {}

    def command(n: int) -> Command:
        def say(_: BotPlugin, message: Message, args: str) -> str:
            return args

        return Command(say, name=f"echo{n}", doc="Says it again.")

    plugin = BotPlugin(bot, name="Bench")
    plugin.activate()
    plugin.create_dynamic_plugin("Echoes", tuple(map(command, range(commands))))

    async def hand(text: str, room: str) -> None:
        person = people.setdefault(room, bot.build_identifier(room))
        bot.process_message(Message(f"/echo0 {text}", frm=person, to=bot.bot_identifier))

    return hand


WIRE = """
from errbot.backends.base import ONLINE, Message, Person
from errbot.core import ErrBot


class Somebody(Person):
    def __init__(self, name):
        self.name = name

    person = client = nick = aclattr = fullname = email = property(lambda self: self.name)

    def __str__(self):
        return self.name


class Wire(ErrBot):
    mode = "wire"

    def __init__(self, config):
        super().__init__(config)
        self.bot_identifier = Somebody("robot")

    def send_message(self, message):
        super().send_message(message)
        self.shown(message.body)

    def build_identifier(self, name):
        return Somebody(name)

    def build_reply(self, message, text=None, private=False, threaded=False):
        return Message(text, frm=self.bot_identifier, to=message.frm)

    def change_presence(self, status=ONLINE, message=""):
        pass

    def prefix_groupchat_reply(self, message, identifier):
        pass

    def query_room(self, room):
        pass

    def rooms(self):
        return []
"""


async def opsdroid(waits: Waits, commands: int, folder: Path) -> Hand:
    from opsdroid.cli.utils import configure_lang
    from opsdroid.connector import Connector, register_event
    from opsdroid.core import OpsDroid
    from opsdroid.events import Message
    from opsdroid.matchers import match_regex

    class Wire(Connector):
        @register_event(Message)
        async def show(self, message: Message) -> None:
            waits.shown(message.text)

    configure_lang({})
    droid = OpsDroid(config={"parsers": {"regex": {"enabled": True}}}).__enter__()
    wire = Wire({"name": "wire"}, opsdroid=droid)
    droid.connectors = [wire]

    def skill(n: int) -> Any:
        @match_regex(rf"^/echo{n} (?P<text>.*)$")
        async def echo(droid: Any, config: Any, message: Any) -> None:
            await message.respond(message.regex.group("text"))

        return echo

    for n in range(commands):
        droid.register_skill(skill(n), config={"name": f"echo{n}"})

    async def hand(text: str, room: str) -> None:
        await droid.parse(Message(text=f"/echo0 {text}", user=room, user_id=room, target=room, connector=wire))

    return hand


PEERS = {"nonebot2": nonebot2, "errbot": errbot, "opsdroid": opsdroid}


async def measure(
    peer: str, folder: Path, commands: int, messages: int, rooms: int, share: float, seconds: float
) -> dict[str, Any]:
    waits = Waits()
    hand = await PEERS[peer](waits, commands, folder)

    async def echo(text: str, room: str) -> float:
        answer, begun = waits.expect(text), time.perf_counter()
        await hand(text, room)
        return await answer - begun

    async def saturated(width: int) -> float:
        """A slow peer begins no message after so many seconds."""
        begun, done = time.perf_counter(), 0

        async def room(name: int) -> None:
            nonlocal done
            for n in range(messages // width):
                if time.perf_counter() - begun < seconds:
                    await echo(f"{width}-{name}-{n}", f"room{name}")
                    done += 1

        await asyncio.gather(*(room(name) for name in range(width)))
        return done / (time.perf_counter() - begun)

    await echo("warm", "room0")
    rate, alone = await saturated(min(rooms, messages)), await saturated(1)
    begun, under_way = time.perf_counter(), []
    for n in range(max(2, min(messages, int(rate * share * seconds)))):
        await asyncio.sleep(max(0.0, begun + n / (rate * share) - time.perf_counter()))
        under_way.append(asyncio.create_task(echo(f"paced-{n}", f"room{n % rooms}")))
    return {"rate": rate, "alone": alone, "waits": await asyncio.gather(*under_way)}


def main() -> None:
    peer, commands, messages, rooms, share, seconds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(peer, Path(folder), int(commands), int(messages), int(rooms), float(share), float(seconds))
        # As in `dispatch.py`: with epoll several messages would come at once.
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            print(json.dumps(runner.run(found)))


if __name__ == "__main__":
    main()
