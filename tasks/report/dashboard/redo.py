"""The manifest of what is to be done again, for the next run."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa

from manifests.schemas import MANIFEST_SCHEMA
from tasks.report.dashboard.decisions import Decision, Verdict
from tasks.report.database import FILE, Database, quoted
from tasks.report.places import FoundRun

_LINEAGE: Final = (pa.field("redo_of_run_id", pa.string()), pa.field("redo_note", pa.string()))


def redo_table(database: Database, decisions: Sequence[tuple[FoundRun, Decision]]) -> pa.Table:
    """The manifest rows of every item whose newest decision is *redo*, with all columns that are not ours.

    `provider` pins the row to the reviewer's choice, else to what the manifest had said. An item that was judged in several
    runs comes once, as last decided; one that has been delivered since does not come again, for it would be paid again. `redo_of_run_id` and `redo_note` travel with the row into the next results.
    """
    latest = {one.item_id: (run, one) for run, one in decisions}
    wanted = [(run, one) for run, one in latest.values() if one.decision is Verdict.REDO]
    keys = pa.table(
        {
            FILE: pa.array([run.results_uri for run, _ in wanted], pa.string()),
            "item_id": pa.array([one.item_id for _, one in wanted], pa.string()),
            "redo_provider": pa.array([one.redo_provider for _, one in wanted], pa.string()),
            "decided_at": pa.array([one.decided_at for _, one in wanted], pa.timestamp("us", tz="UTC")),
            "redo_note": pa.array([one.note or None for _, one in wanted], pa.string()),
        }
    )
    lineage = {field.name for field in _LINEAGE}
    carried = [name for name in database.extra_columns if name not in lineage and not name.startswith("quality_")]
    own = [field.name for field in MANIFEST_SCHEMA if field.name != "provider"]
    selected = ", ".join(f"r.{quoted(name)}" for name in (*own, *carried))
    found = database.arrow(
        f"""SELECT {selected}, coalesce(k.redo_provider, r.provider_pin) AS provider,
                   r.run_id AS redo_of_run_id, k.redo_note
            FROM results r JOIN wanted k ON r.{FILE} = k.{FILE} AND r.item_id = k.item_id
            WHERE r.state = 'succeeded' AND NOT EXISTS (
                SELECT 1 FROM results since
                WHERE since.item_id = k.item_id AND since.state = 'succeeded' AND since.finished_at > k.decided_at)
            ORDER BY r.item_id""",  # noqa: S608 - names are quoted
        wanted=keys,
    )
    schema = pa.schema([*MANIFEST_SCHEMA, *(found.schema.field(name) for name in carried), *_LINEAGE])
    return found.select(schema.names).cast(schema)


def redo_name(now: datetime) -> str:
    """A file name that sorts by time."""
    return f"redo-{now:%Y%m%dT%H%M%S}.parquet"


def next_command(manifest_uri: str, to: str) -> str:
    """What to run with it. Without --fresh the judged pictures would be delivered again."""
    return f"cleanplate run {shlex.quote(manifest_uri)} --to {shlex.quote(to)} --fresh"
