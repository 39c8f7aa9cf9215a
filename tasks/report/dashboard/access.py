"""Who may see the dashboard and who may write: the only door, in front of every page.

On a loopback address no token is asked for, but the Host header must name that address, or a hostile web page could reach us
under its own name (DNS rebinding). Anywhere else a token is required: once in the URL, then in a cookie that holds not the
token but a proof of it. Writing needs `--review`, the same origin, and the form's own secret.
"""

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "cleanplate_dashboard"
MIN_TOKEN_CHARS: Final = 16
_FORM_BYTES: Final = 65_536  # a decision with its note
_POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers hide the Origin of our own forms as well
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether a bind address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Door:
    """The rules of one running dashboard. `token=None`: open to whoever can reach a loopback address."""

    token: str | None = field(default=None, repr=False)
    loopback: bool = True
    review: bool = False
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def on(cls, host: str, *, token: str | None, review: bool) -> "Door":
        """The door for a bind address: away from loopback a token is drawn when none is given.

        Raises:
            ValueError: the given token is too short to withstand guessing.
        """
        if token is not None and len(token) < MIN_TOKEN_CHARS:
            raise ValueError(
                f"--token is too short: give at least {MIN_TOKEN_CHARS} characters, or none to have one drawn"
            )
        loopback = is_loopback(host)
        return cls(token=token or (None if loopback else secrets.token_urlsafe(24)), loopback=loopback, review=review)

    @property
    def form_secret(self) -> str:
        """What every form carries; another site cannot know it."""
        return self._proof("form")

    @property
    def session(self) -> str:
        """The cookie's value: proves that the token was shown, without holding it."""
        return self._proof(f"session {self.token}")

    def admits_token(self, given: str) -> bool:
        """In constant time."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def admits_form(self, given: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(given.encode(), self.form_secret.encode())

    def _proof(self, of: str) -> str:
        return hmac.new(self._key, of.encode(), hashlib.sha256).hexdigest()


class AccessMiddleware:
    """Asks the door about each request, and puts the protective headers on each answer."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is admitted, answer the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (answer or self._app)(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """What is to be said instead of the page; None: come in."""
        headers = Headers(scope=scope)
        if self._door.loopback and not _names_loopback(headers.get("host", "")):
            return _refusal(421, "Ask for this page under the address that the dashboard printed.")
        if self._door.token is not None and not self._has_session(headers):
            given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token", "")
            bearer = headers.get("authorization", "").removeprefix("Bearer ")
            if self._door.admits_token(given):
                return self._welcome(scope)
            if not self._door.admits_token(bearer):
                return _refusal(401, "This dashboard asks for a token: open the address that was printed at its start.")
        if scope["method"] not in ("GET", "HEAD"):
            return self._write_refusal(headers)
        return None

    def _has_session(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._door.session.encode())

    def _welcome(self, scope: Scope) -> Response:
        """The cookie, and the same page without the token in its address."""
        query = urlencode([(k, v) for k, v in parse_qsl(scope["query_string"].decode("latin-1")) if k != "token"])
        response = RedirectResponse(f"{_local_path(scope)}{'?' + query if query else ''}", status_code=303)
        response.set_cookie(COOKIE, self._door.session, httponly=True, samesite="strict", path="/")
        return response

    def _write_refusal(self, headers: Headers) -> Response | None:
        if not self._door.review:
            return _refusal(403, "This dashboard is read-only: start it with --review to decide.")
        if headers.get("sec-fetch-site", "same-origin") != "same-origin" or not _same_origin(headers):
            return _refusal(403, "Decisions are taken on the dashboard's own pages only.")
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _FORM_BYTES:
            return _refusal(413, "That form is too large.")
        return None


def _names_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname
    return name is not None and is_loopback(name)


def _same_origin(headers: Headers) -> bool:
    """Browsers send Origin with every form; what comes without one is not a form of ours."""
    origin = urlsplit(headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == headers.get("host", "")


def _local_path(scope: Scope) -> str:
    """Never `//elsewhere`, which a browser would take for another host."""
    return "/" + str(scope["path"]).lstrip("/\\")


def _refusal(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status)
