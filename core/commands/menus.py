"""All inputs of a command as buttons, where the network has no forms: each asks for one of them, the last one runs it."""

from collections.abc import Mapping

from ..chat.buttons import OnInput, Stored, store_action
from ..chat.graphemes import shorten
from ..chat.messages import Button, FileRef, Option, Reply, Value
from ..keys import token
from ..storage import Tx
from . import words
from .call import Call
from .command import Command
from .spell import line_of

LABEL_CHARACTERS = 40
"""Of an input and its value: about what a phone shows on a button of half its width."""
PER_ROW = 2


async def show_menu(call: Call, command: Command, values: Mapping[str, Value], more: tuple[FileRef, ...] = ()) -> None:
    """Answer with the inputs as they are now. Only the person who asked can use it."""
    key = token()

    async def work(tx: Tx) -> None:
        await store_action(tx, command.name, values, more=more, person=call.event.sender, once=True, key=key)

    await call.commit(work, menu(command, values, key))


def menu(command: Command, values: Mapping[str, Value], key: str) -> Reply:
    """A line to change and send, a button for each input, and one that runs it. key: of the stored action that this is."""
    inputs = [
        Button(label=_label(option, values.get(option.name)), payload=OnInput(key=key, n=n).payload)
        for n, option in enumerate(command.options)
        if not option.aside
    ]
    rows = [tuple(inputs[start : start + PER_ROW]) for start in range(0, len(inputs), PER_ROW)]
    run = Button(label=words.RUN, payload=Stored(key=key).payload, style="primary")
    said = {name: value for name, value in values.items() if not isinstance(value, FileRef)}
    text = words.menu(line_of(command, said), with_files=len(said) < len(values))
    return Reply(text=text, buttons=(*rows, (run,)), private=True)


def _label(option: Option, value: Value | None) -> str:
    told = words.SENT if isinstance(value, FileRef) else value if value is not None else option.default
    name = option.label or option.name.replace("_", " ")
    return shorten(f"{name}: {words.shown(told)}" if told is not None else name, LABEL_CHARACTERS)
