"""`platforms.telegram` in the configuration."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from chatelier import Section

CLOUD = "https://api.telegram.org"


def _secret(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", secret.get_secret_value()):
        raise ValueError("may have up to 256 letters, digits, `_` and `-`, as the vendor's header allows")
    return secret


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError('should be a short name of small letters, such as "shop"')
    return name


class Webhook(Section):
    """How Telegram reaches this gateway, where it does not ask for updates itself."""

    url: str = Field(
        default="",
        description="Address that Telegram sends updates to. By default `http.public_url` with `/hooks/<account>`.",
    )
    secret: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        default=SecretStr(""),
        description="What Telegram proves itself with, in a header. By default one is made from the token.",
    )


class StarsSettings(Section):
    """Points for Telegram Stars."""

    enabled: bool = Field(default=False, description="Whether this bot sells points for Telegram Stars.")
    packs: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        default=(50, 100, 500, 1000, 2500), min_length=1, description="What is for sale, in stars."
    )
    dollars: float = Field(
        default=0.013,
        gt=0,
        description="Dollars that one star is worth to you; `points.dollar` says what a dollar buys.",
    )


class AccountSettings(Section):
    """One bot."""

    enabled: bool = Field(default=True, description="Whether this bot is on line. Without a token it never is.")
    token: SecretStr = Field(default=SecretStr(""), description="The bot's token, from @BotFather.")
    base_url: str = Field(
        default=f"{CLOUD}/bot",
        description="Where the Bot API answers, up to the token; another one for a server of your own.",
    )
    base_file_url: str = Field(
        default=f"{CLOUD}/file/bot", description="Where the Bot API gives files, up to the token."
    )
    mode: Literal["polling", "webhook"] = Field(
        default="polling", description="`polling` asks Telegram for updates; `webhook` lets Telegram send them here."
    )
    webhook: Webhook = Field(default=Webhook(), description="For `mode: webhook`.")
    stars: StarsSettings = Field(default=StarsSettings(), description="Points for Telegram Stars.")
    local_server: bool = Field(
        default=False,
        description="The Bot API server is your own, run with `--local` on this machine: "
        "files of up to 2,000 MB go out, and of any size come in.",
    )


class TelegramSettings(AccountSettings):
    """A Telegram bot, and more of them under `accounts`."""

    accounts: Mapping[Annotated[str, AfterValidator(_name)], AccountSettings] = Field(
        default={}, description="More bots by name: `shop` is the account `telegram.shop`."
    )

    @model_validator(mode="after")
    def _one_poller_a_token(self) -> Self:
        tokens = [each.token.get_secret_value() for each in self.by_name.values()]
        if len(set(tokens)) < len(tokens):
            raise ValueError("two accounts have the same token; a bot can be on line once only")
        return self

    @property
    def by_name(self) -> Mapping[str, AccountSettings]:
        """The accounts that are on, by their whole names."""
        every: dict[str, AccountSettings] = {"telegram": self}
        every |= {f"telegram.{name}": account for name, account in self.accounts.items()}
        return {name: each for name, each in every.items() if each.enabled and each.token.get_secret_value()}
