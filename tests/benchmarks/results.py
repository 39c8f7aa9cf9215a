"""What a benchmark leaves behind: one Markdown file with what it printed, where and when, and its plots beside it."""

import io
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TextIO

_recording: "ContextVar[Recording | None]" = ContextVar("recording", default=None)


class Plot(Protocol):
    """Anything that draws itself."""

    @property
    def title(self) -> str:
        """What it shows."""
        ...

    def svg(self) -> str:
        """The picture."""
        ...


@dataclass(kw_only=True)
class Recording:
    """One benchmark's files in the making."""

    name: str
    folder: Path
    plots: list[tuple[str, str]] = field(default_factory=list)  # title and file name


class _Tee(io.TextIOBase):
    """What is printed is kept as well."""

    def __init__(self, out: TextIO) -> None:
        self.out, self.kept = out, io.StringIO()

    def write(self, text: str) -> int:
        self.kept.write(text)
        return self.out.write(text)

    def flush(self) -> None:
        self.out.flush()


@contextmanager
def recorded(name: str, folder: Path, *, setting: str) -> Iterator[None]:
    """Write `name`.md into the folder from what is printed inside, even when that ends in an exception."""
    folder.mkdir(parents=True, exist_ok=True)
    recording, began, tee = Recording(name=name, folder=folder), datetime.now(UTC), _Tee(sys.stdout)
    clock = time.monotonic()
    token = _recording.set(recording)
    ended = "was ended by an error after"
    try:
        with redirect_stdout(tee):
            yield
        ended = "took"
    finally:
        _recording.reset(token)
        took = f"{ended} {time.monotonic() - clock:.0f} s"
        pages = [f"# {title_of(name)}", conditions(began, setting, took), tee.kept.getvalue().strip()]
        pages += [f"![{title}]({file})" for title, file in recording.plots]
        (folder / f"{name}.md").write_text("\n\n".join(pages) + "\n")


def keep_plot(name: str, plot: Plot) -> None:
    """Into the folder of the benchmark that is being recorded; nothing when none is."""
    if (recording := _recording.get()) is not None:
        file = f"{recording.name}-{name}.svg"
        (recording.folder / file).write_text(plot.svg())
        recording.plots.append((plot.title, file))


def title_of(name: str) -> str:
    """`peers.kill_nine`: "peers: kill nine"."""
    return name.replace(".", ": ").replace("_", " ")


def conditions(began: datetime, setting: str, took: str) -> str:
    """A line about the machine, the day and the setting."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{began:%Y-%m-%d %H:%M} UTC, {setting}, {took}. {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f} at the end), "
        f"{memory_gb:.0f} GB, Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    )
