"""The sentences that the operator sees about copying a store."""

HALF = (
    "store: a copy from {source} was cut off in this database. Run `chatelier store copy` once more to its end, "
    "or empty the database."
)
NO_COPIES = "store: one of the two engines cannot copy its records."
STRANGERS = "The source has records of plugins that are not loaded ({names}). Switch those plugins on, so that nothing is left behind."
OTHER_SOURCE = (
    "The target holds half of a copy from {source}. Name the same source to go on with it, or empty the target."
)
TARGET_FULL = "The target holds other data already ({names}). Copy into an empty database."
TAKEN_OVER = "Somebody else has finished this copy, or emptied the target meanwhile."
NOTHING_THERE = "{source} holds no records at all: look at its name."
GOES_ON = "Going on where the copy was cut off."
COPIED = "{kind}: {count} copied"
DIFFERS = "{kind} {key!r} is not the same in both: a gateway was running. Stop every gateway, empty the target, and copy again."
LEDGER_OFF = (
    "{count} faults in the ledger, which the source has too, for both are the same. "
    "`chatelier points audit --repair` makes balances anew."
)
LEDGER_FINE = "The ledger agrees with itself."
RUNNING = (
    "A gateway runs on the source ({owner}). Stop it first; one that was killed counts as running for half a minute."
)
