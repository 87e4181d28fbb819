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
    from .manifest import redirect_url
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
            public = settings.http.public_url
            if wanted.mode == "http" and not public:
                raise OperatorMust("For mode: http, set http.public_url to the https address that Slack reaches.")
            if wanted.client_id and not public:
                raise OperatorMust("For client_id, set http.public_url to the https address that people reach.")
            back = redirect_url(public, account) if wanted.client_id else ""
            shown = made(wanted, gateway.commands, name, f"{public}/hooks/{account}", back)
        click.echo(json.dumps(shown, indent=2) if as_json else yaml.safe_dump(shown, sort_keys=False).rstrip())

    run_command(show())


@slack.command("workspaces")
@config_option
def workspaces(config: Path | None) -> None:
    """List the workspaces that installed an app of the configuration, and those that did once."""
    from chatelier import open_gateway, run_command

    from .going import every_installation

    async def show() -> None:
        async with open_gateway(config) as gateway:
            for row in (rows := await every_installation(gateway)):
                state = f"ended {row.ended:%Y-%m-%d}: {row.why}" if row.ended else f"installed {row.installed:%Y-%m-%d}"
                click.echo(f"{row.key}  {row.title}  {state}")
            if not rows:
                click.echo("No workspace has installed an app of yours.")

    run_command(show())


@slack.command("remove")
@click.argument("account")
@config_option
def remove(account: str, config: Path | None) -> None:
    """Take the app out of a workspace, by its account, such as slack.T0123.

    Slack is told to uninstall it, and a gateway that runs lets the account go at once. The workspace may install it again.
    """
    from chatelier import open_gateway, run_command

    from .going import uninstall

    async def go() -> None:
        async with open_gateway(config) as gateway:
            for line in await uninstall(gateway, account):
                click.echo(line)

    run_command(go())
