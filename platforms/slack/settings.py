"""`platforms.slack` in the configuration."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from chatelier import Section


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError('should be a short name of small letters, such as "shop"')
    return name


def _command(command: str) -> str:
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", command):
        raise ValueError("should be a slash and small letters, such as `/chatelier`, 32 characters at most")
    return command


def _base_url(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"


class AccountSettings(Section):
    """One app: in one workspace by its bot token, or in as many as install it."""

    enabled: bool = Field(
        default=True, description="Whether this app is on line. Without a bot token or a client id it never is."
    )
    mode: Literal["socket", "http"] = Field(
        default="socket",
        description="`socket` connects to Slack, and needs no public address; `http` lets Slack send to this gateway.",
    )
    bot_token: SecretStr = Field(default=SecretStr(""), description="The bot's token, `xoxb-…`.")
    app_token: SecretStr = Field(
        default=SecretStr(""), description="For `mode: socket`: the app's token, `xapp-…`, with `connections:write`."
    )
    signing_secret: SecretStr = Field(
        default=SecretStr(""), description="For `mode: http`: what Slack proves itself with."
    )
    client_id: str = Field(
        default="",
        description="With it and its secret, workspaces install the app by themselves at `<http.public_url>/slack/install`; each is an "
        "account of its own.",
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="What the app proves itself with when a workspace installs it."
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://slack.com/api/", description="Where Slack's Web API answers."
    )
    commands: tuple[Annotated[str, AfterValidator(_command)], ...] = Field(
        default=("/chatelier",),
        min_length=1,
        max_length=50,
        description="Slash commands of the app's manifest. One that is named as a command of the gateway, such as `/make`, is that "
        "command; behind any other comes the command's name: `/chatelier make a red fox`.",
    )

    @model_validator(mode="after")
    def _id_with_its_secret(self) -> Self:
        if bool(self.client_id) != bool(self.client_secret.get_secret_value()):
            raise ValueError("client_id and client_secret belong together; copy both from the app's Basic Information")
        return self

    @property
    def is_there(self) -> bool:
        return self.enabled and bool(self.client_id or self.bot_token.get_secret_value())


class SlackSettings(AccountSettings):
    """A Slack app, and more of them under `accounts`."""

    accounts: Mapping[Annotated[str, AfterValidator(_name)], AccountSettings] = Field(
        default={}, description="More apps, or workspaces, by name: `shop` is the account `slack.shop`."
    )

    @model_validator(mode="after")
    def _one_account_a_token(self) -> Self:
        tokens = [each.bot_token.get_secret_value() for each in self.by_name.values()]
        clients = [each.client_id for each in self.by_name.values()]
        for what, named in (("bot_token", [*filter(None, tokens)]), ("client_id", [*filter(None, clients)])):
            if len(set(named)) < len(named):
                raise ValueError(f"two accounts have the same {what}; an app is one account in a workspace")
        return self

    @property
    def by_name(self) -> Mapping[str, AccountSettings]:
        """The accounts that are on, by their whole names."""
        every: dict[str, AccountSettings] = {"slack": self}
        every |= {f"slack.{name}": account for name, account in self.accounts.items()}
        return {name: each for name, each in every.items() if each.is_there}
