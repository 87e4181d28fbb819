"""Amounts as people type them."""

import re
from decimal import Decimal

from ..errors import BadInput
from . import words
from .amounts import LARGEST, POINT

_AMOUNT = re.compile(r"(?:[0-9]{1,13}|[1-9][0-9]{0,2}(?:[_,][0-9]{3}){1,4})(?:\.[0-9]{1,3})?", re.ASCII)


def millipoints(typed: str) -> int:
    """Points ("12", "1,000", "0.5") in millipoints. Raises BadInput for what is no amount above zero."""
    given = typed.strip()
    amount = int(Decimal(re.sub("[_,]", "", given)) * POINT) if _AMOUNT.fullmatch(given) else 0
    if not 0 < amount <= LARGEST:
        raise BadInput(words.no_amount(typed))
    return amount
