"""`platforms.discord` in the configuration."""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from chatelier import Section

API = "https://discord.com/api/v10"
GATEWAY = "wss://gateway.discord.gg/"


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError('should be a short name of small letters, such as "shop"')
    return value


class AccountSettings(Section):
    """One bot."""

    enabled: bool = Field(default=True, description="Whether this bot is on line. Without a token it never is.")
    token: SecretStr = Field(default=SecretStr(""), description="The bot's token, from the developer portal.")
    message_content: bool = Field(
        default=False,
        description="Also read messages that do not mention the bot. "
        "The *Message Content Intent* has to be switched on in the developer portal, too.",
    )
    shards: int = Field(
        default=1, ge=0, le=1_000, description="Connections to the gateway; 0 for as many as Discord recommends."
    )


class DiscordSettings(AccountSettings):
    """A Discord bot, and more of them under `accounts`."""

    api_url: str = Field(default=API, description="Where the REST API answers, with its version.")
    gateway_url: str = Field(default=GATEWAY, description="Where the gateway answers.")
    accounts: Mapping[Annotated[str, AfterValidator(_name)], AccountSettings] = Field(
        default={}, description="More bots by name: `shop` is the account `discord.shop`."
    )

    @model_validator(mode="after")
    def _one_connection_a_token(self) -> Self:
        tokens = [each.token.get_secret_value() for each in self.by_name.values()]
        if len(set(tokens)) < len(tokens):
            raise ValueError("two accounts have the same token; a bot can be on line once only")
        return self

    @property
    def by_name(self) -> Mapping[str, AccountSettings]:
        """The accounts that are on, by their whole names."""
        every: dict[str, AccountSettings] = {"discord": self}
        every |= {f"discord.{name}": account for name, account in self.accounts.items()}
        return {name: each for name, each in every.items() if each.enabled and each.token.get_secret_value()}
