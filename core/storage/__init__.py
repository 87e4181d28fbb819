"""Durable records and the eight verbs over them; nothing of any engine."""

from .cache import Cache
from .engine import claimed, drive, revised, unique_values, value_at
from .hints import Hints
from .moments import Time
from .questions import Question
from .reading import Sieve, Stored, unreadable
from .records import Kind, L, Leased, Query, R, Record, Scalar, Unreadable, plain
from .store import Changes, Copyable, Reads, Store, StoreOpener, Tx

__all__ = [
    "Cache",
    "Changes",
    "Copyable",
    "Hints",
    "Kind",
    "L",
    "Leased",
    "Query",
    "Question",
    "R",
    "Reads",
    "Record",
    "Scalar",
    "Sieve",
    "Store",
    "StoreOpener",
    "Stored",
    "Time",
    "Tx",
    "Unreadable",
    "claimed",
    "drive",
    "plain",
    "revised",
    "unique_values",
    "unreadable",
    "value_at",
]
