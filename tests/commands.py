"""Commands to test with."""

from typing import Any

from chatelier import Choice, Command, Option


async def answer(_: object) -> None:
    raise AssertionError("these tests call no handler")


def command(name: str = "make", **changes: Any) -> Command:
    return Command(**{"name": name, "summary": f"About {name}", "handler": answer, **changes})


PROMPT = Option(name="prompt", rest=True, required=True, max_length=10_000)
WIDTH = Option(name="width", type="integer", minimum=64, maximum=2048, step=8, default=512)
SEED = Option(name="seed", type="integer", default=-1)
CFG = Option(name="cfg", type="number", minimum=0, maximum=30, advanced=True)
STYLE = Option(
    name="style",
    type="choice",
    choices=(Choice(value="photo"), Choice(value="dark_ink", label="Dark ink"), Choice(value="Oil")),
)
TILED = Option(name="tiled", type="boolean")
NEGATIVE = Option(name="negative_prompt")
IMAGE = Option(name="image", type="image", required=True, description="The picture to change.")
MASK = Option(name="mask", type="image")
CLIP = Option(name="clip", type="video")

MAKE = command(
    options=(PROMPT, WIDTH, SEED, STYLE, TILED, NEGATIVE, CFG),
    aliases=("draw",),
    group="Make",
    details="Makes *pictures*.",
    examples=("/make a red fox", "/make a fox --width 768"),
)
EFFECT = command("effect", options=(IMAGE, PROMPT, MASK, CLIP), group="Make")
SHOW = command("show", options=(Option(name="job", required=True), Option(name="size", type="integer"), TILED))
