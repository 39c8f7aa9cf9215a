"""What the doctor looks at from outside of the configuration, as one value: what tests replace, and nothing else does."""

import shutil
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import gaierror
from urllib.parse import urlsplit

import httpx

from tasks.providers.network import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefectServer:
    """Which Prefect API runs report to."""

    api_url: str | None = None  # None: each run starts its own
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # how to sign in


def installed_version(package: str) -> str | None:
    """None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def free_bytes(folder: Path) -> int:
    """On the disk that would hold `folder`, whether it is there already or not."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class UnreachableError(Exception):
    """No HTTP answer; the message says why in people's words, `to_do` what to look at."""

    def __init__(self, message: str, to_do: str) -> None:
        """Neither holds more of the address than its host."""
        super().__init__(message)
        self.to_do = to_do


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Everything outside."""

    network: Network = field(default_factory=Network)
    prefect: PrefectServer = PrefectServer()
    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1])
    version_of: Callable[[str], str | None] = installed_version
    free_bytes: Callable[[Path], int] = free_bytes
    patience_s: float = 15.0  # for each check
    clock_offsets_s: dict[str, float] = field(default_factory=dict)  # host → its clock less ours, filled by `get`

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask once, following nothing; the answer's Date is kept for the check of the clock.

        Raises:
            UnreachableError: there was no HTTP answer.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        try:
            async with self.network.client(timeout_s=self.patience_s * 0.8) as client:
                asked_at = self.network.clock()
                answer = await client.get(url, headers=dict(headers or {}))
                answered_at = self.network.clock()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _reason(error, host) from None
        try:
            told = parsedate_to_datetime(answer.headers["date"])
            self.clock_offsets_s[host] = (told - (asked_at + (answered_at - asked_at) / 2)).total_seconds()
        except (KeyError, ValueError, TypeError):
            pass  # not every server tells the time
        return answer


def _reason(error: Exception, host: str) -> UnreachableError:
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and len(causes) < 10:
        causes.append(cause)
    if any(isinstance(one, gaierror) for one in causes):
        return UnreachableError(
            f"the name of {host} is not known", "Check the address for a slip, and this machine's DNS."
        )
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return UnreachableError(
            f"the certificate of {host} is not trusted",
            "Check the address; behind a proxy of your own, set SSL_CERT_FILE.",
        )
    if any(isinstance(one, ConnectionRefusedError) for one in causes):
        return UnreachableError(f"nothing listens at {host}", "Start it, or correct host and port.")
    if isinstance(error, httpx.TimeoutException):
        return UnreachableError(f"{host} did not answer in time", "See whether a firewall or proxy stands in between.")
    return UnreachableError(f"{host} cannot be reached ({type(error).__name__})", "Check the address and the network.")
