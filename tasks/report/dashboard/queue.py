"""The order in which pictures are reviewed: the most doubtful first, what has been decided left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from tasks.report.dashboard.decisions import DecisionStore
from tasks.report.dashboard.library import Snapshot
from tasks.report.dashboard.marks import read_mark, write_mark
from tasks.report.database import FILE, ROW

_STRETCH: Final = 200  # read ahead: a step to the next picture need not ask again


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewScope:
    """What is reviewed; empty fields do not restrict."""

    run: str = ""  # a run's key
    catalog: str = ""
    provider: str = ""

    def where(self, snapshot: Snapshot) -> tuple[str, list[object]]:
        """A SQL condition over `review_queue`, with its values."""
        parts, values = ["true"], list[object]()
        files = snapshot.files(key=self.run, catalog=self.catalog)
        if files is not None:
            parts.append(f"{FILE} IN (SELECT unnest(?::VARCHAR[]))")
            values.append(list(files))
        if self.provider:
            parts.append("provider = ?")
            values.append(self.provider)
        return " AND ".join(parts), values


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A picture that waits for a word."""

    file: str
    number: int  # its row's place in the file
    item_id: str
    score: int
    reason: str | None

    @property
    def mark(self) -> str:
        """Names its place in the queue."""
        return write_mark(self.score, self.file, self.number)


def waiting(snapshot: Snapshot, store: DecisionStore, scope: ReviewScope, after: str = "") -> Iterator[Candidate]:
    """What is still to be decided, from a mark on.

    Raises:
        BadMarkError: that mark is none of ours.
    """
    decided = {(run.results_uri, one.item_id) for run, one in store.of_runs(snapshot.runs)}
    while True:
        stretch = snapshot.answers.get(("queue", scope, after), partial(_stretch, snapshot, scope, after))
        yield from (one for one in stretch if (one.file, one.item_id) not in decided)
        if len(stretch) < _STRETCH:
            return
        after = stretch[-1].mark


def how_many(snapshot: Snapshot, store: DecisionStore, scope: ReviewScope) -> tuple[int, int]:
    """Pictures in scope, and how many of them have been decided."""
    condition, values = scope.where(snapshot)
    total = snapshot.answers.get(
        ("queue size", scope),
        lambda: snapshot.database.query(f"SELECT count(*) AS items FROM review_queue WHERE {condition}", values),  # noqa: S608 - our own words; values are bound
    )
    decided = store.of_runs(snapshot.runs)
    words = pa.table(
        {
            "file": pa.array([run.results_uri for run, _ in decided], pa.string()),
            "item": pa.array([one.item_id for _, one in decided], pa.string()),
        }
    )
    done = snapshot.database.query(
        f"""SELECT count(*) AS items FROM review_queue SEMI JOIN words ON {FILE} = words.file AND item_id = words.item
            WHERE {condition}""",  # noqa: S608 - as above
        values,
        words=words,
    )
    return total[0]["items"], done[0]["items"]


def _stretch(snapshot: Snapshot, scope: ReviewScope, after: str) -> list[Candidate]:
    condition, values = scope.where(snapshot)
    if after:
        condition += f" AND (review_score, {FILE}, {ROW}) > (?, ?, ?)"
        values += read_mark(after, int, str, int)
    rows = snapshot.database.query(
        f"""SELECT {FILE}, {ROW}, item_id, review_score, review_reason FROM review_queue WHERE {condition}
            ORDER BY review_score, {FILE}, {ROW} LIMIT {_STRETCH}""",  # noqa: S608 - as above
        values,
    )
    return [_candidate(row) for row in rows]


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(
        file=row[FILE],
        number=row[ROW],
        item_id=row["item_id"],
        score=row["review_score"],
        reason=row["review_reason"],
    )
