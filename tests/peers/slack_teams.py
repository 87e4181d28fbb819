"""Several workspaces on the Slack of the tests: how an app is installed in one, by which token it is known there, and how it goes.

https://docs.slack.dev/authentication/installing-with-oauth and /reference/methods/oauth.v2.access
"""

import base64
import itertools
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TEAM, BOT = "T01", "U0BOT"
CODE_SECONDS = 600.0

Wire = dict[str, Any]


class Refusal(Exception):
    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error, self.more = error, more


@dataclass(slots=True)
class Team:
    """token: of the bot, "" where the app is not installed. enterprise: what stands in place of the team in the answer."""

    id: str
    name: str
    bot: str
    token: str = ""


@dataclass(slots=True)
class Code:
    team: str
    redirect_uri: str
    scope: str
    given: float
    used: bool = False


class Teams:
    """redirect_urls: those of the app's settings. answers_more: what else stands in the answer to a code."""

    bot_token, client_id, client_secret, app_id = "xoxb-1", "11.22", "s3cr3t-of-the-app", "A1"

    def __init__(self) -> None:
        self.teams: dict[str, Team] = {TEAM: Team(TEAM, "Painters", BOT, self.bot_token)}
        self.redirect_urls: set[str] = set()
        self.codes: dict[str, Code] = {}
        self.dead: set[str] = set()
        self.tokens: list[tuple[str, str]] = []
        self.answers_more: Wire = {}
        self._made = itertools.count(2)
        self._caller: ContextVar[str] = ContextVar("team", default=TEAM)

    @property
    def team(self) -> str:
        """Whose token came with the call."""
        return self._caller.get()

    def bot_in(self, team: str) -> str:
        return self.teams[team].bot if team in self.teams else BOT

    def found(self, team: str, name: str) -> None:
        """A workspace without the app. Its bot will have another id than that of the first one."""
        self.teams[team] = Team(team, name, f"U{team}BOT")

    def enter(self, token: str) -> None:
        """Raises Refusal for a token that is nobody's, or nobody's any more."""
        if token in self.dead:
            raise Refusal("account_inactive")
        team = next((each for each in self.teams.values() if each.token == token), None)
        if team is None:
            raise Refusal("invalid_auth")
        self._caller.set(team.id)

    # --- what somebody does in the browser, at slack.com

    def allows(self, authorize_url: str, team: str) -> str:
        """The address that Slack sends the browser back to. Raises Refusal, where the vendor shows a page."""
        asked = self._asked(authorize_url)
        code = f"code-{next(self._made)}"
        self.codes[code] = Code(team, asked.get("redirect_uri", ""), asked["scope"], time.monotonic())
        return self._back(asked, code=code)

    def denies(self, authorize_url: str) -> str:
        return self._back(self._asked(authorize_url), error="access_denied")

    def _asked(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/oauth/v2/authorize" or asked.get("client_id") != self.client_id:
            raise Refusal("invalid_client_id")
        if not asked.get("scope"):
            raise Refusal("invalid_scope")
        if asked.get("redirect_uri") not in self.redirect_urls:
            raise Refusal("bad_redirect_uri")
        return asked

    def _back(self, asked: dict[str, str], **more: str) -> str:
        return f"{asked['redirect_uri']}?{urlencode({**more, 'state': asked.get('state', '')})}"

    def expire_codes(self) -> None:
        for code in self.codes.values():
            code.given -= CODE_SECONDS + 1

    # --- the exchange

    def client_of(self, authorization: str) -> Wire:
        """What HTTP's Basic scheme says of the client."""
        kind, _, encoded = authorization.partition(" ")
        if kind != "Basic":
            return {}
        client, _, secret = base64.b64decode(encoded).decode().partition(":")
        return {"client_id": client, "client_secret": secret}

    def _must_be_client(self, given: Wire) -> None:
        if given.get("client_id") != self.client_id:
            raise Refusal("invalid_client_id")
        if given.get("client_secret") != self.client_secret:
            raise Refusal("bad_client_secret")

    async def _do_oauth_v2_access(self, given: Wire) -> Wire:
        """Once, within ten minutes, with the same address as it was asked for."""
        self._must_be_client(given)
        code = self.codes.get(given.get("code", ""))
        if code is None or code.used or time.monotonic() - code.given > CODE_SECONDS:
            raise Refusal("invalid_code")
        if given.get("redirect_uri", "") != code.redirect_uri:
            raise Refusal("bad_redirect_uri")
        code.used = True
        team = self.teams[code.team]
        team.token = team.token or f"xoxb-of-{team.id}-{next(self._made)}"
        return {
            "access_token": team.token,
            "token_type": "bot",
            "scope": code.scope,
            "bot_user_id": team.bot,
            "app_id": self.app_id,
            "team": {"id": team.id, "name": team.name},
            "enterprise": None,
            "authed_user": {"id": "U0ADA"},
            "is_enterprise_install": False,
            **self.answers_more,
        }

    # --- how it goes

    def revoke(self, team: str) -> None:
        """The token is nobody's from now on. Slack tells of it by events, which the test sends or not."""
        self.dead.add(self.teams[team].token)
        self.teams[team].token = ""

    async def _do_apps_uninstall(self, given: Wire) -> Wire:
        self._must_be_client(given)
        self.revoke(self.team)
        return {}
