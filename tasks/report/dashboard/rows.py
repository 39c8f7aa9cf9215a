"""The table of rows: filter, sort, search, and pages by key, so that page 10,000 costs what page 1 does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.report.dashboard.marks import BadMarkError, read_mark, write_mark
from tasks.report.database import FILE, ROW, Database

PAGE_ROWS: Final = 50
_SHOWN: Final = (
    "run_id, item_id, state, error_code, error_message, provider, operation, attempts, cost_usd, credits, reused, duration_ms, "
    f"finished_at, image_uri, mask_uri, output_uri, box, points, output_sha256, {FILE}, {ROW}"
)
# No key is ever null, so that a page boundary can be compared with it.
_SORT_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "newest": ("coalesce(epoch_us(finished_at), 0)", "DESC"),
    "oldest": ("coalesce(epoch_us(finished_at), 0)", "ASC"),
    "cost": ("coalesce(cost_usd, 0)::DOUBLE", "DESC"),
    "slowest": ("coalesce(duration_ms, -1)", "DESC"),
    "requests": ("coalesce(attempts, 0)", "DESC"),
    "drift": ("coalesce(quality_outside_mean_delta, quality_outside_max_delta, -1)", "DESC"),
    "item": ("coalesce(item_id, '')", "ASC"),
}
SORTS: Final = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "cost": "Most expensive",
    "slowest": "Slowest",
    "requests": "Most requests",
    "drift": "Most drift",
    "item": "Item, A to Z",
}
_EQUALS: Final = {
    "state": "state",
    "cause": "error_code",
    "provider": "provider",
    "operation": "operation",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFilter:
    """What is wanted; empty fields do not restrict. `text` is looked for in item id and message."""

    state: str = ""
    cause: str = ""
    provider: str = ""
    operation: str = ""
    text: str = ""
    files: tuple[str, ...] | None = None  # of a run or a catalog

    def where(self) -> tuple[str, list[object]]:
        """A SQL condition with its values."""
        parts, values = ["true"], list[object]()
        for name, column in _EQUALS.items():
            wanted = getattr(self, name)
            if wanted:
                parts.append(f"{column} = ?")
                values.append(wanted)
        if self.text:
            parts.append(
                "(contains(lower(item_id), lower(?)) OR contains(lower(coalesce(error_message, '')), lower(?)))"
            )
            values += [self.text, self.text]
        if self.files is not None:
            parts.append(f"{FILE} IN (SELECT unnest(?::VARCHAR[]))")
            values.append(list(self.files))
        return " AND ".join(parts), values


@dataclass(frozen=True, kw_only=True, slots=True)
class PageRequest:
    """Which page: `mark` is the key at its edge, as a page before handed it out; `back` asks for what lies before it."""

    sort: str = "newest"
    mark: str = ""
    back: bool = False
    rows: int = PAGE_ROWS


@dataclass(frozen=True, kw_only=True, slots=True)
class RowPage:
    """Some rows and the marks of their neighbours; an empty mark: there are none."""

    rows: Sequence[Mapping[str, Any]]
    before: str
    after: str


def page_of_rows(database: Database, wanted: RowFilter, page: PageRequest) -> RowPage:
    """One page.

    Raises:
        BadMarkError: the sort or the mark is none of ours.
    """
    if page.sort not in _SORT_KEYS:
        raise BadMarkError(f"cannot sort by '{page.sort}': known are {', '.join(_SORT_KEYS)}")
    condition, values = wanted.where()
    sort_key, natural = _SORT_KEYS[page.sort]
    downward = (natural == "DESC") != page.back
    direction = "DESC" if downward else "ASC"
    order = f"sort_key {direction}, {FILE} {direction}, {ROW} {direction}"
    if page.mark:
        condition += f" AND (sort_key, {FILE}, {ROW}) {'<' if downward else '>'} (?, ?, ?)"
        values += read_mark(page.mark, str if page.sort == "item" else (int, float), str, int)
    keys = database.query(
        f"SELECT {FILE}, {ROW}, {sort_key} AS sort_key FROM results WHERE {condition} ORDER BY {order} LIMIT ?",  # noqa: S608 - only our own words; values are bound
        [*values, page.rows + 1],
    )
    more, keys = len(keys) > page.rows, keys[: page.rows]
    if page.back:
        keys.reverse()
    behind, ahead = (more, bool(page.mark)) if page.back else (bool(page.mark), more)
    return RowPage(
        rows=rows_by_key(database, [(key[FILE], key[ROW]) for key in keys]),
        before=_mark(keys[0]) if keys and behind else "",
        after=_mark(keys[-1]) if keys and ahead else "",
    )


def count_rows(database: Database, wanted: RowFilter) -> int:
    """How many there are in all."""
    condition, values = wanted.where()
    (row,) = database.query(f"SELECT count(*) AS items FROM results WHERE {condition}", values)  # noqa: S608 - as above
    return int(row["items"])


def rows_by_key(database: Database, keys: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The rows at these (file, place in it), in this order."""
    if not keys:
        return []
    rows = database.query(
        f"SELECT {_SHOWN} FROM results WHERE {FILE} IN (SELECT unnest(?::VARCHAR[])) AND {ROW} IN (SELECT unnest(?::BIGINT[]))",  # noqa: S608 - our own column names
        [sorted({file for file, _ in keys}), sorted({number for _, number in keys})],
    )
    found = {(row[FILE], row[ROW]): row for row in rows}
    return [found[key] for key in keys if key in found]


def choices(database: Database) -> dict[str, list[str]]:
    """What the filters can be set to."""
    (row,) = database.query(
        """SELECT list(DISTINCT state ORDER BY state) AS state, list(DISTINCT error_code ORDER BY error_code) AS cause,
                  list(DISTINCT provider ORDER BY provider) AS provider,
                  list(DISTINCT operation ORDER BY operation) AS operation FROM results"""
    )
    return {name: [value for value in values or [] if value] for name, values in row.items()}


def _mark(key: Mapping[str, Any]) -> str:
    return write_mark(key["sort_key"], key[FILE], key[ROW])
