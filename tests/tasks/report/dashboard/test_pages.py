"""The pages say what the results say, link to each other, and survive what people type."""

import html
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tasks.report.dashboard.ledger_facts import AttemptFacts, ProviderBalance, SpendFacts
from tests.factories.run_folders import HOSTILE_NAMES, Picture, make_run, nights
from tests.tasks.report.dashboard.conftest import ORIGIN, OpenDashboard
from tests.tasks.report.reading import Page


@dataclass
class Books:
    """A ledger's answers, written down by the test."""

    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def balances(self) -> list[ProviderBalance]:
        return [
            ProviderBalance(provider="maskr", credits=Decimal(812)),
            ProviderBalance(
                provider="onemin", usd=Decimal(3), parked_until=datetime(2027, 1, 1, tzinfo=UTC), parked_reason="402"
            ),
        ]

    def spend(self) -> list[SpendFacts]:
        today = datetime.now(UTC).date()
        return [
            SpendFacts(
                day=today, run_id="nightly-2026-11-02", provider="maskr", credits=Decimal(4), usd=Decimal("123.45")
            )
        ]

    def attempts(self, run_id: str, item_id: str, content_key: str | None) -> list[AttemptFacts]:
        self.asked.append((run_id, item_id, content_key))
        start = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
        return [
            AttemptFacts(
                attempt_key="1", provider="maskr", state="released", reserved_at=start, message="503 <b>busy</b>"
            ),
            AttemptFacts(
                attempt_key="2",
                provider="runflow",
                state="settled",
                reserved_at=start,
                finished_at=start + timedelta(seconds=9),
                remote_id="run-77",
                cost_usd=Decimal("0.48"),
            ),
        ]


def text(page: str) -> str:
    """What a reader sees."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def links(page: str, prefix: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(rf'href="({prefix}[^"]*)"', page)]


@pytest.fixture
def rows(finished_run: Path) -> pd.DataFrame:
    table = pd.read_parquet(finished_run / "results.parquet")
    return table.astype(object).where(table.notna(), None)


def test_the_overview_counts_what_the_results_hold(
    finished_run: Path, open_dashboard: OpenDashboard, rows: pd.DataFrame
) -> None:
    page = text(open_dashboard(finished_run).get("/").text)

    assert f"Items {len(rows)}" in page
    assert f"{sum(rows['state'] != 'succeeded')} were not" in page
    assert f"Spent ${sum(rows['cost_usd'])}".rstrip("0") in page
    assert all(cause.replace("_", " ") in page for cause in rows["error_code"].dropna().unique())


def test_the_overview_narrows_to_a_catalog_and_a_period(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    list(nights(tmp_path / "shoes", photographs, count=3, rows=20))
    recent = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
    make_run(tmp_path / "bags", photographs, rows=10, run_id="fresh", started_at=recent)
    client = open_dashboard(tmp_path)

    assert "Runs 4" in text(client.get("/").text)
    assert "Items 60" in text(client.get("/?catalog=shoes").text)
    assert "Items 10" in text(client.get("/?days=7").text)
    assert "No results here yet" in text(client.get("/?catalog=shoes&days=1").text)
    assert "Runs 4" in text(client.get("/?days=banana").text)


def test_every_link_of_the_overview_leads_somewhere(finished_run: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(finished_run)
    page = client.get("/").text

    for prefix in ("/run\\?", "/rows\\?", "/review", "/static/"):
        found = links(page, prefix)
        assert found
        assert {client.get(link).status_code for link in found} == {200}


def test_a_cause_leads_to_exactly_its_rows(
    finished_run: Path, open_dashboard: OpenDashboard, rows: pd.DataFrame
) -> None:
    client = open_dashboard(finished_run)
    page = client.get("/").text

    counted = {}
    for link in links(page, "/rows\\?"):
        cause = re.search(r"cause=(\w+)", link)
        if cause:
            counted[cause[1]] = int(re.search(r"(\d+) rows? match", text(client.get(link).text))[1])  # type: ignore[index]
    assert counted == rows["error_code"].value_counts().to_dict()


def test_the_ledger_tells_what_is_left_what_was_booked_and_each_request(
    finished_run: Path, open_dashboard: OpenDashboard
) -> None:
    books = Books()
    client = open_dashboard(finished_run, ledger=books)

    overview = text(client.get("/").text)
    row = text(client.get("/row?run=run_id%3Dnightly-2026-11-02&n=0").text)

    assert "maskr 812 credits 4 credits" in overview
    assert "parked until 1 Jan 2027, 00:00 UTC: 402" in overview
    assert "by who charged it, by the ledger" in overview
    assert "Request 1 at maskr: released not charged, 503 <b>busy</b>" in row
    assert "Request 2 at runflow: settled charged $0.48, after 9 s, job run-77" in row
    assert books.asked[0][2] is not None


def test_a_run_page_agrees_with_its_results(
    finished_run: Path, open_dashboard: OpenDashboard, rows: pd.DataFrame
) -> None:
    page = text(open_dashboard(finished_run).get("/run?id=run_id%3Dnightly-2026-11-02").text)

    assert f"{sum(rows['state'] == 'succeeded')} of {len(rows)} items delivered" in page
    assert "s3://catalog/autumn/manifest.parquet" in page


def test_a_row_page_tells_the_whole_story(
    finished_run: Path, open_dashboard: OpenDashboard, rows: pd.DataFrame
) -> None:
    client = open_dashboard(finished_run)

    for number in (0, int(rows.index[rows["state"] == "failed"][0]), int(rows.index[rows["state"] == "rejected"][0])):
        row, page = rows.loc[number], text(client.get(f"/row?run=run_id%3Dnightly-2026-11-02&n={number}").text)
        assert row["item_id"] in page
        assert row["sku"] in page
        assert row["state"].capitalize() in page
        assert row["content_key"] in page
        assert row["error_message"] is None or row["error_message"] in page
        for repair in row["repairs"]:
            assert repair.replace("_", " ") in page


def test_the_same_item_in_other_runs_is_listed(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    for catalog in ("shoes", "bags"):
        make_run(tmp_path / catalog, photographs, rows=3, run_id="same-id")
    client = open_dashboard(tmp_path)

    page = client.get("/row?run=shoes%2Frun_id%3Dsame-id&n=1").text

    assert "This item in other runs" in page
    assert {link.split("&")[0] for link in links(page, "/row\\?")} == {
        "/row?run=shoes%2Frun_id%3Dsame-id",
        "/row?run=bags%2Frun_id%3Dsame-id",
    }


def test_pictures_come_from_the_rows_alone(finished_run: Path, open_dashboard: OpenDashboard, tmp_path: Path) -> None:
    client = open_dashboard(finished_run)
    run = "run_id%3Dnightly-2026-11-02"

    good = client.get(f"/picture/after?run={run}&n=0&size=small")

    assert (good.status_code, good.headers["content-type"]) == (200, "image/webp")
    for path in (
        f"/picture/after?run={run}&n=99999",
        "/picture/after?run=..%2F..%2Fetc&n=0",
        f"/picture/passwd?run={run}&n=0",
        f"/picture/after?run={run}&n=0&size=huge",
        "/static/x/..%2f..%2fpage.py",
        "/static/x/app.py",
        "/review/redo/..%2f..%2fresults.parquet",
        "/review/redo/results.parquet",
    ):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/row?run=x&n=-1", 400),
        ("/row?run=x&n=99999999999999999999999", 400),
        ("/row?n=1", 400),
        ("/row?run=run_id%3Dnightly-2026-11-02&n=99999", 404),
        ("/run?id=x", 404),
        ("/rows?sort=no", 400),
        ("/rows?mark=zzz", 400),
        ("/rows?text=" + "x" * 5000, 400),
        ("/rows?run=not-there", 200),
        ("/review?after=zzz", 400),
        ("/review?run=not-there", 200),
        ("/rows?state=%00%ff", 200),
        ("/rows?text=%27%20OR%201%3D1", 200),
    ],
)
def test_odd_addresses_get_a_page_and_never_a_trace(
    finished_run: Path, open_dashboard: OpenDashboard, path: str, status: int
) -> None:
    answer = open_dashboard(finished_run).get(path)

    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_hostile_names_stay_text_on_every_page(hostile_run: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(hostile_run, review=True)
    pages = [client.get(path).text for path in ("/", "/rows", "/review", "/run?id=run_id%3Dhostile-1")]
    pages += [client.get(f"/row?run=run_id%3Dhostile-1&n={n}").text for n in range(len(HOSTILE_NAMES))]

    assert [danger for page in pages for danger in Page(page).dangers()] == []
    assert all("<script>window" not in page for page in pages)
    shown = " ".join(Page(page).text for page in pages)
    assert [
        name for name in HOSTILE_NAMES if len(name) < 60 and " ".join(name.split()) not in " ".join(shown.split())
    ] == []


def test_reviewing_goes_from_the_most_doubtful_on_and_ends(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    folder = make_run(tmp_path, photographs, rows=20)
    client = open_dashboard(folder, review=True, reviewer="mara")
    delivered = pq.read_table(folder / "results.parquet", columns=["state"])["state"].to_pylist().count("succeeded")

    scores, place = [], "/review"
    for _ in range(delivered):
        page = client.get(place).text
        scores.append(int(re.search(r'class="big">(\d+)<', page)[1]))  # type: ignore[index]
        place = decide(client, page, "accept")

    assert scores == sorted(scores)
    assert "Nothing left to review" in text(client.get(place).text)
    assert f"{delivered} accepted, 0 rejected" in text(client.get("/review/decisions").text)


def decide(client: TestClient, page: str, word: str, **more: str) -> str:
    """Send the page's form; where it leads."""
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page)
    }
    answer = client.post("/review/decide", data=fields | {"decision": word} | more, headers={"Origin": ORIGIN})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_skipping_leaves_a_picture_for_later(reviewable: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(reviewable, review=True)
    first = client.get("/review").text

    second = client.get(links(first, "/review\\?")[0]).text

    item = re.compile(r'name="item" value="([^"]*)"')
    assert item.search(first)[1] != item.search(second)[1]  # type: ignore[index]
    assert item.search(client.get("/review").text)[1] == item.search(first)[1]  # type: ignore[index]


def test_a_review_can_be_narrowed_to_a_provider(
    reviewable: Path, open_dashboard: OpenDashboard, rows: pd.DataFrame
) -> None:
    client = open_dashboard(reviewable, review=True)
    page = client.get("/review?provider=maskr").text

    of_maskr = sum((rows["provider"] == "maskr") & (rows["state"] == "succeeded"))
    assert f"0 of {of_maskr} decided" in text(page)
    onward = decide(client, page, "reject")
    assert "provider=maskr" in onward
    assert f"1 of {of_maskr} decided" in text(client.get(onward).text)


def test_redo_becomes_a_manifest_beside_the_run_and_can_be_fetched(
    reviewable: Path, open_dashboard: OpenDashboard, tmp_path: Path
) -> None:
    client = open_dashboard(reviewable, review=True)
    page = client.get("/review").text
    item = html.unescape(re.search(r'name="item" value="([^"]*)"', page)[1])  # type: ignore[index]
    decide(client, page, "redo", redo_provider="runflow", note="the hem is blurred")

    secret = re.search(r'name="secret" value="([^"]*)"', page)[1]  # type: ignore[index]
    answer = client.post("/review/export", data={"secret": secret}, headers={"Origin": ORIGIN})
    page = client.get(answer.headers["location"]).text

    assert f"cleanplate run {reviewable}/_review/redo-" in text(page)
    assert f"--to {tmp_path} --fresh" in text(page)
    download = client.get(links(page, "/review/redo/")[0])
    assert "attachment" in download.headers["content-disposition"]
    (tmp_path / "fetched.parquet").write_bytes(download.content)
    (row,) = pq.read_table(tmp_path / "fetched.parquet").to_pylist()
    assert (row["item_id"], row["provider"], row["redo_note"]) == (item, "runflow", "the hem is blurred")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"decision": "destroy"}, 400),
        ({"decision": "redo", "redo_provider": "nobody"}, 400),
        ({"item": "another"}, 409),
        ({"n": "3"}, 409),
        ({"run": "elsewhere"}, 409),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(
    reviewable: Path, open_dashboard: OpenDashboard, changed: dict[str, str], status: int
) -> None:
    client = open_dashboard(reviewable, review=True)
    page = client.get("/review").text
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page)) | {"decision": "accept"}

    answer = client.post("/review/decide", data=fields | changed, headers={"Origin": ORIGIN})

    assert answer.status_code == status
    assert not (reviewable / "_review").exists()


def test_new_results_appear_without_a_restart(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    make_run(tmp_path, photographs, rows=4, run_id="one")
    client = open_dashboard(tmp_path)
    assert "Runs 1" in text(client.get("/").text)

    make_run(tmp_path, photographs, rows=4, run_id="two")
    client.app.state.site.library.refresh()  # type: ignore[attr-defined]

    assert "Runs 2" in text(client.get("/").text)


def test_a_torn_results_file_is_named_and_the_rest_is_shown(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    make_run(tmp_path, photographs, rows=4, run_id="good")
    torn = make_run(tmp_path, photographs, rows=4, run_id="torn") / "results.parquet"
    torn.write_bytes(torn.read_bytes()[:500])

    page = text(open_dashboard(tmp_path).get("/").text)

    assert "1 run could not be read" in page
    assert "run_id=torn" in page
    assert "Runs 1" in page


def test_results_that_vanish_under_an_open_dashboard_are_a_message(
    photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard
) -> None:
    folder = make_run(tmp_path / "out", photographs, rows=4)
    client = open_dashboard(tmp_path / "out")
    shutil.rmtree(folder)

    answer = client.get("/rows")

    assert answer.status_code == 500
    assert "Results cannot be read" in text(answer.text)


def test_a_day_is_a_day_in_utc(photographs: Sequence[Picture], tmp_path: Path, open_dashboard: OpenDashboard) -> None:
    late = datetime(2026, 10, 31, 23, 59, 30, tzinfo=UTC)
    make_run(tmp_path, photographs, rows=40, run_id="late", started_at=late)

    page = open_dashboard(tmp_path).get("/").text

    assert date(2026, 11, 1).strftime("1 Nov %Y") in page
    assert "31 Oct 2026" in page
