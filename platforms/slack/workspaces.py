"""An app that many workspaces install: each is an account of its own, and one connection brings what is said in all of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import structlog
from pydantic import SecretStr
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from chatelier import (
    ChatelierError,
    Gateway,
    Gone,
    OperatorMust,
    Outgoing,
    Receipt,
    Refused,
    Store,
    Tx,
    Unavailable,
    hide,
)

from . import words
from .adapter import CALL_SECONDS, OK, Line, Slack
from .errors import code, told
from .files import Files
from .inbound import Bot
from .manifest import GOING
from .records import INSTALLATIONS, Installation
from .settings import AccountSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

REVOKED = frozenset({"account_inactive", "token_revoked"})
"""What Slack says of a token whose workspace uninstalled the app."""
LOOK_SECONDS = 30.0
"""Between two looks at who installed the app, besides what the store hints at."""
DOUBT = timedelta(seconds=90)
"""Slack tells an event again after a minute, and its clock is not ours: so near to an installation it is asked what holds."""
ASK_SECONDS = 2.0
REMEMBERED = timedelta(days=7)
"""For so long after a workspace went something may still arrive for it, such as the result of a job."""
PAGE = 100


class Uninstalled(OperatorMust):
    """Slack knows the token no more."""


class HomeLost(OperatorMust):
    """The app's own workspace does not know its bot token any more."""


class Workspace(Slack):
    """One of them. It holds no connection: the app's brings what is said there, in whichever process that is."""

    def __init__(self, row: Installation, settings: AccountSettings, installations: "Installations") -> None:
        own = AccountSettings(
            bot_token=SecretStr(row.token), mode=settings.mode, base_url=settings.base_url, commands=settings.commands
        )
        super().__init__(row.key, own)
        self.row = row
        self._installations = installations
        self._lent: Line | None = None

    async def run(self, gateway: Gateway) -> None:
        try:
            await super().run(gateway)
        except Uninstalled:
            await self._over()
            raise

    async def _listen(self, client: AsyncWebClient, connected: Callable[[str], None]) -> None:
        connected(f" in {self.row.title}")
        await asyncio.Event().wait()

    async def _check_way(self, client: AsyncWebClient) -> str:
        return ""

    def _not_known(self, no: OperatorMust) -> OperatorMust:
        kind = Uninstalled if is_revoked(no) else OperatorMust
        return kind(words.NOT_INSTALLED.format(account=self.name, title=self.row.title))

    async def send(self, message: Outgoing) -> Receipt:
        try:
            return await super().send(message)
        except OperatorMust as no:
            if is_revoked(no):
                await self._over()
            raise

    async def _over(self) -> None:
        await self._installations.end(
            self.row.key, words.UNINSTALLED.format(title=self.row.title), token=self.row.token
        )

    async def is_uninstalled(self) -> bool:
        """Slack's own word; where it says nothing in time, yes."""
        line = self._ready()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await line.client.auth_test()
        except (SlackApiError, aiohttp.ClientError, TimeoutError):
            return True
        return False

    def lend(self, session: aiohttp.ClientSession, gateway: Gateway) -> None:
        """What it needs to take something in, in a process that may not hold its account."""
        if self._lent is None:
            client = AsyncWebClient(
                token=self.row.token, base_url=self._settings.base_url, session=session, retry_handlers=[]
            )
            bot = Bot(account=self.name, team=self.row.team, user=self.row.user, name=self.row.title)
            self._lent = Line(client, session, gateway, bot, Files(self.name, client, session, gateway))

    async def take_back(self) -> None:
        if self._lent is not None:
            self._lent = None
            await self._stop_tasks()

    def _ready(self) -> Line:
        return self._online or self._lent or super()._ready()


class Installations:
    """Who installed one app, as records; and their accounts in this process, which follow the records."""

    def __init__(self, app: str, settings: AccountSettings) -> None:
        self._app = app
        self._settings = settings
        self._gateway: Gateway | None = None
        self._known: dict[str, Workspace] = {}
        self._following = asyncio.Lock()

    @property
    def store(self) -> Store:
        return self.gateway.store

    @property
    def gateway(self) -> Gateway:
        """Raises Unavailable before the gateway is there."""
        if self._gateway is None:
            raise Unavailable(words.OFFLINE.format(account=self._app))
        return self._gateway

    @property
    def known(self) -> Sequence[Workspace]:
        return tuple(self._known.values())

    @asynccontextmanager
    async def followed(self, gateway: Gateway) -> AsyncIterator[None]:
        """For as long as the gateway is open."""
        self._gateway = gateway
        changes = gateway.store.changes(INSTALLATIONS)

        async def follow() -> None:
            while True:
                await changes.wait(LOOK_SECONDS)
                await self._look()

        await self._look()
        following = asyncio.create_task(follow(), name=f"installations of {self._app}")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _look(self) -> None:
        try:
            await self.follow()
        except ChatelierError as away:  # looked at again soon
            log.warning("nobody knows who installed the app", app=self._app, reason=str(away))

    async def follow(self) -> None:
        """Accounts come and go as the records say. Raises Unavailable."""
        async with self._following:
            rows = await installations(self.store, self._app)
            for row in rows:
                await self._follow(row)
            for team in self._known.keys() - {row.team for row in rows}:
                await self._forget(team, words.REMOVED)

    async def _follow(self, row: Installation) -> None:
        known = self._known.get(row.team)
        if row.ended is not None:
            if known is not None or datetime.now(UTC) - row.ended < REMEMBERED:
                await self._forget(row.team, row.why)
        elif known is None or known.row.token != row.token:
            hide([row.token])
            await self._forget(row.team)
            workspace = Workspace(row, self._settings, self)
            try:
                if await self.gateway.accounts.add(workspace):
                    self._known[row.team] = workspace
            except Refused as no:
                log.error("a workspace is left out", account=row.key, reason=str(no))

    async def _forget(self, team: str, why: str = "") -> None:
        workspace = self._known.pop(team, None)
        if workspace is not None:
            await workspace.take_back()
        if workspace is not None or why:
            await self.gateway.accounts.remove(f"{self._app}.{team}", why)

    async def of(self, team: str) -> Workspace | None:
        """Raises Unavailable where only the store knows, and is away."""
        if team and team not in self._known:
            row = await self.store.get(INSTALLATIONS, f"{self._app}.{team}")
            if row is not None and row.ended is None:  # another process installed it just now
                await self.follow()
        return self._known.get(team)

    async def install(self, row: Installation) -> None:
        """Its account is there when this returns, and comes on line; one that had the app before gets its old one back."""
        hide([row.token])

        async def work(tx: Tx) -> None:
            before = await tx.get(INSTALLATIONS, row.key)
            now = replace(row, installed=tx.now)
            if before is None:
                await tx.insert(INSTALLATIONS, now)
            else:
                await tx.replace(INSTALLATIONS, replace(now, version=before.version, extra=before.extra))

        await self.store.atomically(work)
        await self.follow()

    async def end(self, key: str, why: str, *, token: str) -> None:
        """The record is marked when this returns; the account follows. token: of the installation that is over."""
        await self.store.atomically(lambda tx: end(tx, key, why, token=token))


async def end(tx: Tx, key: str, why: str, *, token: str = "") -> bool:
    """Mark an installation as over; its token is kept no longer. token: only this one. False where there is none."""
    row = await tx.get(INSTALLATIONS, key)
    if row is None or row.ended is not None or token not in {"", row.token}:
        return False
    await tx.replace(INSTALLATIONS, replace(row, ended=tx.now, why=why, token=""))
    return True


async def installations(store: Store, app: str) -> Sequence[Installation]:
    """All of them, those that are over, too."""
    found: dict[str, Installation] = {}
    since = None
    while True:
        rows = await store.find(INSTALLATIONS, {"app": app}, order="installed", since=since, limit=PAGE)
        before = len(found)
        found |= {row.key: row for row in rows}
        if len(rows) < PAGE or len(found) == before:
            return tuple(found.values())
        since = rows[-1].installed


class App(Slack):
    """The app itself: its connection, and its account in its own workspace, where it has a bot token.

    strangers: how often something came for a team that did not install it, by team.
    """

    def __init__(self, name: str, settings: AccountSettings, public_url: str, **seconds: float) -> None:
        super().__init__(name, settings, **seconds)
        self.public_url = public_url.rstrip("/")
        self.settings = settings
        self.installations = Installations(name, settings)
        self.strangers: Counter[str] = Counter()
        self._has_bot = bool(settings.bot_token.get_secret_value())
        self._session: aiohttp.ClientSession | None = None

    async def run(self, gateway: Gateway) -> None:
        async with self.client() as (client, session):
            self._session = session
            try:
                await self._run_home(client, gateway)
            finally:
                self._session = None
                for workspace in self.installations.known:
                    await workspace.take_back()

    async def _run_home(self, client: AsyncWebClient, gateway: Gateway) -> None:
        """Its own workspace is one of many: the others are served where its bot token is wrong."""
        said = words.SERVES
        if self._has_bot:
            try:
                await super().run(gateway)
            except HomeLost as no:
                if not self.installations.known:
                    raise
                log.error("served without its own workspace", account=self.name, reason=str(no))
                said = f"{words.SERVES}; {no}"
        await self._listen(client, lambda _: gateway.connected(self.name, said))

    def _not_known(self, no: OperatorMust) -> OperatorMust:
        return HomeLost(str(super()._not_known(no)))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[AsyncWebClient, aiohttp.ClientSession]]:
        """Of the app, in no workspace."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session:
            yield AsyncWebClient(base_url=self.settings.base_url, session=session, retry_handlers=[]), session

    def _ready(self) -> Line:
        if not self._has_bot:
            raise Gone(words.NO_BOT.format(account=self.name))
        return super()._ready()

    async def take_of(self, team: str, body: Mapping[str, Any]) -> BoltResponse:
        """To the account of its team, and to no other one. Of a team that nobody installed it in nothing is kept."""
        if self._online is not None and self._online.bot.team == team:
            return await self.take(body)
        try:
            workspace = await self.installations.of(team)
            if workspace is None:
                return self._from_stranger(team, body)
            if self._session is None:
                raise Unavailable(words.OFFLINE.format(account=self.name))
            workspace.lend(self._session, self.installations.gateway)
            if is_going(body):
                await self._gone(workspace, body)
                return BoltResponse(status=OK)
        except ChatelierError as away:
            log.warning("not stored", account=self.name, reason=str(away))
            return BoltResponse(status=503)
        return await workspace.take(body)

    def _from_stranger(self, team: str, body: Mapping[str, Any]) -> BoltResponse:
        if not is_going(body):  # told again of one that is gone already
            self.strangers[team] += 1
            count = self.strangers[team]
            if str(count).strip("0") == "1":  # 1, 10, 100: it may go on for long
                log.warning("not installed there: acknowledged, not kept", account=self.name, team=team, count=count)
        return BoltResponse(status=OK)

    async def _gone(self, workspace: Workspace, body: Mapping[str, Any]) -> None:
        row, at = workspace.row, datetime.fromtimestamp(float(body.get("event_time") or 0), UTC)
        if at < row.installed - DOUBT:
            return  # told late: it was installed again since
        if at < row.installed + DOUBT and not await workspace.is_uninstalled():
            return
        log.info("the app was uninstalled", account=row.key)
        await self.installations.end(row.key, words.UNINSTALLED.format(title=row.title), token=row.token)

    async def home_team(self) -> str:
        """The team of the configured bot token, "" without one. Raises Unavailable."""
        if self._online is not None or not self._has_bot:
            return self._online.bot.team if self._online else ""
        try:
            async with self._connected() as (_, _, bot):
                return bot.team
        except OperatorMust:
            return ""

    async def check(self) -> Sequence[str]:
        """As of any account, and whether workspaces can install it."""
        async with self.client() as (client, _):
            problems = [*await super().check()] if self._has_bot else [await self._check_way(client)]
            if not self.public_url.startswith("https:"):
                problems.append(words.NEEDS_ADDRESS.format(account=self.name))
            try:
                with told():  # Slack looks at the client before it looks at the code
                    await client.oauth_v2_access(
                        client_id=self.settings.client_id,
                        client_secret=self.settings.client_secret.get_secret_value(),
                        code="is-the-client-known",
                    )
            except ChatelierError as no:
                if code_of(no) in {"invalid_client_id", "bad_client_secret"}:
                    problems.append(words.CLIENT_NOT_KNOWN.format(account=self.name, code=code_of(no)))
        return [*filter(None, problems)]


@asynccontextmanager
async def followed(apps: Sequence[App], gateway: Gateway) -> AsyncIterator[None]:
    """Their workspaces are accounts of the gateway for as long as it is open."""
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.installations.followed(gateway))
        yield


def code_of(error: BaseException) -> str:
    """Slack's own name of what went wrong, or ""."""
    return code(error.__cause__) if isinstance(error.__cause__, SlackApiError) else ""


def is_revoked(error: BaseException) -> bool:
    return code_of(error) in REVOKED


def is_going(body: Mapping[str, Any]) -> bool:
    """Whether it says that a workspace has the app no more; people's own tokens are none of ours."""
    event = body.get("event") or {}
    if event.get("type") not in GOING:
        return False
    return event["type"] == "app_uninstalled" or bool((event.get("tokens") or {}).get("bot"))
