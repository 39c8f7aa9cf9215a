"""The remote filesystems of one event loop: one instance a protocol, so that connections are kept and reused, and closed at the end."""

import inspect
from typing import Any, Final

import fsspec
import fsspec.config

CONNECTIONS: Final = 64  # at once to one S3 endpoint; botocore's own 10 would be the bottleneck of small files
S3: Final = frozenset({"s3", "s3a"})


class Filesystems:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._opened: dict[str, Any] = {}

    def of(self, protocol: str) -> Any:
        """The filesystem; `async_impl` says whether its coroutines may be awaited here."""
        if protocol not in self._opened:
            self._opened[protocol] = _open(protocol)
        return self._opened[protocol]

    async def aclose(self) -> None:
        """Close the connections."""
        for filesystem in self._opened.values():
            session = getattr(filesystem, "_s3", None) or getattr(filesystem, "_session", None)
            closed = session.close() if session is not None else None
            if inspect.isawaitable(closed):
                await closed
        self._opened.clear()


def _open(protocol: str) -> Any:
    if not getattr(fsspec.get_filesystem_class(protocol), "async_impl", False):
        return fsspec.filesystem(protocol)
    # fsspec's own cache of instances goes by thread, and would hand out one whose event loop has ended.
    mine: dict[str, Any] = {"asynchronous": True, "skip_instance_cache": True, "use_listings_cache": False}
    if protocol in S3:
        configured = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
        mine["max_concurrency"] = (
            1  # for one file: with more, s3fs asks for the size of every picture before it gets it
        )
        mine["config_kwargs"] = {"max_pool_connections": CONNECTIONS, **configured}
    return fsspec.filesystem(protocol, **mine)
