"""The list of commands that opens at "/": one for everybody, and one in the chat of each operator with theirs in it too."""

import re
from collections.abc import Sequence

from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeChat, BotCommandScopeDefault

from chatelier import Gone, Published, Refused

from .errors import told
from .limits import COMMANDS, SUMMARY

NAME = re.compile(r"[a-z0-9_]{1,32}")


async def publish(bot: Bot, commands: Sequence[Published], operators: Sequence[str]) -> None:
    """Telegram is told only what changed. operators: handles; those of other networks are passed over."""
    for_all = [each for each in commands if not each.operators]
    await _set(bot, for_all, BotCommandScopeDefault())
    for handle in operators:
        network, _, id_ = handle.partition(":")
        if network == "telegram" and id_.isdecimal():
            try:
                await _set(bot, commands, BotCommandScopeChat(int(id_)))
            except (Gone, Refused):
                continue  # they have never written to this bot


async def _set(bot: Bot, commands: Sequence[Published], scope: BotCommandScope) -> None:
    wanted = [BotCommand(each.name, each.summary[:SUMMARY]) for each in commands if NAME.fullmatch(each.name)][
        :COMMANDS
    ]
    with told():
        if list(await bot.get_my_commands(scope)) != wanted:
            await bot.set_my_commands(wanted, scope)
