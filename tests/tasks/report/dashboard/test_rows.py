"""The table: every row once, in order, whatever the filter, the sort and the direction."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tasks.report.dashboard.marks import BadMarkError, read_mark, write_mark
from tasks.report.dashboard.rows import SORTS, PageRequest, RowFilter, choices, count_rows, page_of_rows
from tasks.report.database import ROW, Database
from tasks.report.places import find_runs


@pytest.fixture(scope="module")
def database(finished_run: Path) -> Iterator[Database]:
    opened = Database(find_runs(str(finished_run)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def rows(finished_run: Path) -> pd.DataFrame:
    return pd.read_parquet(finished_run / "results.parquet")


@pytest.mark.parametrize("sort", SORTS)
def test_pages_hold_every_row_once_forth_and_back(database: Database, sort: str) -> None:
    forth: list[list[int]] = []
    mark = ""
    while True:
        page = page_of_rows(database, RowFilter(), PageRequest(sort=sort, mark=mark, rows=50))
        forth.append([row[ROW] for row in page.rows])
        if not page.after:
            break
        mark = page.after

    back = [forth[-1]]
    while page.before:
        page = page_of_rows(database, RowFilter(), PageRequest(sort=sort, mark=page.before, back=True, rows=50))
        back.insert(0, [row[ROW] for row in page.rows])

    assert [len(page) for page in forth] == [50, 50, 20]
    assert sorted(number for page in forth for number in page) == list(range(120))
    assert back == forth


def test_sorting_is_by_what_it_says(database: Database, rows: pd.DataFrame) -> None:
    costs = [row["cost_usd"] for row in page_of_rows(database, RowFilter(), PageRequest(sort="cost")).rows]
    items = [row["item_id"] for row in page_of_rows(database, RowFilter(), PageRequest(sort="item")).rows]

    assert costs == sorted(rows["cost_usd"], reverse=True)[:50]
    assert items == sorted(rows["item_id"])[:50]


@pytest.mark.parametrize(
    ("wanted", "column", "value"),
    [
        (RowFilter(state="failed"), "state", "failed"),
        (RowFilter(cause="mask_empty"), "error_code", "mask_empty"),
        (RowFilter(provider="maskr"), "provider", "maskr"),
        (RowFilter(operation="background-replace"), "operation", "background-replace"),
    ],
)
def test_filters_count_what_pandas_counts(
    database: Database, rows: pd.DataFrame, wanted: RowFilter, column: str, value: str
) -> None:
    assert count_rows(database, wanted) == sum(rows[column] == value) > 0


def test_search_looks_into_items_and_messages_whatever_their_case(database: Database, rows: pd.DataFrame) -> None:
    assert count_rows(database, RowFilter(text="COFFEE")) >= sum(rows["item_id"].str.contains("coffee")) > 0
    assert count_rows(database, RowFilter(text="content policy")) == sum(rows["error_code"] == "provider_rejected") > 0
    assert count_rows(database, RowFilter(text="100%_'\"; DROP")) == 0


def test_choices_are_what_occurs(database: Database, rows: pd.DataFrame) -> None:
    assert choices(database)["cause"] == sorted(rows["error_code"].dropna().unique())


@pytest.mark.parametrize(
    "mark", ["x", "bm9wZQ", write_mark(1, "f"), write_mark("text", "f", 1), "ü" * 9, write_mark(1, "f", "n")]
)
def test_a_mark_that_is_not_ours_is_refused(database: Database, mark: str) -> None:
    with pytest.raises(BadMarkError, match="first page"):
        page_of_rows(database, RowFilter(), PageRequest(mark=mark))


def test_marks_read_back_as_written() -> None:
    assert read_mark(write_mark(-1.5, "a/ü", 7), (int, float), str, int) == [-1.5, "a/ü", 7]


def test_an_unknown_sort_names_the_known_ones(database: Database) -> None:
    with pytest.raises(BadMarkError, match="newest"):
        page_of_rows(database, RowFilter(), PageRequest(sort="1; DROP"))
