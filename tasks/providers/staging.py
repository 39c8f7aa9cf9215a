"""Where files are put for vendors that read by URL: an S3 bucket (addresses signed), any fsspec folder behind a web server, or HTTP PUT.

Objects lie at `<staging_uri>/staged-<day>/<sha256><suffix>`: the same bytes are put once a day, whoever stages them, and a day's folder is
removed `keep_days` later by whoever stages first. HTTP PUT cannot list: there, let the server expire `staged-*` folders.
"""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final, TypeVar

import fsspec
import fsspec.config
import httpx

from tasks.config.services import S3Settings, StagingSettings
from tasks.providers.errors import ProviderOffError, RejectedItemError, TransientError
from tasks.providers.network import Network

T = TypeVar("T")
_REMEMBERED: Final = 4096  # what was staged by this process, to put repeated pictures and masks once
_DAY_FOLDER: Final = re.compile(r"staged-(\d{4}-\d{2}-\d{2})")


class Stage:
    """Puts bytes where a vendor can read them, and says under which address."""

    def __init__(
        self,
        uri: str,
        *,
        public_url: str | None,
        settings: StagingSettings,
        s3: S3Settings,
        network: Network,
    ) -> None:
        """`uri`: s3://bucket/prefix, https://host/prefix (HTTP PUT), or any fsspec folder with its `public_url`."""
        self._uri = uri.rstrip("/")
        self._public_url = public_url.rstrip("/") if public_url else None
        self._settings = settings
        self._buckets = Buckets(s3)
        self._network = network
        self._staged: OrderedDict[str, None] = OrderedDict()
        self._swept: date | None = None

    async def put(self, data: bytes, suffix: str, media_type: str) -> str:
        """Stage the bytes; the address at which a vendor reads them, signed where that is needed.

        Raises:
            TransientError, ProviderOffError: the store did not take them.
        """
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        today = self._network.clock().date()
        name = f"staged-{today.isoformat()}/{digest}{suffix}"
        if name not in self._staged:
            await self._store(name, data, media_type)
            self._staged[name] = None
            if len(self._staged) > _REMEMBERED:
                self._staged.popitem(last=False)
        await self._sweep(today)
        return await self._address(name)

    async def _store(self, name: str, data: bytes, media_type: str) -> None:
        if self._uri.startswith(("https://", "http://")):
            await self._put_over_http(f"{self._uri}/{name}", data, media_type)
            return
        fs, folder = self._buckets.open(self._uri)
        options = {"ContentType": media_type} if self._uri.startswith("s3://") else {}

        def write() -> None:
            if not self._uri.startswith(
                "s3://"
            ):  # S3 has no folders: s3fs would ask for the bucket, and make one where it may
                fs.makedirs(f"{folder}/{name}".rpartition("/")[0], exist_ok=True)
            fs.pipe_file(f"{folder}/{name}", data, **options)

        await self._bounded(write, "stage a file")

    async def _address(self, name: str) -> str:
        if self._public_url:
            return f"{self._public_url}/{name}"
        if self._uri.startswith(("https://", "http://")):
            return f"{self._uri}/{name}"
        return await self._bounded(lambda: self._buckets.presigned(f"{self._uri}/{name}"), "sign an address")

    async def _put_over_http(self, url: str, data: bytes, media_type: str) -> None:
        token = self._settings.put_token
        headers = {"content-type": media_type}
        if token is not None:
            headers["authorization"] = f"Bearer {token.get_secret_value()}"
        failure = ""
        try:
            async with (
                self._network.client(timeout_s=self._settings.timeout_s) as client,
                asyncio.timeout(self._settings.timeout_s),
            ):
                status = (await client.put(url, content=data, headers=headers)).status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            failure = type(error).__name__
        if failure:
            raise TransientError(f"staging_uri could not be written ({failure})")
        if status in (401, 403, 404, 405):
            raise ProviderOffError(f"staging_uri refused the upload: HTTP {status}")
        if status == 413:
            raise RejectedItemError("staging_uri refused the upload: the file is too large for it")
        if not 200 <= status < 300:
            raise TransientError(f"staging_uri could not be written: HTTP {status}")

    async def _sweep(self, today: date) -> None:
        """Once a day: remove the folders of days long past. A failure is no reason to stop an edit."""
        keep = self._settings.keep_days
        if self._swept == today or not keep or self._uri.startswith(("https://", "http://")):
            return
        self._swept = today
        fs, folder = self._buckets.open(self._uri)

        def remove() -> None:
            for path in fs.ls(folder, detail=False):
                day = _DAY_FOLDER.fullmatch(str(path).rstrip("/").rpartition("/")[2])
                if day and date.fromisoformat(day[1]) < today - timedelta(days=keep):
                    fs.rm(path, recursive=True)

        try:
            await self._bounded(remove, "sweep")
        except TransientError:
            return

    async def _bounded(self, work: Callable[[], T], what: str) -> T:
        """Blocking work off the event loop, with an end. What the store says may hold signed addresses: only its kind is told."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await asyncio.to_thread(work)
        except Exception as error:  # noqa: BLE001 - every fsspec backend has errors of its own
            kind = type(error).__name__
        raise TransientError(f"could not {what} in staging_uri ({kind})")


class Buckets:
    """fsspec filesystems, with the installation's S3 address and today's signatures."""

    def __init__(self, s3: S3Settings) -> None:
        """`s3`: where S3 is, when it is not AWS."""
        self._s3 = s3
        self._s3_files: Any = None  # one for all threads: making its session takes a third of a second

    def open(self, uri: str) -> tuple[Any, str]:
        """The filesystem of a URI, and the path in it."""
        if not uri.startswith("s3://"):
            return fsspec.core.url_to_fs(uri)  # type: ignore[no-any-return]  # fsspec ships no types
        if self._s3_files is None:
            own = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})  # what other servers than AWS need
            client = {**own, "connect_timeout": 10, "read_timeout": 60, "signature_version": "s3v4"}
            self._s3_files = fsspec.filesystem("s3", endpoint_url=self._s3.endpoint_url, config_kwargs=client)
        return self._s3_files, uri.removeprefix("s3://")

    def presigned(self, uri: str) -> str:
        """An https:// address for an s3:// object, valid for `presign_expiry_s`. Blocking."""
        fs, path = self.open(uri)
        return str(fs.sign(path, expiration=self._s3.presign_expiry_s))
