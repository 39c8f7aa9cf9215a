"""Every byte that a night leaves behind, searched for the secrets that it used."""

import json
import os
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from tests.benchmarks.nightly_house import POSTGRES, House

LOOK_EVERY_S = 0.2
KINDS = (
    "flows",
    "flow_runs",
    "task_runs",
    "deployments",
    "artifacts",
    "logs",
    "automations",
    "variables",
    "work_pools",
)
NEED_KEYS = (b"worker", b"prefect.runner", b"prefect.engine")  # workers, and the runs that they start
MEANT = {"secrets/runflow"}  # where a secret lies because it was put there


@dataclass(kw_only=True)
class Place:
    """One kind of record."""

    name: str
    records: int = 0
    size: int = 0
    hits: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Findings:
    """Of the whole search."""

    secrets: int
    places: list[Place]
    control: bool  # the search found the secret where it was put

    @property
    def hits(self) -> list[str]:
        """Which secret, by its name, was seen where."""
        return [f"{place.name}: {hit}" for place in self.places for hit in place.hits]


class Needles:
    """The secrets in every form in which they might be written."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {
            form.encode(): name
            for name, secret in secrets.items()
            for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("="))
        }

    def look(self, place: Place, where: str, content: bytes) -> bool:
        """Count it, and note what shows in it."""
        place.records += 1
        place.size += len(content)
        found = {name for form, name in self._forms.items() if form in content}
        place.hits += [f"{name} in {where}" for name in sorted(found)]
        return bool(found)


@dataclass
class Seen:
    """What processes showed while the night lasted."""

    command_lines: Place
    environments: Place


@contextmanager
def watched_processes(secrets: Mapping[str, str]) -> Iterator[Seen]:
    """Look at every process of this machine again and again: command lines of all; environments of those that need no vendor's key."""
    seen = Seen(Place(name="command lines of all processes"), Place(name="environments of processes that need no key"))
    needles, known, over = Needles(secrets), set[tuple[str, bytes]](), threading.Event()
    vendors_only = Needles({name: secret for name, secret in secrets.items() if name.endswith("key")})

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line = (process / "cmdline").read_bytes()
                if (process.name, line) in known:
                    continue
                known.add((process.name, line))
                words = line.replace(b"\0", b" ").decode(errors="replace")[:60]
                needles.look(seen.command_lines, words, line)
                if not any(need in line for need in NEED_KEYS):
                    vendors_only.look(seen.environments, words, (process / "environ").read_bytes())

    def keep_looking() -> None:
        while not over.wait(LOOK_EVERY_S):
            look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def search(here: House, seen: Seen) -> Findings:
    """Files, results, Prefect's records and both databases, and what the processes showed."""
    needles = Needles(here.passwords)
    files, control = _files(here.home, needles)
    places = [files, _results(here.home, needles), *_records(here, needles), _events(here, needles)]
    places += [_database(here, name, needles) for name in ("prefect", "ledger")]
    places += [_raw(here.pgdata, needles), seen.command_lines, seen.environments]
    return Findings(secrets=len(here.passwords), places=places, control=control)


def _files(home: Path, needles: Needles) -> tuple[Place, bool]:
    """Logs, results, pictures, reports, Prefect's home."""
    place, control = Place(name="files: logs, run folder, pictures, Prefect's home"), Place(name="control")
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder, name)
            where = str(path.relative_to(home))
            needles.look(control if where in MEANT else place, where, path.read_bytes())
    return place, bool(control.hits)


def _results(home: Path, needles: Needles) -> Place:
    """Parquet compresses: as text again."""
    place = Place(name="results, unpacked")
    for path in (home / "out").rglob("*.parquet"):
        for row in pd.read_parquet(path).to_dict("records"):
            needles.look(place, path.name, repr(row).encode())
    return place


def _records(here: House, needles: Needles) -> Iterator[Place]:
    for kind in (*KINDS, "block_documents"):
        place = Place(name=f"Prefect: {kind.replace('_', ' ')}")
        for one in here.all(kind):
            needles.look(place, str(one.get("name", one["id"])), json.dumps(one).encode())
        yield place


def _events(here: House, needles: Needles) -> Place:
    place = Place(name="Prefect: events")
    page = here.api.post("/events/filter", json={"limit": 50}).raise_for_status().json()
    while True:
        for event in page["events"]:
            needles.look(place, event["event"], json.dumps(event).encode())
        if page["next_page"] is None:
            return place
        page = here.api.get(page["next_page"]).raise_for_status().json()


def _database(here: House, name: str, needles: Needles) -> Place:
    """Everything in it, as text."""
    place = Place(name=f"database {name}, dumped")
    address = here.databases["superuser"].replace("/postgres?", f"/{name}?")
    dump = subprocess.run([str(POSTGRES / "pg_dump"), address], check=True, capture_output=True, timeout=120).stdout
    for line in dump.splitlines():
        needles.look(place, line[:40].decode(errors="replace"), line)
    return place


def _raw(pgdata: Path, needles: Needles) -> Place:
    """What PostgreSQL wrote: tables, write-ahead log, its own log."""
    place = Place(name="files of PostgreSQL, write-ahead log included")
    for folder, _, names in os.walk(pgdata):
        for name in names:
            with suppress(OSError):  # a socket, or gone by now
                needles.look(place, name, Path(folder, name).read_bytes())
    return place
