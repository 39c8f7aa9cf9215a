"""What must not reach a log, a result or an exception's text is taken out here, and only here."""

import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

from tasks.providers.errors import EXCERPT_CHARS

_HIDDEN: Final = "[hidden]"
_SHORTEST_SECRET: Final = 4  # a shorter one would blank out ordinary words
_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]{0,20}://)([^\s\"'<>\\/@]*@)?([^\s\"'<>\\?#]*)([?#][^\s\"'<>\\]*)?", re.IGNORECASE
)
_DATA_URI: Final = re.compile(r"data:[\w/+.-]*;base64,[A-Za-z0-9+/=]+")
_NAMED: Final = re.compile(
    r"(?i)((?:\b|x-amz-)(?:api[_-]?key|key|token|secret|password|signature|sig|credential|authorization|security-token)"
    r"\\?[\"']?\s*[=:]\s*\\?[\"']?)((?:bearer\s+)?[^\s\"'&<>,;}\\]{4,})"
)
_BEARER: Final = re.compile(r"(?i)\b(bearer\s+)[^\s\"'<>,;]{4,}")
_SPACE: Final = re.compile(r"\s+")
_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2", "botocore", "aiobotocore")


class Redactor:
    """Takes known secrets, signed parts of URLs and anything named like a key out of a text."""

    def __init__(self, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        """`secrets` is asked at each use, so that a rotated key is hidden too."""
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        """The text without its secrets."""
        for secret in self._secrets():
            if len(secret) >= _SHORTEST_SECRET:
                for spelling in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                    text = text.replace(spelling, _HIDDEN)
        text = _DATA_URI.sub("data:[hidden]", text)
        text = _URL.sub(lambda m: f"{m[1]}{m[3]}{'?' + _HIDDEN if m[4] else ''}", text)
        return _BEARER.sub(rf"\1{_HIDDEN}", _NAMED.sub(rf"\1{_HIDDEN}", text))

    def excerpt(self, body: bytes | str) -> str:
        """The start of a vendor's answer on one line: enough to recognise it, too short to carry a page."""
        # redacted before it is cut, or half a secret could stay at the end
        start = body[: 40 * EXCERPT_CHARS]
        text = start if isinstance(start, str) else start.decode(errors="replace")
        text = "".join(c if c.isprintable() else " " for c in text)
        text = _SPACE.sub(" ", self(text)).strip()
        if not text:
            return "(empty)"
        return text if len(text) <= EXCERPT_CHARS else text[:EXCERPT_CHARS] + "…"


def quiet_http_logs() -> None:
    """Keep the HTTP libraries from logging: at INFO httpx writes whole URLs, signatures included, at DEBUG others write headers."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
