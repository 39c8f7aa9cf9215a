"""Reading pictures and writing results through any fsspec filesystem, from one event loop, each call within a time limit."""

import asyncio
import hashlib
import os
import stat as file_kinds
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fsspec.core import split_protocol

from tasks.editing.filesystems import S3, Filesystems
from tasks.editing.listing import list_objects

READ_TIMEOUT_S: Final = 60.0
WRITE_TIMEOUT_S: Final = 120.0
LIST_TIMEOUT_S: Final = 120.0
_HASHED_AT_ONCE: Final = 100_000  # bytes; fewer are hashed sooner than handed to a thread
_DATES: Final = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated")


class StorageError(Exception):
    """A file could not be read or written. `missing`: it is not there at all."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        """The message names the URI and the cause, without signed query strings."""
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """`version` changes when the file changes; None where the store does not say. `size_bytes` 0: not said either."""

    version: str | None
    size_bytes: int


class Storage:
    """One process's way to files. Remote filesystems with an asynchronous side are used through it; others in threads."""

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._filesystems = Filesystems()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._filesystems.aclose()

    async def look(self, uri: str) -> FileFacts:
        """What is known of a file without reading it.

        Raises:
            StorageError: it is not there, or cannot be asked for.
        """
        if _is_local(uri):
            stat = await self._guard(uri, READ_TIMEOUT_S, lambda: asyncio.to_thread(_local_stat, uri))
            return _local_facts(stat)
        return _facts(await self._guard(uri, READ_TIMEOUT_S, lambda: self._call(uri, "info")))

    async def look_at_many(self, uris: Collection[str]) -> dict[str, FileFacts]:
        """What can be learnt of many files at little cost. One that is missing here may be there all the same: `look` tells."""
        local = [uri for uri in uris if _is_local(uri)]
        found = await asyncio.to_thread(_local_stats, local) if local else {}
        for protocol in S3:
            filesystem = self._filesystems.of(protocol) if any(_is_on(uri, protocol) for uri in uris) else None
            if filesystem is not None:
                by_path = {filesystem._strip_protocol(uri): uri for uri in uris if _is_on(uri, protocol)}
                first = next(iter(by_path.values()))
                with suppress(StorageError):  # then nothing is known cheaply
                    listed = await self._guard(first, LIST_TIMEOUT_S, lambda: list_objects(filesystem, by_path))  # noqa: B023 - awaited at once
                    found.update({by_path[path]: _facts(info) for path, info in listed.items()})
        return found

    async def read(self, uri: str) -> bytes:
        """The whole file."""
        if _is_local(uri):
            local: bytes = await self._guard(
                uri, READ_TIMEOUT_S, lambda: asyncio.to_thread(_read_local, _local_path(uri))
            )
            return local
        data: bytes = await self._guard(uri, READ_TIMEOUT_S, lambda: self._call(uri, "cat_file"))
        return data

    async def read_hashed(self, uris: Sequence[str]) -> list[tuple[bytes, str] | StorageError]:
        """Each whole file and its SHA-256 in hex, or why it cannot be had; local ones in a single hand-over to a thread."""
        local = [uri for uri in uris if _is_local(uri)]
        remote = [uri for uri in uris if not _is_local(uri)]
        found: dict[str, tuple[bytes, str] | StorageError] = {}
        if local:
            found |= await self._read_hashed_here(local)
        found |= dict(zip(remote, await asyncio.gather(*(self._read_hashed(uri) for uri in remote)), strict=True))
        return [found[uri] for uri in uris]

    async def _read_hashed_here(self, uris: Sequence[str]) -> dict[str, tuple[bytes, str] | StorageError]:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                read = await asyncio.to_thread(_read_hashed, [_local_path(uri) for uri in uris])
        except TimeoutError as error:
            return {uri: _storage_error(uri, error, READ_TIMEOUT_S) for uri in uris}
        return {
            uri: _storage_error(uri, one, READ_TIMEOUT_S) if isinstance(one, Exception) else one
            for uri, one in zip(uris, read, strict=True)
        }

    async def _read_hashed(self, uri: str) -> tuple[bytes, str] | StorageError:
        try:
            data = await self.read(uri)
        except StorageError as error:
            return error
        return data, _sha256(data) if len(data) < _HASHED_AT_ONCE else await asyncio.to_thread(_sha256, data)

    async def exists(self, uri: str) -> bool:
        """Whether the file is there; a store that cannot be asked raises."""
        try:
            await self.look(uri)
        except StorageError as error:
            if error.missing:
                return False
            raise
        return True

    async def write(self, uri: str, data: bytes) -> None:
        """Put the whole file there at once: readers see the old one or the new one, never a part."""
        if _is_local(uri):
            await self._guard(
                uri, WRITE_TIMEOUT_S, lambda: asyncio.to_thread(self._write_local, _local_path(uri), data)
            )
        else:
            await self._guard(uri, WRITE_TIMEOUT_S, lambda: self._call(uri, "pipe_file", data))

    def _write_local(self, path: str, data: bytes) -> None:
        folder = os.path.dirname(path) or "."
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    async def _call(self, uri: str, method: str, *args: Any) -> Any:
        filesystem = self._filesystems.of(split_protocol(uri)[0] or "file")
        path = filesystem._strip_protocol(uri)
        if getattr(filesystem, "asynchronous", False):
            return await getattr(filesystem, f"_{method}")(path, *args)
        return await asyncio.to_thread(getattr(filesystem, method), path, *args)

    @staticmethod
    async def _guard(uri: str, timeout_s: float, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await call()
        except Exception as error:  # each filesystem has its own errors; all mean that this file cannot be had now
            raise _storage_error(uri, error, timeout_s) from error


def _storage_error(uri: str, error: Exception, timeout_s: float) -> StorageError:
    shown = uri.split("?", 1)[0]
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{shown} is not there", missing=True)
    if isinstance(error, IsADirectoryError):
        return StorageError(f"{shown} is a folder, not a file", missing=True)
    if isinstance(error, TimeoutError):
        return StorageError(f"{shown} did not answer within {timeout_s:g} s")
    if isinstance(error, PermissionError):
        return StorageError(f"{shown}: no permission ({type(error).__name__})")
    return StorageError(f"{shown}: {type(error).__name__}: {str(error).replace(uri, shown)[:200]}")


def _facts(info: dict[str, Any]) -> FileFacts:
    """An ETag stands for the content; a date, with the size, where there is none. A listing and a single look must agree."""
    size = int(info.get("size") or 0)
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')  # some servers quote it in one place only
    changed = tag or next((info[key] for key in _DATES if info.get(key) is not None), None)
    return FileFacts(version=None if changed is None else f"{changed}:{size}", size_bytes=size)


def _local_facts(stat: os.stat_result) -> FileFacts:
    return FileFacts(version=f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}", size_bytes=stat.st_size)


def _local_stats(uris: Iterable[str]) -> dict[str, FileFacts]:
    found = {}
    for uri in uris:
        try:
            found[uri] = _local_facts(_local_stat(uri))
        except (OSError, ValueError):  # not there, not to be seen, or no path at all
            continue
    return found


def _read_local(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _read_hashed(paths: Iterable[str]) -> list[tuple[bytes, str] | Exception]:
    found: list[tuple[bytes, str] | Exception] = []
    for path in paths:
        try:
            data = _read_local(path)
        except (OSError, ValueError) as error:  # ValueError: no path at all
            found.append(error)
        else:
            found.append((data, _sha256(data)))
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_on(uri: str, protocol: str) -> bool:
    return uri.startswith(f"{protocol}://")


def _is_local(uri: str) -> bool:
    return "://" not in uri or split_protocol(uri)[0] in {None, "file", "local"}


def _local_path(uri: str) -> str:
    """As a text: each row asks several times, and making a `Path` takes longer than opening the file."""
    return uri.removeprefix("file://").removeprefix("local://")


def _local_stat(uri: str) -> os.stat_result:
    found = os.stat(_local_path(uri))
    if file_kinds.S_ISDIR(found.st_mode):
        raise IsADirectoryError(uri)
    return found
