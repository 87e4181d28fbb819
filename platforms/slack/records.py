"""What is kept of Slack: files that are there already, shares that were begun, and forms that wait to be opened."""

from dataclasses import dataclass

from chatelier import ChatRef, Form, Kind, Query, Record, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile(Record):
    """key: account and sha256. file: Slack's id of a file that nobody was shown apart from messages."""

    file: str
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Record):
    """Files that were uploaded for one message, kept before they are shown. key: account and message.

    Slack keeps no mark of ours on them, so this tells whether they were shown already.
    """

    files: tuple[str, ...]
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingForm(Record):
    """A form that a message asked for: Slack shows one only after a press. key: account and form."""

    form: Form
    chat: ChatRef
    created: Time


FILES = Kind(name="slack_files", record=SentFile, queries=(Query((), "created"),))
SHARES = Kind(name="slack_shares", record=Share, queries=(Query((), "created"),))
FORMS = Kind(name="slack_forms", record=WaitingForm, queries=(Query((), "created"),))
KINDS = (FILES, SHARES, FORMS)
