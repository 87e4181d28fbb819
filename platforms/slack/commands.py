"""`chatelier slack` as the command line knows it. What it does is imported when it is called."""

from pathlib import Path

import click

from chatelier import config_option


@click.group("slack")
def slack() -> None:
    """What Slack needs to know of this gateway."""


@slack.command("manifest")
@click.option("--account", default="slack", show_default=True, help="Which account of the configuration.")
@click.option("--name", default="Chatelier", show_default=True, help="What the app is called.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of YAML.")
@config_option
def manifest(account: str, name: str, as_json: bool, config: Path | None) -> None:
    """Print the manifest of the Slack app, to paste at https://api.slack.com/apps.

    It has the slash commands of the configuration, and the exact scopes, events and shortcuts.
    """
    import json

    import yaml

    from chatelier import OperatorMust, open_gateway, run_command

    from .manifest import manifest as made
    from .plugin import SECTION
    from .settings import AccountSettings, SlackSettings

    async def show() -> None:
        async with open_gateway(config) as gateway:
            settings = gateway.settings
            slack = settings.of(SECTION, SlackSettings)
            every: dict[str, AccountSettings] = {f"slack.{key}": each for key, each in slack.accounts.items()}
            every["slack"] = slack
            if account not in every:
                raise OperatorMust(f"There is no account {account} under platforms.slack.")
            wanted = every[account]
            if wanted.mode == "http" and not settings.http.public_url:
                raise OperatorMust("For mode: http, set http.public_url to the https address that Slack reaches.")
            shown = made(wanted, gateway.commands, name, f"{settings.http.public_url}/hooks/{account}")
        click.echo(json.dumps(shown, indent=2) if as_json else yaml.safe_dump(shown, sort_keys=False).rstrip())

    run_command(show())
