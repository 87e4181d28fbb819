"""What is kept of Telegram: the ids of files that a bot sent, so that it sends their bytes once."""

from dataclasses import dataclass

from chatelier import Kind, Query, Record, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile(Record):
    """key: account, shape and sha256. file_id: good for this bot alone, and for as long as Telegram likes."""

    file_id: str
    created: Time


FILES = Kind(name="telegram_files", record=SentFile, queries=(Query((), "created"),))
