"""How one shard of a bulk run does, told through the run folder: a small file rewritten every few seconds.

Whoever watches needs no clock in common and no server: a file that stops changing means a process that stopped.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final

from manifests.run_folder import RunFolder
from manifests.storage import join, locate, publish_bytes
from tasks.config.shards import Shard
from tasks.editing.planned_run import PlannedRun
from tasks.editing.progress import ProgressSnapshot

log = logging.getLogger(__name__)
EVERY_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardStatus:
    """What a shard's process last said of itself. `beat` changes each time."""

    beat: str
    rows: int
    by_state: Mapping[str, int] = field(default_factory=dict)
    reused: int = 0
    cost_usd: Decimal = Decimal(0)

    @property
    def done(self) -> int:
        """Rows with an outcome."""
        return sum(self.by_state.values())


@contextmanager
def beacon(
    plan: PlannedRun, look: Callable[[], ProgressSnapshot | None], *, every_s: float = EVERY_S
) -> Iterator[None]:
    """While inside, tell how `plan`'s shard does; nothing happens when it is a whole run."""
    shard = plan.config.stretch
    if shard is None:
        yield
        return
    ended = threading.Event()
    teller = threading.Thread(target=_keep_telling, args=(plan, shard, look, every_s, ended), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _keep_telling(
    plan: PlannedRun,
    shard: Shard,
    look: Callable[[], ProgressSnapshot | None],
    every_s: float,
    ended: threading.Event,
) -> None:
    last = False
    while not last:
        last = ended.is_set()
        status = _status(plan, look())
        try:
            publish_bytes(status_uri(plan.folder, shard), json.dumps(asdict(status), default=str).encode())
        except Exception as error:  # noqa: BLE001 - each store has its own; the next beat tries again
            log.warning("shard %s could not tell how it does: %s", shard, type(error).__name__)
        ended.wait(0 if last else every_s)


def _status(plan: PlannedRun, seen: ProgressSnapshot | None) -> ShardStatus:
    beat = str(time.time_ns())
    if seen is None:
        return ShardStatus(beat=beat, rows=plan.row_count)
    states = {str(state): count for state, count in seen.by_state.items()}
    return ShardStatus(beat=beat, rows=plan.row_count, by_state=states, reused=seen.reused, cost_usd=seen.cost_usd)


def status_uri(folder: RunFolder, shard: Shard) -> str:
    """Where a shard's status lies, until the results are joined."""
    return join(folder.parts_uri, "shards", f"{shard.number}-of-{shard.of}.json")


def read_status(folder: RunFolder, shard: Shard) -> ShardStatus | None:
    """What the shard's process said last; None: nothing yet, or the store does not answer now."""
    fs, path = locate(status_uri(folder, shard), folder.storage_options)
    try:
        said: dict[str, Any] = json.loads(fs.cat_file(path))
    except (OSError, ValueError):
        return None
    return ShardStatus(**{**said, "cost_usd": Decimal(said["cost_usd"])})
