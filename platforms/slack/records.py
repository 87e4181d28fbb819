"""What is kept of Slack: files that are there already, shares that were begun, forms that wait to be opened, and who installed the app."""

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation(Record):
    """One workspace that installed an app. key: its account, the app's and the team. title: the workspace's name.

    user: of the bot. token: "" once it is over. ended: when, and why in words; a new installation takes its place.
    """

    app: str
    team: str
    title: str
    user: str
    token: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ()
    installed: Time
    ended: Time | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Record):
    """An installation that somebody's browser began. key: sha256 of what it was given, which comes back once."""

    created: Time


FILES = Kind(name="slack_files", record=SentFile, queries=(Query((), "created"),))
SHARES = Kind(name="slack_shares", record=Share, queries=(Query((), "created"),))
FORMS = Kind(name="slack_forms", record=WaitingForm, queries=(Query((), "created"),))
INSTALLATIONS = Kind(name="slack_installations", record=Installation, queries=(Query(("app",), "installed"),))
STATES = Kind(name="slack_states", record=State, queries=(Query((), "created"),))
KINDS = (FILES, SHARES, FORMS, INSTALLATIONS, STATES)
