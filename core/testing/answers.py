"""Where answers go, how soon, and what is too large to go at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..chat.messages import Button, Pressed, Reply
from ..errors import Gone, Refused
from .network import NOT_DECLARED, PROVED, Check, Groups, MakeNetwork, Threads, Waits, met, plain


async def presses_are_acknowledged_in_time(make: MakeNetwork) -> str:
    """Before the network gives the button up."""
    async with met(make) as meeting:
        network = meeting.network
        if not meeting.can.buttons.per_row:
            return NOT_DECLARED
        if not isinstance(network, Waits):
            return "the network waits for no answer"
        (receipt,) = await meeting.show(Reply(text="choose", buttons=((Button(label="Again", payload="a.1"),),)))
        async with asyncio.timeout(network.acknowledge_seconds):
            await network.press(receipt.ids[0], "Again")
            await network.acknowledged()
        assert isinstance((await meeting.gateway.next_event()).body, Pressed)
    return PROVED


async def threads_are_conversations_of_their_own(make: MakeNetwork) -> str:
    """What is said in a thread is answered there and nowhere else."""
    async with met(make) as meeting:
        if not meeting.can.threads:
            return NOT_DECLARED
        if not isinstance(meeting.network, Threads):
            return "the test's network has none"
        thread = meeting.network.in_thread()
        await thread.say("in a thread")
        event = await meeting.gateway.next_event()
        assert event.chat.thread, "its chat does not name the thread"
        await thread.platform.send(replace(meeting.message(plain("an answer there")), chat=event.chat))
        assert [each.text.strip() for each in await thread.visible()] == ["an answer there"]
        assert not await meeting.network.visible()
    return PROVED


async def private_answers_are_kept_from_the_others(make: MakeNetwork) -> str:
    """In a group only who asked reads the answer; to the others it may say that there is one."""
    async with met(make) as meeting:
        if not isinstance(meeting.network, Groups):
            return "the test's network has no group"
        group = meeting.network.in_group()
        await group.say("what have I got?")
        event = await meeting.gateway.next_event()
        assert not event.chat.direct
        if not group.platform.capabilities(event.chat).private:
            return NOT_DECLARED
        secret = replace(meeting.message(plain("ten points")), chat=event.chat, private_to=event.sender)
        await group.platform.send(secret)
        assert not any("ten points" in each.text for each in await group.visible())
    return PROVED


async def what_is_too_large_is_refused_unread(make: MakeNetwork) -> str:
    """A file above the declared size is refused by its size: nothing of it is read, and nothing is sent."""
    async with met(make) as meeting:
        if not meeting.can.upload:
            return NOT_DECLARED
        shown = await meeting.picture("red")
        nowhere = replace(shown.blob, sha256="0" * 64, size=max(meeting.can.upload.values()) + 1)
        for document in (False, True):
            large = replace(shown, blob=nowhere, document=document)
            try:
                await meeting.send(plain("look"), large)
            except Refused:
                pass
            except Gone:
                raise AssertionError("its bytes were asked for") from None
            else:
                raise AssertionError("it was not refused")
        assert not await meeting.network.visible()
    return PROVED


ANSWERS: Sequence[Check] = (
    presses_are_acknowledged_in_time,
    threads_are_conversations_of_their_own,
    private_answers_are_kept_from_the_others,
    what_is_too_large_is_refused_unread,
)
