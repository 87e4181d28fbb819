"""What is kept of Discord: what was published, where people write, whose place an answer took, and forms that wait to be opened."""

from dataclasses import dataclass

from chatelier import Form, Kind, Query, Record, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands(Record):
    """What Discord was told of the commands last. key: the account. digest: of the definitions and the application."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Record):
    """A channel that somebody wrote in. key: account and channel. guild: "" for a direct chat. parent: of a thread, else "".

    last: the id of the latest message that was taken; what came after it is read again when the connection was lost.
    """

    account: str
    channel: str
    guild: str
    parent: str
    last: str
    at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Record):
    """The place that an interaction keeps for its first answer is taken. key: the interaction's. by: the key of the message."""

    by: str
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingForm(Record):
    """A form behind a button, as a message cannot open one. key: the form's."""

    form: Form
    created: Time


PUBLISHED = Kind(name="discord_published", record=Commands)
PLACES = Kind(name="discord_places", record=Place, queries=(Query(("account",), "at"),))
ANSWERS = Kind(name="discord_answers", record=Answer, queries=(Query((), "created"),))
FORMS = Kind(name="discord_forms", record=WaitingForm, queries=(Query((), "created"),))
KINDS = (PUBLISHED, PLACES, ANSWERS, FORMS)
