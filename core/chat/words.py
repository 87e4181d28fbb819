"""Sentences of the chat layer."""

from .markup import escape

MAYBE_SENT = "it may have been sent twice already; nobody can tell"
DONE_BELOW = "Done, see below."
BUSY = "I am very busy right now. Please try again in a minute."
SET_ASIDE = "I could not answer that, and I have stopped trying. Nothing was lost or charged. The operator can see why."
TOO_LONG = "That took longer than I may work on one message, so I stopped. Please ask for less at a time: fewer files, or smaller ones."
BUTTON_GONE = "That button is too old: what it belonged to is no longer kept."
BUTTON_OTHERS = "Only the person who asked for it, or an operator, may do that."
NOT_YOURS = "That menu belongs to somebody else."
QUESTION_LAPSED = "That question was open for a minute and has lapsed. Please start again."
QUESTION_OVER = "That button belongs to a question that is no longer open, or to somebody else's."
JOINED = "part of an album"
REPLACED = "a newer message took its place"


def not_sent(why: str, job: str) -> str:
    """Where a message cannot be shown. job: the one whose result it was, "" for none."""
    elsewhere = f" `/show {job}` shows it in another chat." if job else ""
    return f"⚠️ I could not send what belongs here: {escape(why.rstrip('.'))}.{elsewhere}"


def sent_again(text: str) -> str:
    """A message that may be there twice says so."""
    return f"{text}\n\n*(sent again after a restart)*"


def smaller(count: int) -> str:
    """Under files that lost quality on their way into a chat."""
    return "Made smaller to fit this chat." if count == 1 else f"{count} of these were made smaller to fit this chat."
