"""Are files there? Asked of any fsspec filesystem, many at a time, a bounded number of answers remembered."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final

from manifests.errors import ManifestError
from manifests.storage import StorageOptions, locate, options_for

_AT_ONCE: Final = 32
_REMEMBERED: Final = 20_000  # a reference or mask shared by many rows is asked for once


class FileLookup:
    """Asks whether files exist. `options` are those of the manifest at `like`, and serve files of the same kind of storage."""

    def __init__(self, like: str, options: StorageOptions | None) -> None:
        self.asked = 0
        self._like, self._options = like, options
        self._known: OrderedDict[str, str | None] = OrderedDict()

    def __enter__(self) -> "FileLookup":
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lookup")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def faults(self, uris: Collection[str]) -> Mapping[str, str]:
        """Of those that cannot be had: the address and why."""
        new = [uri for uri in uris if uri not in self._known]
        self.asked += len(new)
        answers = dict(zip(new, self._pool.map(self._fault, new), strict=True))
        known = {uri: self._known[uri] for uri in uris if uri not in answers}
        self._known.update(answers)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return {uri: fault for uri, fault in {**known, **answers}.items() if fault is not None}

    def _fault(self, uri: str) -> str | None:
        try:
            fs, path = locate(uri, options_for(uri, self._like, self._options))
            info = fs.info(path)
        except FileNotFoundError:
            return "there is no such file"
        except PermissionError:
            return "there is no permission to read it"
        except ManifestError:
            return "this kind of address cannot be opened"
        except Exception as error:  # noqa: BLE001 - each filesystem has its own errors; all mean that the row would fail
            return f"no answer: {type(error).__name__}"
        if info.get("type") == "directory":
            return "it is a folder"
        return "it is empty (0 bytes)" if info.get("size") == 0 else None
