"""/start, /help, /quit and /refresh."""

from functools import partial

from chatelier import (
    BadInput,
    Button,
    Call,
    Reply,
    Tx,
    close_question,
    help_for,
    overview,
    store_action,
    token,
    unknown_command,
)

from . import words


async def start(call: Call) -> None:
    """A tour with things to tap."""
    points = call.runtime.points
    if call.runtime.registry.get("make") is None:
        await call.commit(partial(points.welcome, call.person), Reply(text=words.WELCOME))
        return
    keys = {token(): example for example in words.EXAMPLES}
    rows = tuple((Button(label=example, payload=f"a.{key}"),) for key, example in keys.items())

    async def work(tx: Tx) -> Reply | None:
        for key, example in keys.items():
            await store_action(tx, "make", {"prompt": example}, key=key)
        return await points.welcome(call.person, tx)

    await call.commit(work, Reply(text=f"{words.WELCOME}\n\n{words.TRY}", buttons=rows))


async def help_about(call: Call) -> None:
    registry = call.runtime.registry
    name = str(call.values.get("command") or "").strip().lstrip("/").lower()
    if not name:
        await call.commit(None, Reply(text=overview(registry, operator=call.operator)))
        return
    command = registry.get(name)
    if command is None or (command.operators and not call.operator):
        raise BadInput(unknown_command(name, registry))
    await call.commit(None, Reply(text=help_for(command)))


async def leave(call: Call) -> None:
    had = call.conversation in call.session.questions

    async def work(tx: Tx) -> None:
        await close_question(tx, call.person.key, call.conversation)

    await call.commit(work, Reply(text=words.QUIT if had else words.NOTHING_TO_QUIT))


async def refresh(call: Call) -> None:
    """Says what is on offer now, and what could not be loaded."""
    catalogue = call.runtime.catalogue
    await catalogue.refresh()
    names = ", ".join(f"`{one.name}`" for one in catalogue.workflows) or "none"
    bad = "".join(f"\n- {one.source}: {one.reason}" for one in catalogue.problems)
    await call.commit(None, Reply(text=f"Workflows: {names}{bad}", private=True))
