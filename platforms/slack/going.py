"""What the command line does with installations: it shows them, and takes the app out of a workspace."""

from collections.abc import Sequence

from slack_sdk.web.async_client import AsyncWebClient

from chatelier import ChatelierError, OperatorMust, Runtime

from . import words
from .errors import told
from .plugin import SECTION
from .records import INSTALLATIONS, Installation
from .settings import SlackSettings
from .workspaces import end, installations, is_revoked


async def every_installation(gateway: Runtime) -> Sequence[Installation]:
    """Of all apps of the configuration, by app, the oldest first."""
    apps = gateway.settings.of(SECTION, SlackSettings).by_name
    return [row for app in apps for row in await installations(gateway.store, app)]


async def uninstall(gateway: Runtime, account: str) -> Sequence[str]:
    """What was done, in words. Raises OperatorMust for an account that is no installation."""
    row = await gateway.store.get(INSTALLATIONS, account)
    if row is None or row.ended is not None:
        raise OperatorMust(words.NO_INSTALLATION.format(account=account))
    refused = await _tell(gateway, row)
    await gateway.store.atomically(lambda tx: end(tx, account, words.REMOVED))
    said = words.IS_REMOVED.format(account=account, title=row.title)
    return [said, words.STILL_LISTED.format(why=refused)] if refused else [said]


async def _tell(gateway: Runtime, row: Installation) -> str:
    """Why Slack did not uninstall it, or ""."""
    settings = gateway.settings.of(SECTION, SlackSettings).by_name.get(row.app)
    if settings is None:
        return words.NO_APP.format(app=row.app)
    client = AsyncWebClient(token=row.token, base_url=settings.base_url, retry_handlers=[])
    try:
        with told():
            await client.apps_uninstall(
                client_id=settings.client_id, client_secret=settings.client_secret.get_secret_value()
            )
    except ChatelierError as no:
        return "" if is_revoked(no) else str(no)
    return ""
