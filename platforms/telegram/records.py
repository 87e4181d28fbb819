"""What is kept of Telegram: the ids of files that a bot sent, so that their bytes go out once; and which chats list more commands."""

from dataclasses import dataclass

from chatelier import Kind, Query, Record, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile(Record):
    """key: account, shape and sha256. file_id: good for this bot alone, and for as long as Telegram likes."""

    file_id: str
    created: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorMenu(Record):
    """The operator's chat was given the list of commands with theirs in it. key: account and chat."""

    account: str
    chat: str


MENUS = Kind(name="telegram_menus", record=OperatorMenu, queries=(Query(("account",)),))
FILES = Kind(name="telegram_files", record=SentFile, queries=(Query((), "created"),))
