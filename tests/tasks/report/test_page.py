"""The report: complete, self-contained, honest, and deaf to what hostile names say."""

import html
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from manifests import ErrorCode
from tasks.report.facts import PlanFacts, Savings
from tasks.report.page import ReportLimits, write_report
from tasks.report.places import ResultsNotFoundError
from tests.factories.run_folders import HOSTILE_NAMES, Picture, make_run
from tests.tasks.report.reading import Page

NOW = datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / finished_run.name))


def test_the_report_says_what_the_results_say(run: Path) -> None:
    page = Page.at(Path(write_report(str(run))))

    results = pd.read_parquet(run / "results.parquet")
    assert f"{sum(results.state == 'succeeded')} of {len(results)} items delivered" in page.text
    assert f"${sum(results.cost_usd):.2f}" in page.text
    for cause in results.error_code.dropna().unique():
        assert cause.replace("_", " ") in page.text
        assert ErrorCode[cause.upper()].advice.replace("`", "") in page.text
    for provider in results.provider.dropna().unique():
        assert provider in page.text


def test_the_report_needs_nothing_outside_itself(run: Path) -> None:
    page = Page.at(Path(write_report(str(run))))

    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    addresses = [a[name] or "" for _, a in page.tags for name in ("src", "href", "srcset", "action") if name in a]
    assert len(addresses) >= 2 * 24
    assert all(address.startswith("data:image/webp;base64,") for address in addresses)
    assert not [a for _, a in page.tags if "style" in a or any(name.startswith("on") for name in a)]


def test_a_run_of_several_providers_is_held_against_its_own_plan(real_run: Path) -> None:
    text = Page.at(Path(write_report(str(real_run)))).text

    assert "Planned cost" in text
    assert re.search(r"\d s planned", text)


def test_plan_and_savings_that_are_given_are_shown_against_what_happened(run: Path) -> None:
    plan = PlanFacts(cost_usd=Decimal("1000"), duration_s=60)
    savings = Savings(reuse_usd=Decimal("7.77"), preflight_usd=Decimal("8.88"), batch_requests=441)

    text = Page.at(Path(write_report(str(run), plan=plan, savings=savings))).text

    assert re.search(r"\$1,000\.00 \(\d+ % under\)", text)
    assert re.search(r"1 min 00 s planned \(\d+ % over\)", text)
    assert "$7.77" in text
    assert "$8.88" in text
    assert "441 requests not made" in text


def test_what_was_asked_is_shown_and_what_is_no_knob_is_not(photographs: Sequence[Picture], tmp_path: Path) -> None:
    config = {"manifest": "https://me:pw@shop.example/m.parquet?sig=s3cr3t", "budget_usd": "24", "api_key": "k3y"}
    folder = make_run(tmp_path, photographs, rows=8, config=config)

    text = Page.at(Path(write_report(str(folder)))).text

    assert "https://shop.example/m.parquet" in text
    assert "$24.00" in text
    assert not [secret for secret in ("s3cr3t", "pw", "k3y") if secret in text]


def test_hostile_names_stay_text(hostile_run: Path) -> None:
    path = Path(write_report(str(hostile_run)))
    page = Page.at(path)

    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.dangers() == []
    source = path.read_text()
    assert html.escape(HOSTILE_NAMES[0]) in source
    assert "حذاء" in source
    assert "49" not in [a.get("title") for _, a in page.tags]


def test_pictures_that_cannot_be_shown_say_why(photographs: Sequence[Picture], tmp_path: Path) -> None:
    folder = make_run(tmp_path, photographs, rows=4)
    outputs = sorted((folder / "images").iterdir())
    outputs[0].unlink()
    outputs[1].write_bytes(b"<html>expired</html>")

    text = Page.at(Path(write_report(str(folder)))).text

    assert "After: not found" in text
    assert "After: not a readable picture" in text


def test_thumbnails_stay_within_their_budget(run: Path) -> None:
    limits = ReportLimits(pictures_bytes=200_000)

    page = Page.at(Path(write_report(str(run), limits=limits)))

    embedded = [a["src"] or "" for tag, a in page.tags if tag == "img"]
    assert len(embedded) >= 40
    assert sum(map(len, embedded)) <= limits.pictures_bytes + len(embedded) * len("data:image/webp;base64,====")


def test_the_most_doubtful_pictures_come_first(run: Path) -> None:
    text = Page.at(Path(write_report(str(run)))).text

    scores = [int(score) for score in re.findall(r"score (\d+)", text)]
    assert len(scores) == 24
    assert scores == sorted(scores)


def test_the_same_results_at_the_same_time_give_the_same_bytes(run: Path) -> None:
    first = Path(write_report(str(run), now=lambda: NOW)).read_bytes()

    assert Path(write_report(str(run), now=lambda: NOW)).read_bytes() == first


def test_a_folder_without_a_run_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ResultsNotFoundError, match="holds no run"):
        write_report(str(tmp_path / "empty"))
    with pytest.raises(ResultsNotFoundError, match="is no folder"):
        write_report(str(tmp_path / "nowhere"))


def test_several_runs_are_not_one_report(photographs: Sequence[Picture], tmp_path: Path) -> None:
    make_run(tmp_path, photographs, rows=2, run_id="one")
    make_run(tmp_path, photographs, rows=2, run_id="two")

    with pytest.raises(ResultsNotFoundError, match="2 runs"):
        write_report(str(tmp_path))
