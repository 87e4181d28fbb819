"""Names that people can type, made from whatever an author wrote."""

import re
import unicodedata

LENGTH = 32


def name_from(text: str) -> str:
    """Lower case, `[a-z0-9_]{1,32}`; "" when nothing of the text is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:LENGTH].rstrip("_")


def free_name(name: str, taken: frozenset[str]) -> str:
    """The name, or the name with the first number from 2 that makes it unused."""
    if name not in taken:
        return name
    numbered = (f"{name[: LENGTH - 4]}{n}" for n in range(2, len(taken) + 3))
    return next(candidate for candidate in numbered if candidate not in taken)
