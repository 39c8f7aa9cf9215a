"""Everyone who takes part, ours included: can be started on a manifest, killed, started again, and asked what was delivered."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow.parquet as pq

from tests.benchmarks.peers.environments import QUIET, NotInstalledError, Peer, python_with
from tests.benchmarks.peers.gateway import gateway
from tests.benchmarks.plots import Bars
from tests.rehearsals import Rehearsal

DRIVERS = Path(__file__).parent / "drivers"
RUN_WITHIN_S = 1800
LOG_FROM = 1000  # above it, what is small would not be seen beside it
F = TypeVar("F")
DEFAULTS: dict[str, Any] = {  # of the peers themselves, where they have one
    "budget_calls": None,
    "cooldown_s": 300.0,
    "per_minute": None,
    "pictures": False,
    "retries": 0,
    "shard": 10_000,
    "stop_without_balance": False,
}


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


class Contender(Protocol):
    """Someone with settings."""

    ours: bool

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
            yield TheirSeat(self, here, folder, url, in_flight)


@dataclass(frozen=True)
class TheirSeat:
    """The folder is kept between starts: in it is what the peer resumes from."""

    who: Theirs
    here: Rehearsal
    folder: Path
    url: str
    in_flight: int

    def start(self, manifest: Path) -> "subprocess.Popen[bytes]":
        rows = write_rows(manifest, self.folder / "rows.jsonl", by_content=self.who.by_content)
        job = {"url": self.url, "rows": str(rows), "in_flight": self.in_flight, **self.who.options}
        return start_driver(self.who.peer, self.folder, job, self.here.environment)

    def run(self, manifest: Path) -> Told:
        process = self.start(manifest)
        process.wait(RUN_WITHIN_S)
        told = self.folder / "told.json"
        if (
            not told.exists()
        ):  # it may end by failing, rows and all: that is an answer too, unless nothing was asked for
            raise RuntimeError((self.folder / "log.txt").read_text()[-3000:])
        return Told(succeeded=frozenset(json.loads(told.read_text())["succeeded"]))


def start_driver(
    peer: Peer, folder: Path, job: Mapping[str, Any], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """A peer's driver in a process group of its own; what it tells when it ends is `folder`/told.json."""
    (folder / "told.json").unlink(missing_ok=True)
    (folder / "job.json").write_text(json.dumps({**DEFAULTS, "folder": str(folder), **job}))
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [python_with(*peer.requirements), DRIVERS / peer.driver, folder / "job.json"],
            env={**environment, **QUIET},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def write_rows(manifest: Path, to: Path, *, by_content: bool) -> Path:
    """A line a row: its id, and a prompt that names its picture and its mask."""
    with to.open("w") as file:
        for row in pq.read_table(manifest).to_pylist():
            names = [Path(row["image_uri"]), Path(row["mask_uri"])]
            if by_content:
                names = [_named_by_content(name, to.parent / "content") for name in names]
            file.write(json.dumps({"id": row["item_id"], "prompt": " ".join(map(str, names))}) + "\n")
    return to


def _named_by_content(file: Path, folder: Path) -> Path:
    """A copy whose name changes with its bytes, and with nothing else."""
    folder.mkdir(exist_ok=True)
    copy = folder / f"{sha256(content := file.read_bytes()).hexdigest()}{file.suffix}"
    if not copy.exists():
        copy.write_bytes(content)
    return copy


def measured(contenders: Iterable[Contender], measure: Callable[[Contender], F]) -> Iterator[tuple[Contender, F]]:
    """One after the other; a peer that cannot be installed gets a line that says so, and is left out."""
    for contender in contenders:
        try:
            figures = measure(contender)
        except NotInstalledError as error:
            print(f"| {contender}: not installed here: {error} |", flush=True)
        else:
            yield contender, figures


def bars(title: str, unit: str, values: Mapping[Contender, float]) -> Bars:
    """A plot of one figure of everyone; logarithmic when it would show nothing else."""
    shown = {str(contender): value for contender, value in values.items()}
    ours = [str(contender) for contender in values if contender.ours]
    return Bars(title=title, unit=unit, values=shown, ours=ours, log=max(shown.values()) > LOG_FROM)
