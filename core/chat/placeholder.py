"""What stands where a picture will be, on networks that cannot put one into a text."""

import io
from functools import lru_cache

from PIL import Image

from ..media.blob import Blob
from .messages import Media

SIDES = (512, 512)
GREY = 48


@lru_cache(maxsize=1)
def placeholder() -> Media:
    """A plain dark picture of about a kilobyte."""
    out = io.BytesIO()
    Image.new("L", SIDES, GREY).save(out, "PNG", optimize=True)
    width, height = SIDES
    blob = Blob(sha256="", size=out.tell(), mime="image/png", kind="image", width=width, height=height)
    return Media(blob=blob, name="waiting.png", alt="not there yet", inline=out.getvalue())
