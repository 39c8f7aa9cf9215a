"""A catalog with a quarter of faulty rows, and what becomes of it: expected against found, kind by kind; then the money.

The second half runs the same catalog as files with a manifest through the whole system, against the sandbox and its bill.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schemas import MANIFEST_SCHEMA
from tasks.config.imaging import PreflightSettings
from tasks.preflight import check_item
from tests.benchmarks.quality_runs import billed_usd, dollars, run_to_end, unlimited_rehearsal
from tests.factories.dirty_pictures import ALL, DirtyRow, dirty_rows

ROWS, QUICK_ROWS = 1_000, 200
FAULTY_SHARE = 0.25
TRUTH_SCHEMA = pa.schema(
    [("item_id", pa.string()), ("kind", pa.string()), ("code", pa.string()), ("repairs", pa.list_(pa.string()))]
)


def main(quick: bool) -> None:
    """Print the confusion table, one line a kind, and what a real run of the same catalog delivers and costs."""
    wrong = _confusion(quick)
    if _run(QUICK_ROWS if quick else ROWS) or wrong:
        raise SystemExit(1)


def _confusion(quick: bool) -> int:
    rows = dirty_rows(QUICK_ROWS if quick else ROWS, share=FAULTY_SHARE)
    began = time.process_time()
    found = Counter((row.kind, _found(row)) for row in rows)
    seconds = time.process_time() - began
    wrong = 0
    print("| kind | rows | expected | found |\n|---|---:|---|---|")
    for kind in sorted(ALL, key=lambda k: (ALL[k](0).code is not None, k)):
        expected = str(ALL[kind](0).code or "accepted")
        answers = {answer: count for (k, answer), count in found.items() if k == kind}
        wrong += sum(count for answer, count in answers.items() if answer != expected)
        words = ", ".join(f"{answer} ×{count}" for answer, count in sorted(answers.items()))
        print(f"| {kind} | {sum(answers.values())} | {expected} | {words} |")
    doomed = [row for row in rows if row.code is not None]
    sent = sum(_found(row) == "accepted" for row in doomed)
    print(
        f"\n{len(rows)} rows, {len(doomed)} doomed: {sent} doomed rows would have been sent, {wrong} answers are wrong."
    )
    print(f"{1000 * seconds / len(rows):.1f} ms of CPU a row of preflight.\n")
    return wrong


def _run(count: int) -> bool:
    """Whether anything is wrong in a run of the whole system. Maskr removes, Runflow replaces backgrounds."""
    with unlimited_rehearsal() as here:
        rows = write_catalog(here.folder / "in", count)
        results = run_to_end(here, here.folder / "in" / "manifest.parquet", "maskr", "runflow").set_index("item_id")
        bill = billed_usd(here)
    doomed = {row.item.item_id for row in rows if row.code is not None}
    is_doomed = results.index.isin(doomed)
    healthy, lost = results[~is_doomed], results[is_doomed]
    delivered = int((healthy.state == "succeeded").sum())
    as_expected = sum(results.error_code[row.item.item_id] == row.code.value for row in rows if row.code is not None)
    unexplained = bill - dollars(healthy.cost_usd)
    print("| the same catalog through the whole system | |\n|---|---:|")
    print(f"| rows, each with one outcome | {len(results):,} |")
    print(f"| healthy or repaired rows delivered | {delivered} of {len(healthy)} |")
    print(f"| doomed rows rejected with the expected `error_code` | {as_expected} of {len(lost)} |")
    print(f"| billed by the sandbox | ${bill:.2f} |")
    print(f"| of it for doomed rows | ${unexplained:.2f} |")
    for item_id, row in healthy[healthy.state != "succeeded"].iterrows():
        print(f"\n    {item_id}: {row.state} {row.error_code} {row.error_message}")
    return bool(unexplained) or delivered < len(healthy) or as_expected < len(lost) or len(results) != len(rows)


def _found(row: DirtyRow) -> str:
    answer = check_item(row.item, row.image, row.mask, row.reference, PreflightSettings())
    return str(answer.code or "accepted")


def write_catalog(folder: Path, count: int, *, share: float = FAULTY_SHARE, seed: int = 0) -> list[DirtyRow]:
    """`folder/manifest.parquet`, `folder/truth.parquet` and the files that they name; returns the rows."""
    rows = dirty_rows(count, share=share, seed=seed)
    files = folder / "files"
    files.mkdir(parents=True)
    records = [_write_row(files, row) for row in rows]
    pq.write_table(pa.Table.from_pylist(records, schema=MANIFEST_SCHEMA), folder / "manifest.parquet")
    pq.write_table(_truth(rows), folder / "truth.parquet")
    return rows


def _write_row(files: Path, row: DirtyRow) -> dict[str, object]:
    item, name = row.item, row.item.item_id

    def put(data: bytes | None, suffix: str) -> str | None:
        if data is None:
            return None
        path = files / f"{name}{suffix}"
        path.write_bytes(data)
        return str(path)

    return {
        "item_id": name,
        "image_uri": put(row.image, row.suffix),
        "operation": item.operation.value,
        "mask_uri": put(row.mask, "_mask.png"),
        "points": [list(point) for point in item.points] or None,
        "reference_uri": put(row.reference, "_scene.jpg"),
    }


def _truth(rows: Sequence[DirtyRow]) -> pa.Table:
    records = [
        {"item_id": r.item.item_id, "kind": r.kind, "code": r.code and r.code.value, "repairs": sorted(r.repairs)}
        for r in rows
    ]
    return pa.Table.from_pylist(records, schema=TRUTH_SCHEMA)
