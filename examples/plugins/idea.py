"""A plugin in one file: `/idea` says what one could paint, with a button that paints it.

Put this file into a folder and name the folder as `plugins.folder` in config.yaml.
"""

import random

from chatelier import (
    Button,
    Call,
    Command,
    Option,
    Register,
    Reply,
    Settings,
    Tx,
    escape,
    hookimpl,
    store_action,
    token,
)

ANIMALS = ("red fox", "heron", "snow hare", "badger", "pine marten")
PLACES = ("in deep snow", "under a street lamp", "on a river bank at dawn", "in a greenhouse")
MOODS = {"calm": "soft light, few colours", "wild": "storm, strong contrasts"}


async def idea(call: Call) -> None:
    """The button is a stored action: it works after a restart, and for everybody who sees it."""
    mood = str(call.values["mood"])
    prompt = f"a {random.choice(ANIMALS)} {random.choice(PLACES)}, {MOODS.get(mood, mood)}"  # noqa: S311 - a pastime
    key = token()

    async def work(tx: Tx) -> None:
        await store_action(tx, "make", {"prompt": prompt}, key=key)

    await call.commit(
        work, Reply(text=f"How about {escape(prompt)}?", buttons=((Button(label="Make it", payload=f"a.{key}"),),))
    )


IDEA = Command(
    name="idea",
    summary="Something that one could paint",
    handler=idea,
    options=(Option(name="mood", description="calm, wild, or words of your own", default="calm", rest=True),),
    details="Draws an animal and a place, in the mood that you name.",
    examples=("/idea", "/idea wild"),
    group="Make",
)


class Plugin:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        register(IDEA)
