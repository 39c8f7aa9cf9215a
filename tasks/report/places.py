"""Where run folders lie: finding them under a local folder, a bucket or any fsspec URL."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import basename
from typing import Any, Final

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

RUN_PREFIX: Final = "run_id="
PARTS_FOLDER: Final = "_parts"
REVIEW_FOLDER: Final = "_review"  # an underscore: readers of data sets pass it by
_DEPTH: Final = 3  # <root>/<catalog>/<season>/run_id=… is found, a whole disk is not searched
_JSON_BYTES: Final = 4_000_000
_STAMPS: Final = ("size", "mtime", "LastModified", "ETag", "created")  # whatever a filesystem tells of a file
_S3: Final = frozenset({"s3", "s3a"})
_S3_TIMEOUTS: Final = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 3}}


class ResultsNotFoundError(Exception):
    """There is no run at that place; the message says what was looked for."""


class ResultsUnreadableError(Exception):
    """A results manifest is damaged or has gone; the message says what was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRun:
    """One run at rest."""

    key: str  # its path below the place that was searched: names it where two catalogs use the same run id
    run_id: str
    catalog: str  # the folder that holds the run: what data teams group by
    path: str  # of the folder, as its filesystem names it
    fs: AbstractFileSystem = field(repr=False, compare=False)
    results_stamp: str = ""  # changes when the results file does; empty: there is none yet
    summary_stamp: str = ""
    under_way: bool = False  # it has parts that are not in the results yet
    reviewed: bool = False  # somebody has decided about its pictures
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # summary.json as it stands
    config: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # run.json as it stands

    @property
    def uri(self) -> str:
        """The folder: a plain path when local, else a URL."""
        return self.path if isinstance(self.fs, LocalFileSystem) else str(self.fs.unstrip_protocol(self.path))

    @property
    def results_uri(self) -> str:
        """Where its results manifest is, or will be."""
        return f"{self.uri}/results.parquet"

    @property
    def finished(self) -> bool:
        """Whether there is a results manifest."""
        return bool(self.results_stamp)


def open_place(uri: str) -> tuple[AbstractFileSystem, str]:
    """The filesystem behind a URL or path, never a stale listing, every remote call bounded in time."""
    protocol = uri.split("://", 1)[0] if "://" in uri else "file"
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in _S3:
        settled = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})  # of `S3Settings.become_default`
        options["config_kwargs"] = {**settled, **_S3_TIMEOUTS}
    fs, path = fsspec.core.url_to_fs(uri, **options)
    return fs, path.rstrip("/") or "/"


def find_runs(uri: str, *, known: Sequence[FoundRun] = ()) -> list[FoundRun]:
    """Every run at `uri`: a run folder, its results.parquet, or any folder above. Ordered by id; `known` saves reading again.

    Raises:
        ResultsNotFoundError: nothing there is a run.
        OSError: the place cannot be read.
    """
    fs, path = open_place(uri.removesuffix("/results.parquet"))
    if not fs.isdir(path):
        raise ResultsNotFoundError(f"{uri} is no folder: give a run folder, or the folder that was given to --to")
    before = {run.path: run for run in known}
    found = sorted(_runs(fs, path, _DEPTH, before, root=path), key=lambda run: (run.run_id, run.path))
    if not found:
        raise ResultsNotFoundError(
            f"{uri} holds no run: expected {RUN_PREFIX}<id>/results.parquet in it, or results.parquet itself"
        )
    return found


def _runs(
    fs: AbstractFileSystem, path: str, depth: int, before: Mapping[str, FoundRun], *, root: str
) -> Iterator[FoundRun]:
    entries = {basename(entry["name"].rstrip("/")): entry for entry in fs.ls(path, detail=True)}
    if basename(path).startswith(RUN_PREFIX) or "results.parquet" in entries:
        yield _run(fs, path, entries, before.get(path), key=path.removeprefix(root).strip("/") or basename(path))
        return
    for name, entry in entries.items():
        if depth and entry["type"] == "directory" and not name.startswith((".", "_")):
            yield from _runs(fs, entry["name"].rstrip("/"), depth - 1, before, root=root)


def _run(
    fs: AbstractFileSystem, path: str, entries: Mapping[str, Any], before: FoundRun | None, *, key: str
) -> FoundRun:
    summary_stamp = _stamp(entries.get("summary.json"))
    unchanged = before is not None and before.summary_stamp == summary_stamp
    return FoundRun(
        key=key,
        run_id=basename(path).removeprefix(RUN_PREFIX),
        catalog=basename(path.rsplit("/", 1)[0]) if "/" in path else "",
        path=path,
        fs=fs,
        under_way=PARTS_FOLDER in entries,
        reviewed=REVIEW_FOLDER in entries,
        results_stamp=_stamp(entries.get("results.parquet")),
        summary_stamp=summary_stamp,
        summary=before.summary if before and unchanged else _object(fs, f"{path}/summary.json", entries),
        config=before.config if before and unchanged else _object(fs, f"{path}/run.json", entries),
    )


def _stamp(entry: Mapping[str, Any] | None) -> str:
    return "/".join(str(entry[key]) for key in _STAMPS if key in entry) if entry else ""


def _object(fs: AbstractFileSystem, path: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON file that is missing, torn or no object is an empty one: the results hold the facts."""
    if basename(path) not in entries:
        return {}
    try:
        with fs.open(path, "rb") as file:
            content = json.loads(file.read(_JSON_BYTES))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
