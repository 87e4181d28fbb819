"""The commands, declared once."""

from chatelier import Choice, Command, Option, Register, Settings, hookimpl

from . import movements, pixels, stills, words
from .desk import SUBJECT

FORMATS = ("webp", "png", "jpeg", "jpg", "gif", "avif", "mp4", "webm")


class Plugin:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        for command in COMMANDS:
            register(command)


PICTURE = Option(
    name=SUBJECT,
    type="file",
    label="Picture",
    description="Sent with it, answered, or a link; none for the newest of yours",
    subject=True,
)


def command(name: str, summary: str, handler: object, *options: Option, examples: tuple[str, ...]) -> Command:
    return Command(
        name=name,
        summary=summary,
        handler=handler,  # type: ignore[arg-type] # a coroutine function of a call
        options=(
            *(one for one in options if one.type != "image"),
            PICTURE,
            *(one for one in options if one.type == "image"),
        ),
        examples=examples,
        group=words.GROUP,
    )


COMMANDS = (
    command(
        "resize",
        "Scale pictures, animations or a video",
        stills.resize,
        Option(name="size", description="50%, 1024x768 to fit into, or 1024 for the longer side", required=True),
        examples=("/resize 50%", "/resize 1024x768", "/resize 1024"),
    ),
    command(
        "convert",
        "Save in another format",
        movements.convert,
        Option(
            name="format",
            type="choice",
            description="The format to save in",
            choices=tuple(Choice(value=form) for form in FORMATS),
            required=True,
        ),
        examples=("/convert webp", "/convert mp4"),
    ),
    command(
        "crop",
        "Cut to a shape, around the middle",
        stills.crop,
        Option(name="shape", description="A ratio such as 16:9, square, or a size such as 800x600", required=True),
        examples=("/crop 16:9", "/crop square", "/crop 800x600"),
    ),
    command(
        "thumbnail",
        "A small WebP of a picture",
        stills.thumbnail,
        Option(
            name="side", type="integer", description="Pixels of the longer side", default=256, minimum=16, maximum=1024
        ),
        examples=("/thumbnail", "/thumbnail 128"),
    ),
    command(
        "watermark",
        "Put words or a second picture on it",
        stills.watermark,
        Option(name="text", description="What stands on it", rest=True, max_length=200),
        Option(
            name="position",
            type="choice",
            description="Where it stands",
            choices=tuple(Choice(value=place) for place in pixels.PLACES),
            default=pixels.PLACES[0],
        ),
        Option(name="opacity", type="integer", description="Per cent", default=50, minimum=1, maximum=100),
        Option(
            name="mark", type="image", description="A picture to put on it, where there are no words", advanced=True
        ),
        examples=("/watermark © Ada", "/watermark Draft --position center --opacity 30"),
    ),
    command(
        "meme",
        "Words above and below, as memes have them",
        stills.meme,
        Option(name="text", description="Above | below", rest=True, max_length=300),
        examples=("/meme one does not simply | deploy on Friday", "/meme | only below"),
    ),
    command("fry", "Deep-fry a picture", stills.fry, examples=("/fry",)),
    command(
        "gif",
        "A GIF of an album, a video or an animation",
        movements.gif,
        Option(
            name="delay",
            type="integer",
            description="Milliseconds that each picture of an album is shown",
            default=500,
            minimum=20,
            maximum=10_000,
        ),
        examples=("/gif", "/gif 200"),
    ),
    command(
        "palette",
        "The colours of a picture, with their names",
        stills.palette,
        Option(name="colors", type="integer", description="How many", default=5, minimum=2, maximum=16),
        examples=("/palette", "/palette 8"),
    ),
    command("strip", "Take out all metadata", stills.strip, examples=("/strip",)),
    command(
        "frame",
        "One frame of an animation or a video",
        movements.frame,
        Option(name="which", description="first, last, or its number", default="first"),
        examples=("/frame last", "/frame 12"),
    ),
    command("sheet", "A contact sheet of an album or a batch", stills.sheet, examples=("/sheet",)),
)
