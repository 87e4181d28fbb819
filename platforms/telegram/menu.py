"""The list of commands that opens at "/": one for everybody, and one in the chat of each operator with theirs in it too."""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeChat, BotCommandScopeDefault

from chatelier import Exists, Gone, Published, Refused, Store, Tx

from .errors import told
from .limits import COMMANDS, SUMMARY
from .records import MENUS, OperatorMenu

NAME = re.compile(r"[a-z0-9_]{1,32}")


async def publish(
    bot: Bot, account: str, commands: Sequence[Published], operators: Sequence[str], store: Store
) -> None:
    """Telegram is told only what changed. operators: handles; those of other networks are passed over.

    Who is an operator no more loses the list with their commands.
    """
    for_all = [each for each in commands if not each.operators]
    await _set(bot, for_all, BotCommandScopeDefault())
    chats = {id_ for network, _, id_ in (handle.partition(":") for handle in operators) if network == "telegram"}
    for chat in sorted(filter(str.isdecimal, chats)):
        try:
            await _set(bot, commands, BotCommandScopeChat(int(chat)))
        except (Gone, Refused):
            continue  # they have never written to this bot
        await _note(store, OperatorMenu(key=f"{account}.{chat}", account=account, chat=chat))
    for menu in await store.find(MENUS, {"account": account}):
        if menu.chat not in chats:
            with suppress(Gone, Refused), told():  # the chat is gone, or the bot was blocked
                await bot.delete_my_commands(BotCommandScopeChat(int(menu.chat)))
            await store.atomically(partial(_forget, menu.key))


async def _note(store: Store, menu: OperatorMenu) -> None:
    if await store.get(MENUS, menu.key) is None:
        with suppress(Exists):  # another start of this account was quicker
            await store.atomically(lambda tx: tx.insert(MENUS, menu))


async def _forget(key: str, tx: Tx) -> None:
    await tx.delete(MENUS, key)


async def _set(bot: Bot, commands: Sequence[Published], scope: BotCommandScope) -> None:
    wanted = [BotCommand(each.name, each.summary[:SUMMARY]) for each in commands if NAME.fullmatch(each.name)][
        :COMMANDS
    ]
    with told():
        if list(await bot.get_my_commands(scope)) != wanted:
            await bot.set_my_commands(wanted, scope)
