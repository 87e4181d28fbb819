"""Every error that crosses a border between parts, by who must act.

ChatelierError
├── BadInput            the person: something they typed or sent; its words are shown to them
├── Refused             the person or the plugin that asked: never try this again; its words say why
├── OperatorMust        the operator: a token, a setting, a full disk; said once, not tried again
│   ├── SettingsError   … in the configuration: file, line, key and the mend
│   └── StoreTooNew     … the database was written by a newer Chatelier
├── Retry               nobody: try again `after` seconds
├── Unavailable         nobody: the store or a service does not answer now; nothing was accepted
├── Uncertain           nobody: it may have happened; look (`find`) before doing it again
├── Gone                nobody: the chat, message, file or blob is no longer there
└── StoreError          the code that called the store
    ├── Exists          … `insert`: the key or a unique key is taken
    ├── Stale           … `replace`: somebody changed the record since it was read
    └── Lost            … a lease is held by somebody else by now; stop, write nothing
"""


class ChatelierError(Exception):
    """The root. `str(error)` is one or two plain sentences, without secrets."""


class BadInput(ChatelierError):
    """What a person typed or sent cannot be used; the words say what to do instead."""


class Refused(ChatelierError):
    """The other side says no for ever; the words say why."""


class OperatorMust(ChatelierError):
    """Only the operator can mend this; it is said once and not tried again."""


class SettingsError(OperatorMust):
    """The configuration cannot be used. One line an error: file, line, key, what is wrong and the mend."""


class StoreTooNew(OperatorMust):
    """The database was written by a newer Chatelier than this one."""


class Retry(ChatelierError):
    """Not now. `after`: seconds to wait, exactly as the other side said."""

    def __init__(self, after: float, words: str = "") -> None:
        super().__init__(words or f"try again in {after:g} s")
        self.after = after


class Unavailable(ChatelierError):
    """The store or a service does not answer; nothing was accepted, so do not acknowledge."""


class Uncertain(ChatelierError):
    """The call may have had its effect: look it up before it is made again."""


class Gone(ChatelierError):
    """The chat, message, file or blob is no longer there."""


class StoreError(ChatelierError):
    """The caller of the store must decide."""


class Exists(StoreError):
    """The key, or one of the unique keys, is taken."""


class Stale(StoreError):
    """The record changed, or went, since it was read."""


class Lost(StoreError):
    """The lease belongs to somebody else by now: stop, and write nothing."""
