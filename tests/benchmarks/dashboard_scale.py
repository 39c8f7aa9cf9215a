"""The dashboard and the report at 100,000 and 1,000,000 rows: queries, first paint in a real browser, report size and build time.

Run it alone: `python -m tests.benchmarks.dashboard_scale [--quick]`. Rows are synthetic (`tests/factories/bulk.py`), pictures are not:
the report's gallery is measured on a run of real photographs of the same number of rows.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pyarrow.parquet as pq
from playwright.sync_api import Browser

from tasks.report.dashboard.decisions import DecisionStore
from tasks.report.dashboard.library import Library, Snapshot
from tasks.report.dashboard.overview import Scope, overview
from tasks.report.dashboard.queue import ReviewScope, waiting
from tasks.report.dashboard.rows import PageRequest, RowFilter, count_rows, page_of_rows
from tasks.report.dashboard.story import history, whole_row
from tasks.report.facts import run_facts
from tasks.report.page import write_report
from tests.factories.bulk import bulk_run
from tests.factories.run_folders import pictures
from tests.tasks.report.browsing import CHROMIUM, chromium, served


def main(quick: bool) -> None:
    """Print Markdown tables; `quick`: 20,000 and 100,000 rows, one repetition."""
    sizes = (20_000, 100_000) if quick else (100_000, 1_000_000)
    repeat = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        places = {rows: _make(Path(folder) / str(rows), rows) for rows in sizes}
        columns = [_column(place, repeat) for place in places.values()]
    print("| | " + " | ".join(f"{rows:,} rows" for rows in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


def _make(place: Path, rows: int) -> Path:
    """A run of `rows` rows whose first ones have real pictures, so that gallery and thumbnails have work to do."""
    folder = bulk_run(place, rows=rows)
    made = pictures(place.parent / "photographs", count=24, side=1024)
    table = pq.read_table(folder / "results.parquet")
    cycle = [made[index % len(made)] for index in range(rows)]
    for column, values in (
        ("image_uri", [str(one.image) for one in cycle]),
        ("mask_uri", [str(one.mask) for one in cycle]),
        (
            "output_uri",
            [
                str(one.image) if uri else None
                for one, uri in zip(cycle, table["output_uri"].is_valid().to_pylist(), strict=True)
            ],
        ),
    ):
        table = table.set_column(table.schema.get_field_index(column), table.schema.field(column), [values])
    pq.write_table(table, folder / "results.parquet", compression="zstd", row_group_size=20_000)
    return place


def _column(place: Path, repeat: int) -> dict[str, str]:
    library = Library(str(place))
    snapshot, store = library.snapshot(), DecisionStore()
    database, run = snapshot.database, snapshot.runs[0]
    middle = page_of_rows(database, RowFilter(), PageRequest(sort="cost")).after
    questions: dict[str, Callable[[], object]] = {
        "overview: all its counts": partial(overview, database, Scope()),
        "run page: all its counts": partial(run_facts, database, run.results_uri),
        "rows: newest 50": partial(page_of_rows, database, RowFilter(), PageRequest()),
        "rows: 50 by cost, second page": partial(
            page_of_rows, database, RowFilter(), PageRequest(sort="cost", mark=middle)
        ),
        "rows: filter by cause": partial(page_of_rows, database, RowFilter(cause="mask_empty"), PageRequest()),
        "rows: search in text, counted": partial(count_rows, database, RowFilter(text="item-777")),
        "row: every column": partial(whole_row, database, run.results_uri, 777),
        "row: its other runs": partial(history, database, "item-777"),
        "review: the most doubtful": lambda: next(waiting(Snapshot(snapshot.runs, database), store, ReviewScope())),
    }
    found = {name: _median(question, repeat) for name, question in questions.items()}
    library.close()
    report_s = _timed(partial(write_report, run.uri))
    size = (Path(run.uri) / "report.html").stat().st_size
    found |= {"report: built in": f"{report_s:.2f} s", "report: size": f"{size / 1e6:.2f} MB"}
    return found | _in_a_browser(place, repeat)


def _median(question: Callable[[], object], repeat: int) -> str:
    return f"{1000 * statistics.median(_timed(question) for _ in range(repeat)):.0f} ms"


def _timed(question: Callable[[], object]) -> float:
    start = time.perf_counter()
    question()
    return time.perf_counter() - start


def _in_a_browser(place: Path, repeat: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as home, served(place, Path(home)) as address:
        cold = _timed(lambda: httpx.get(address, timeout=60))
        found = {"first page after start, HTML": f"{1000 * cold:.0f} ms"}
        if not CHROMIUM.exists():
            return found | {"first paint": "no Chromium"}
        with chromium() as browser:
            for name, path in (
                ("overview", ""),
                ("rows", "rows"),
                ("row", "row?run=run_id%3Dbulk&n=777"),
                ("review", "review"),
            ):
                paints = [_first_paint(browser, address + path) for _ in range(repeat)]
                found[f"first contentful paint: {name}"] = f"{statistics.median(paints):.0f} ms"
        return found


PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def _first_paint(browser: Browser, address: str) -> float:
    """Milliseconds from navigation to the first contentful paint, in a browser that has cached nothing."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    paint = page.wait_for_function(PAINT).json_value()
    context.close()
    return float(paint)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
