"""Where a text may be cut without breaking what a reader sees as one character.

A short form of the rules of Unicode's annex 29: right for marks, emoji sequences, flags and Hangul; Indic conjuncts may part.
"""

import unicodedata

ZERO_WIDTH_JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
TAGS = range(0xE0020, 0xE0080)
HANGUL_VOWELS_AND_TAILS = range(0x1160, 0x1200)


def boundary(text: str, at: int) -> bool:
    """Whether `text` may be cut before the character with the index `at`."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if _extends(after) or before == ZERO_WIDTH_JOINER:
        return False
    return not (ord(after) in REGIONAL_INDICATORS and _indicators_before(text, at) % 2)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; what was cut off is an ellipsis."""
    if len(text) <= limit:
        return text
    at = limit - 1
    while at > 0 and not boundary(text, at):
        at -= 1
    return text[: max(at, 0)].rstrip() + "…" if limit > 0 else ""


def _extends(character: str) -> bool:
    code = ord(character)
    return (
        character == ZERO_WIDTH_JOINER
        or unicodedata.category(character).startswith("M")
        or code in SKIN_TONES
        or code in TAGS
        or code in HANGUL_VOWELS_AND_TAILS
    )


def _indicators_before(text: str, at: int) -> int:
    start = at
    while start and ord(text[start - 1]) in REGIONAL_INDICATORS:
        start -= 1
    return at - start
