"""Sentences of the retouching commands."""

from chatelier import BadInput

GROUP = "Retouch"
NEEDS_PICTURE = "That works on pictures only. Send a picture, or take one out of a video with `/frame`."
NOT_MOVING = "That is a still picture. Send an animation or a video, or convert it with `/convert png`."
JPEG_STANDS = "A JPEG does not move. Take one picture out with `/frame`, or convert to webp, gif, png or avif."
FRAMES_WANTED = "Send at least two pictures as one album, or an animation or a video, with `/gif`."
SHEET_WANTS_MORE = "Send at least two pictures as one album, or answer a batch, with `/sheet`."
BAD_SIZE = "I need a size: `/resize 50%`, `/resize 1024x768` to fit into that, or `/resize 1024` for the longer side."
BAD_CROP = "I need a shape: `/crop square`, `/crop 16:9` or `/crop 800x600`."
BAD_FRAME = "Which frame? `/frame first`, `/frame last`, or its number such as `/frame 12`."
NO_MARK = "What shall stand on it? `/watermark © Ada`, or send the mark as a second picture."
NO_MEME = "What shall it say? `/meme top words | bottom words`."
MARK_STANDS = "The mark has to be a still picture."
TOO_MUCH = "That is too much movement to work on at once. Make it shorter or smaller first."


def too_large(width: int, height: int, side: int, pixels: int) -> BadInput:
    return BadInput(
        f"That would be {width:,} × {height:,} pixels; the most is {pixels / 1e6:g} megapixels and {side:,} pixels a side."
    )


def larger_than_picture(width: int, height: int) -> BadInput:
    return BadInput(f"The picture is {width:,} × {height:,} pixels, smaller than that. {BAD_CROP}")


def fewer_frames(frames: int) -> BadInput:
    return BadInput(f"It has {frames:,} frames. {BAD_FRAME}")
