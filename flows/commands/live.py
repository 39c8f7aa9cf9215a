"""The live display of a run: rows done, failed, rate, money, time left. Silent when the output is no terminal."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from manifests.outcomes import State
from tasks.editing.progress import ProgressSnapshot
from tasks.editing.runtimes import current_progress

REFRESH_S = 0.25


@contextmanager
def live_progress(console: Console) -> Iterator[None]:
    """Show how the run of this process stands, until the block ends."""
    if not console.is_terminal:
        yield
        return
    ended = threading.Event()
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with display:
        watcher = threading.Thread(target=_watch, args=(display, ended), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _watch(display: Progress, ended: threading.Event) -> None:
    row = display.add_task("starting", total=None, facts="")
    while not ended.wait(REFRESH_S):
        progress = current_progress()
        if progress is not None:
            snapshot = progress.snapshot(time.monotonic())
            display.update(
                row, description="rows", total=snapshot.total, completed=snapshot.done, facts=_facts(snapshot)
            )


def _facts(snapshot: ProgressSnapshot) -> str:
    unhappy = sum(count for state, count in snapshot.by_state.items() if state is not State.SUCCEEDED)
    parts = [f"{snapshot.rows_per_s:.1f}/s"]
    parts += [f"{unhappy} not succeeded"] if unhappy else []
    parts += [f"{snapshot.reused} reused"] if snapshot.reused else []
    parts += [f"${snapshot.cost_usd:.2f}"] if snapshot.cost_usd else []
    return " · ".join(parts)
