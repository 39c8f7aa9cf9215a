"""Dates in manifest and output addresses."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.config import CleanupConfig
from tasks.config.dates import expand_dates

NIGHT = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("s3://catalog/{scheduled:%Y-%m-%d}.parquet", "s3://catalog/2026-11-30.parquet"),
        ("{scheduled}", "2026-11-30"),
        ("{scheduled:%Y/%m}/{scheduled:%d}", "2026/11/30"),
        ("{scheduled-1d:%Y-%m-%d}", "2026-11-29"),
        ("{scheduled+30m}", "2026-12-01"),
        ("{scheduled@Europe/Berlin:%Y-%m-%d}", "2026-12-01"),
        ("{scheduled-1d@Asia/Tokyo}", "2026-11-30"),
        ("part-{0,1}.parquet", "part-{0,1}.parquet"),
        ("no date", "no date"),
    ],
)
def test_a_placeholder_becomes_the_scheduled_moment(text: str, expanded: str) -> None:
    assert expand_dates(text, NIGHT) == expanded


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    """Without @zone a date is the UTC one, whatever zone the moment came in."""
    tokyo = NIGHT.astimezone(timezone(timedelta(hours=9)))

    assert expand_dates("{scheduled}", tokyo) == "2026-11-30"


@pytest.mark.parametrize(
    "text",
    [
        "{scheduled:}",
        "{scheduled-1}",
        "{scheduled%Y}",
        "{scheduled",
        "{ scheduled }",
        "{scheduled-1x}",
        "{scheduled-9999999999d}",
    ],
)
def test_a_misspelt_placeholder_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="scheduled"):
        expand_dates(text, NIGHT)


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="Mars/Olympus"):
        expand_dates("{scheduled@Mars/Olympus}", NIGHT)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        expand_dates("{scheduled}", NIGHT.replace(tzinfo=None))


@given(st.text().filter(lambda text: "scheduled" not in text))
def test_text_that_asks_for_no_date_comes_back_unchanged(text: str) -> None:
    assert expand_dates(text, NIGHT) == text


def test_a_config_writes_out_all_its_dates_at_once() -> None:
    config = CleanupConfig(
        manifest="in/{scheduled:%Y}.parquet", to="out/{scheduled:%m}", run_id="nightly-{scheduled:%Y-%m-%d}"
    )

    tonight = config.at(NIGHT)

    assert (tonight.manifest, tonight.to, tonight.run_id) == ("in/2026.parquet", "out/11", "nightly-2026-11-30")
    assert tonight.at(NIGHT + timedelta(days=9)) == tonight


def test_a_config_with_a_misspelt_date_is_refused_when_it_is_made() -> None:
    """Prefect's form refuses it then, not the night."""
    with pytest.raises(ValidationError, match="scheduled-1"):
        CleanupConfig(manifest="{scheduled-1}", to="out")


def test_a_run_id_whose_dates_make_no_folder_name_is_refused() -> None:
    config = CleanupConfig(manifest="m", to="out", run_id="{scheduled:%Y/%m}")

    with pytest.raises(ValidationError, match="run_id"):
        config.at(NIGHT)
