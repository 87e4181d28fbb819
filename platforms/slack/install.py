"""The page on which a workspace installs the app, and where Slack sends the browser back to: https://docs.slack.dev/authentication."""

import hashlib
import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import aiohttp
import structlog
from slack_bolt.adapter.starlette.async_handler import to_async_bolt_request, to_starlette_response
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation as Found
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatelier import ChatelierError, Retry, Store, Tx, Unavailable, Uncertain, hide, token

from . import words
from .errors import told
from .manifest import SCOPES, install_path, redirect_path, redirect_url
from .records import STATES, Installation, State
from .workspaces import App, code_of

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

STATE_SECONDS = 600
"""As long as Slack keeps the code that it gives out."""
STATES_KEPT = 1_000
"""Installations that may be under way at once; of more the oldest are forgotten."""
TEAM = re.compile(r"T[A-Z0-9]{2,}")
REASON = re.compile(r"[a-z_]{1,40}")
HEADERS = {"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8"}


class NotInstalled(ChatelierError):
    """Why, by Slack's own name of it or one of ours in `words.NOT_DONE`; nothing was kept."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class States(AsyncOAuthStateStore):
    """Each is good once, within ten minutes, for this app. Only its digest is kept."""

    def __init__(self, store: Store, app: str) -> None:
        self._store = store
        self._app = app

    async def async_issue(self, *_: object, **__: object) -> str:
        state = token()

        async def work(tx: Tx) -> None:
            open_ = await tx.find(STATES, order="created", limit=STATES_KEPT)
            over = [row for row in open_ if row.created < tx.now - timedelta(seconds=STATE_SECONDS)]
            for row in over or (open_[:1] if len(open_) == STATES_KEPT else ()):
                await tx.delete(STATES, row.key)
            await tx.insert(STATES, State(key=self._key(state), created=tx.now))

        await self._store.atomically(work)
        return state

    async def async_consume(self, state: str) -> bool:
        async def work(tx: Tx) -> bool:
            row = await tx.get(STATES, self._key(state))
            if row is not None:
                await tx.delete(STATES, row.key)
            return row is not None and row.created >= tx.now - timedelta(seconds=STATE_SECONDS)

        return await self._store.atomically(work)

    def _key(self, state: str) -> str:
        return hashlib.sha256(f"{self._app}:{state}".encode()).hexdigest()


class Flow(AsyncOAuthFlow):
    """The library's, with pages of ours; what it brings is an installation of the app."""

    def __init__(self, app: App, client: AsyncWebClient) -> None:
        self._app = app
        settings = app.settings
        super().__init__(
            client=client,
            settings=AsyncOAuthSettings(
                client_id=settings.client_id,
                client_secret=settings.client_secret.get_secret_value(),
                scopes=SCOPES,
                user_scopes=(),
                redirect_uri=redirect_url(app.public_url, app.name),
                install_path=install_path(app.name),
                redirect_uri_path=redirect_path(app.name),
                authorization_url=urljoin(settings.base_url, "/oauth/v2/authorize"),
                callback_options=AsyncCallbackOptions(success=_done, failure=self._failed),
                installation_store=AsyncInstallationStore(),  # never asked; without one there would be files
                state_store=States(app.installations.store, app.name),
                state_cookie_name=f"chatelier_{app.name.replace('.', '_')}_install",
                state_expiration_seconds=STATE_SECONDS,
            ),
        )

    async def build_install_page_html(self, url: str, request: AsyncBoltRequest) -> str:
        return page(words.INSTALL, words.INSTALL_LINK.format(url=html.escape(url)))

    async def run_installation(self, code: str) -> Found:
        """Slack is asked once. Raises NotInstalled."""
        hide([code])
        try:
            home = await self._app.home_team()
            with told():
                answer = await self.client.oauth_v2_access(
                    client_id=self.settings.client_id,
                    client_secret=self.settings.client_secret,
                    code=code,
                    redirect_uri=self.settings.redirect_uri,
                )
        except ChatelierError as no:
            log.warning("a workspace could not install the app", account=self._app.name, reason=str(no))
            if isinstance(no, Unavailable | Uncertain | Retry):
                raise NotInstalled("no_answer", 503) from no
            raise NotInstalled(code_of(no)) from no
        team = answer.get("team") or {}
        found = Found(
            app_id=answer.get("app_id"),
            team_id=team.get("id"),
            team_name=team.get("name"),
            bot_token=answer.get("access_token"),
            bot_user_id=answer.get("bot_user_id"),
            bot_scopes=answer.get("scope") or "",
            bot_token_expires_in=answer.get("expires_in"),
            user_id=(answer.get("authed_user") or {}).get("id") or "",
            is_enterprise_install=bool(answer.get("is_enterprise_install")),
        )
        if refused := _refusal(found, home):
            raise NotInstalled(refused)
        return found

    async def store_installation(self, request: AsyncBoltRequest, installation: Found) -> None:
        """Its account is there when this returns. Raises ChatelierError of the store."""
        app, team = self._app.name, installation.team_id or ""
        row = Installation(
            key=f"{app}.{team}",
            app=app,
            team=team,
            title=installation.team_name or team,
            user=installation.bot_user_id or "",
            token=installation.bot_token or "",
            scopes=tuple(installation.bot_scopes or ()),
            installed=datetime.now(UTC),
        )
        await self._app.installations.install(row)
        log.info("a workspace installed the app", account=row.key, title=row.title)

    async def _failed(self, args: AsyncFailureArgs) -> BoltResponse:
        """Also a state that was shown with a refusal is used up by it."""
        state = args.request.query.get("state", [""])[0]
        if state and self.settings.state_utils.is_valid_browser(state, args.request.headers):
            await self.settings.state_store.async_consume(state)
        raise NotInstalled(args.reason, args.suggested_status_code)


async def _done(args: AsyncSuccessArgs) -> BoltResponse:
    title = html.escape(args.installation.team_name or "")
    link = words.INSTALLED_LINK.format(team=html.escape(args.installation.team_id or ""))
    cookie = args.settings.state_utils.build_set_cookie_for_deletion()
    return BoltResponse(
        status=200, body=page(words.INSTALLED.format(title=title), link), headers={"Set-Cookie": cookie}
    )


def _refusal(found: Found, home: str) -> str:
    """Why what Slack gave cannot be used, or ""."""
    if found.is_enterprise_install or not found.team_id:
        return "whole_organization"
    if not TEAM.fullmatch(found.team_id) or not found.bot_token or not found.bot_user_id:
        return "no_bot"
    if found.bot_token_expires_at is not None:
        return "token_rotation"
    return "already_here" if found.team_id == home else ""


def page(said: str, link: str = "") -> str:
    """said, link: HTML."""
    return words.PAGE.format(said=said, link=link)


def routes(app: App) -> list[Route]:
    """For browsers, from anywhere: who may install the app is for Slack to say."""

    async def install(request: Request) -> Response:
        return await _answered(app, request, is_back=False)

    async def back(request: Request) -> Response:
        return await _answered(app, request, is_back=True)

    return [Route(install_path(app.name), install), Route(redirect_path(app.name), back)]


async def _answered(app: App, request: Request, *, is_back: bool) -> Response:
    if not app.public_url:
        return HTMLResponse(page(words.NOT_DONE["no_address"]), 503, HEADERS)
    forget: dict[str, str] = {}
    try:
        async with app.client() as (client, _):
            flow = Flow(app, client)
            if is_back:
                forget["Set-Cookie"] = flow.settings.state_utils.build_set_cookie_for_deletion()
            asked = to_async_bolt_request(request, b"")
            answer = await (flow.handle_callback(asked) if is_back else flow.handle_installation(asked))
            response = to_starlette_response(answer)
    except NotInstalled as no:
        response = _not_done(app, no.reason, no.status, forget)
    except (ChatelierError, aiohttp.ClientError) as away:
        log.warning("a workspace could not install the app", account=app.name, reason=str(away))
        response = _not_done(app, "no_answer", 503, forget)
    response.headers.update(HEADERS)
    return response


def _not_done(app: App, reason: str, status: int, headers: Mapping[str, str]) -> Response:
    known = reason if REASON.fullmatch(reason) else "unknown"
    said = words.NOT_DONE.get(known) or words.NOT_DONE_OTHER.format(reason=known)
    return HTMLResponse(page(said, words.AGAIN_LINK.format(path=install_path(app.name))), status, headers)
