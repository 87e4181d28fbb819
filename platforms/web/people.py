"""A person is a random cookie; everybody else knows them by a hash of it, which opens nothing."""

import hashlib
import re
import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from chatelier import ChatRef

COOKIE = "chatelier_person"
COOKIE_SECONDS = 365 * 24 * 3600
ACCOUNT = "web"
_VALUE = re.compile(r"[A-Za-z0-9_-]{32}")
_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """cookie: the secret itself. known: the browser brought it. operator: it brought the console's token too."""

    cookie: str
    known: bool
    operator: bool = False

    @property
    def id(self) -> str:
        return hashlib.sha256(f"chatelier web {self.cookie}".encode()).hexdigest()[:24]

    @property
    def handle(self) -> str:
        return f"{ACCOUNT}:{self.id}"

    @property
    def name(self) -> str:
        return f"Guest {self.id[:4]}"

    @property
    def chat(self) -> ChatRef:
        return ChatRef(platform=ACCOUNT, chat=self.id, direct=True)

    def set_cookie(self, *, secure: bool) -> str:
        """The value of a `Set-Cookie` header."""
        line = f"{COOKIE}={self.cookie}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Strict"
        return line + ("; Secure" if secure else "")


def direct_chat(handle: str) -> ChatRef | None:
    """The conversation of whoever has this handle; None for what is none of this network."""
    network, _, id_ = handle.partition(":")
    return ChatRef(platform=ACCOUNT, chat=id_, direct=True) if network == ACCOUNT and _ID.fullmatch(id_) else None


def visitor(connection: HTTPConnection) -> Visitor:
    cookie = connection.cookies.get(COOKIE, "")
    if _VALUE.fullmatch(cookie):
        return Visitor(cookie, known=True)
    return Visitor(secrets.token_urlsafe(24), known=False)
