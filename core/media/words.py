"""The sentences people see when a file or an address cannot be used."""

from ..errors import BadInput, OperatorMust

EMPTY = "That file is empty. Send it again."
NOT_A_PICTURE = "That file is not a picture I can read. Send a PNG, JPEG or WebP."
BROKEN_PICTURE = "That picture is damaged or was cut short. Save it anew as a PNG or JPEG and send it again."
BROKEN_VIDEO = "That video is damaged, or of a kind that I cannot read. Save it anew as an MP4 and send it again."
NO_VIDEO = "I cannot work on videos here: the operator has to install `chatelier[video]`."
VIDEO_ERRORS = {
    "large": "That video is too large to be worked on. Make it smaller and send it again.",
    "long": "That video has fewer frames than that, or too many for what you want. Shorten it, or ask for another frame.",
    "silent": "There are no pictures in that file. Send a video.",
}
"""By what `film.py` calls them."""
NO_HEIC = "I cannot read HEIC pictures here. Send a PNG, JPEG or WebP."
BUSY = "Many pictures are being worked on just now. Please try again in a minute."


def wait_for_yours(most: int) -> str:
    those = f"{most} of yours are" if most > 1 else "One of yours is"
    return f"{those} being worked on already. Please wait for one of them, then try again."


GONE = "That file is no longer kept here. Send it again."

BAD_ADDRESS = "That is not a web address I can use. Check it; it must start with http:// or https://."
PASSWORD_IN_ADDRESS = "That address has a name or password in it. Download the file and send it here instead."  # noqa: S105 - a sentence, not a secret
PRIVATE_ADDRESS = "That address leads into a private network, where I do not go. Download the file and send it here."
ODD_PORT = "I do not fetch from that port. Download the file and send it here."
TOO_MANY_REDIRECTS = "That address sends me from one place to the next without end. Send the file itself."
BROKE_OFF = "The server at that address broke off. Try again, or download the file and send it here."
UNKNOWN_PACKING = "That server packs the file in a way I cannot read. Download it and send it here."


def amount(size: int) -> str:
    """Bytes as people read them: "20 MB"."""
    for unit, name in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def too_big(limit: int) -> BadInput:
    return BadInput(f"That file is larger than {amount(limit)}. Send a smaller one.")


def too_big_here(limit: int) -> BadInput:
    return BadInput(f"This network gives me files of up to {amount(limit)}. Send a smaller one, or a link to it.")


def too_many_pixels(width: int, height: int, limit: int) -> BadInput:
    return BadInput(
        f"That picture is {width:,} × {height:,} pixels; the most is {limit / 1e6:g} megapixels. "
        "Scale it down and send it again."
    )


def too_many_frames(frames: int, width: int, height: int) -> BadInput:
    return BadInput(
        f"That animation has {frames:,} frames of {width:,} × {height:,} pixels, which is too much. "
        "Make it shorter or smaller and send it again."
    )


def not_found(host: str) -> BadInput:
    return BadInput(f"I cannot find the server {host}. Check the address, or send the file itself.")


def not_reached(host: str) -> BadInput:
    return BadInput(f"I cannot reach {host}. Try again later, or download the file and send it here.")


def too_slow(seconds: float) -> BadInput:
    return BadInput(f"That took longer than {seconds:g} seconds. Download the file and send it here.")


def video_takes_long(seconds: float) -> str:
    return f"Working on that video took longer than {seconds:g} seconds. Send a shorter or smaller one."


def answered(status: int) -> BadInput:
    if status in {404, 410}:
        return BadInput(f"There is nothing at that address ({status}). Check it, or send the file itself.")
    if status in {401, 403}:
        return BadInput(f"That server does not let me in ({status}). Download the file and send it here.")
    return BadInput(f"That server answered with an error ({status}). Try again later, or send the file itself.")


def wrong_kind(mime: str) -> BadInput:
    return BadInput(f"What is at that address is not what I need here ({mime}). Send the link of the file itself.")


def disk_full(folder: object) -> OperatorMust:
    return OperatorMust(f"The disk that holds {folder} is full. Free some space, or move `data_dir` to another disk.")
