"""Where manifests and results lie: any fsspec URL; every write is all or nothing."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from manifests.errors import ManifestError

StorageOptions = Mapping[str, Any]
"""Keyword arguments for the fsspec filesystem of a URI, as in `pandas.read_parquet(storage_options=…)`."""

_SHOWS_NOTHING_UNFINISHED: Final = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "memory"}
)  # an object appears when its upload completes, so no temporary name is needed


def locate(uri: str, options: StorageOptions | None = None) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of a URI and the path in it. ManifestError when the protocol is unknown or its package missing."""
    try:
        fs, path = fsspec.core.url_to_fs(uri, **(options or {}))
    except (ValueError, ImportError) as error:
        raise ManifestError(f"{shown(uri)}: this kind of address cannot be opened: {error}") from error
    return fs, path


@contextlib.contextmanager
def storage_errors(uri: str, *, doing: str = "read") -> Iterator[None]:
    """What goes wrong at a storage inside the block becomes a ManifestError; FileNotFoundError stays itself, for it may be no error."""
    try:
        yield
    except (ManifestError, FileNotFoundError):
        raise
    except Exception as error:  # each filesystem has errors of its own, such as botocore's for missing credentials
        raise ManifestError(f"{shown(uri)}: cannot be {doing}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first line of an error, without queries of addresses, which may hold signatures."""
    lines = str(error).splitlines() or [type(error).__name__]
    return re.sub(r"\?[^\s'\"]*", "", lines[0]) if "://" in lines[0] else lines[0]


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """True for files of this machine, which Arrow reads without a detour over Python."""
    return isinstance(fs, LocalFileSystem)


def shown(uri: str) -> str:
    """A URI as it may stand in messages and logs: without user, password, and the query that may hold a signature."""
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return re.sub(r"\?.*$", "", f"{parts.scheme}://{host}{parts.path}")


def absolute(uri: str, options: StorageOptions | None = None) -> str:
    """The same address in a form that means the same in another working folder and on another worker."""
    fs, path = locate(uri, options)
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def options_for(uri: str, like: str, options: StorageOptions | None) -> StorageOptions | None:
    """`options` were given for `like`; they are meant for `uri` too when both have the same protocol."""
    one, other = (address.partition("://")[0] if "://" in address else "file" for address in (uri, like))
    return options if one == other else None


def join(folder: str, *names: str) -> str:
    """The address of something inside a folder."""
    return "/".join([folder.rstrip("/"), *names])


@contextlib.contextmanager
def published_file(uri: str, options: StorageOptions | None = None) -> Iterator[Path]:
    """Yields a local path to write to; what was written appears at `uri` as a whole, and only if the block succeeds."""
    fs, path = locate(uri, options)
    if is_local(fs):
        with _renamed_sibling(Path(path)) as temporary:
            yield temporary
        return
    folder = Path(tempfile.mkdtemp(prefix="cleanplate-"))
    try:
        spool = folder / "spool"
        yield spool
        _put(fs, spool, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_bytes(uri: str, data: bytes, options: StorageOptions | None = None) -> None:
    """Make `data` appear at `uri` as a whole."""
    fs, path = locate(uri, options)
    if _completes_at_once(fs):
        fs.pipe_file(path, data)
        return
    with published_file(uri, options) as temporary:
        temporary.write_bytes(data)


def _completes_at_once(fs: fsspec.AbstractFileSystem) -> bool:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return not _SHOWS_NOTHING_UNFINISHED.isdisjoint(protocols)


@contextlib.contextmanager
def _renamed_sibling(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Have a file survive a power failure too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(fs: fsspec.AbstractFileSystem, source: Path, path: str) -> None:
    if _completes_at_once(fs):
        fs.put_file(str(source), path)
        return
    fs.makedirs(fs._parent(path), exist_ok=True)
    temporary = f"{fs._parent(path)}/.{source.name}.{secrets.token_hex(6)}.tmp"
    fs.put_file(str(source), temporary)
    fs.mv(temporary, path)
