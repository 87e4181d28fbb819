"""The tab *Home*: what is being made for somebody, and the commands that a person wants there."""

from typing import Any

from chatelier import Gateway, document, open_jobs, person_by, status_lines

from . import words
from .dialect import rich_text
from .inbound import HOME

Wire = dict[str, Any]
SHOWN = 20


async def home(gateway: Gateway, handle: str, command: str) -> Wire:
    person = await person_by(gateway.store, handle)
    jobs = await open_jobs(gateway.store, person.key) if person else []
    lines = await status_lines(gateway.store, jobs[:SHOWN])
    blocks: list[Wire] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": words.HOME.format(command=command)}},
        {"type": "header", "text": _plain(words.HOME_TITLE)},
        *rich_text(document("\n\n".join(lines) or words.HOME_NONE)),
    ]
    names = {each.name for each in gateway.commands}
    offered = (("status", words.HOME_STATUS), ("account", words.HOME_ACCOUNT), ("help", words.HOME_HELP))
    buttons = [
        {"type": "button", "action_id": f"{HOME}{name}", "value": f"/{name}", "text": _plain(label)}
        for name, label in offered
        if name in names
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return {"type": "home", "blocks": blocks}


def _plain(text: str) -> Wire:
    return {"type": "plain_text", "text": text}
