"""Everyone who takes part, ours included: can be started on a manifest, killed, started again, and asked what was delivered."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.benchmarks.peers.comparing import Compared
from tests.benchmarks.peers.driving import start_driver, write_rows
from tests.benchmarks.peers.environments import Peer, python_with
from tests.benchmarks.peers.gateway import gateway
from tests.rehearsals import Rehearsal
from tests.services import end

RUN_WITHIN_S = 1800


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a contender says of its rows."""

    succeeded: frozenset[str]
    in_doubt: int = 0


class Seat(Protocol):
    """A contender in one rehearsal."""

    def start(self, manifest: Path) -> "subprocess.Popen[bytes]":
        """A process group of its own; what was started before is taken up again."""
        ...

    def run(self, manifest: Path) -> Told:
        """To its end."""
        ...


class Contender(Compared, Protocol):
    """Someone with settings."""

    def seat(self, here: Rehearsal, in_flight: int) -> Any:
        """A context manager that gives a Seat."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Ours:
    """The product's own driver."""

    label: str
    vendor: str
    environment: dict[str, str] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    ours: bool = True

    def __str__(self) -> str:
        """As it stands in the tables."""
        return self.label

    @contextmanager
    def seat(self, here: Rehearsal, in_flight: int) -> Iterator["OurSeat"]:
        here.environment |= self.environment
        here.environment[f"CLEANPLATE_PROVIDERS__{self.vendor.upper()}__MAX_IN_FLIGHT"] = str(in_flight)
        yield OurSeat(self, here)


@dataclass(frozen=True)
class OurSeat:
    """Each manifest is a run of its own."""

    who: Ours
    here: Rehearsal

    def start(self, manifest: Path) -> "subprocess.Popen[bytes]":
        return self.here.start(self._config(manifest))

    def run(self, manifest: Path) -> Told:
        self.here.run(self._config(manifest))
        results = self.here.results(manifest.stem)
        succeeded = frozenset(results.item_id[results.state == "succeeded"])
        return Told(succeeded=succeeded, in_doubt=int((results.state == "in_doubt").sum()))

    def _config(self, manifest: Path) -> Any:
        return self.here.config(manifest, self.who.vendor, run_id=manifest.stem, **self.who.knobs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Theirs:
    """A peer's driver in the peer's environment, in front of the sandbox's Maskr."""

    peer: Peer
    setting: str
    options: dict[str, Any] = field(default_factory=dict)
    by_content: bool = False  # whether the prompt names files by the hash of their bytes, as a careful user might
    ours: bool = False

    def __str__(self) -> str:
        """As it stands in the tables."""
        return f"{self.peer}, {self.setting}"

    @contextmanager
    def seat(self, here: Rehearsal, in_flight: int) -> Iterator["TheirSeat"]:
        python_with(*self.peer.requirements)  # before the clock runs
        with gateway(f"{here.sandbox.url}/maskr") as url:
            folder = here.folder / "peer"
            folder.mkdir(exist_ok=True)
            seat = TheirSeat(self, here, folder, url, in_flight)
            try:
                yield seat
            finally:
                for process in seat.started:
                    if process.poll() is None:
                        end(process)


@dataclass(frozen=True)
class TheirSeat:
    """The folder is kept between starts: in it is what the peer resumes from."""

    who: Theirs
    here: Rehearsal
    folder: Path
    url: str
    in_flight: int
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, manifest: Path) -> "subprocess.Popen[bytes]":
        rows = write_rows(manifest, self.folder / "rows.jsonl", by_content=self.who.by_content)
        job = {"url": self.url, "rows": str(rows), "in_flight": self.in_flight, **self.who.options}
        process = start_driver(self.who.peer, self.folder, job, self.here.environment)
        self.started.append(process)
        return process

    def run(self, manifest: Path) -> Told:
        self.start(manifest).wait(RUN_WITHIN_S)
        told = self.folder / "told.json"
        if not told.exists():
            raise RuntimeError((self.folder / "log.txt").read_text()[-3000:])
        return Told(succeeded=frozenset(json.loads(told.read_text())["succeeded"]))
