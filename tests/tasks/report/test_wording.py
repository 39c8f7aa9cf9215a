"""Numbers as people read them, never rounded into a lie, never with a secret."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report import wording


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "–"),
        (Decimal(0), "$0.00"),
        (Decimal("1204.5"), "$1,204.50"),
        (Decimal("0.005"), "$0.005"),
        (Decimal("0.00001"), "<$0.0001"),
        (Decimal("0.125"), "$0.13"),
    ],
)
def test_money(usd: Decimal | None, text: str) -> None:
    assert wording.money(usd) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(Decimal("0.48"), "$0.48"), (Decimal("0.16072"), "$0.1607"), (Decimal("3.999"), "$4.00")]
)
def test_a_unit_price_keeps_what_two_places_would_hide(usd: Decimal, text: str) -> None:
    assert wording.unit_price(usd) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "–"),
        (0, 9, "0 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "<0.1 %"),
        (99_999, 100_000, ">99.9 %"),
        (5, 5, "100 %"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_all(part: int, whole: int, text: str) -> None:
    assert wording.share(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.44, "0.4 s"),
        (5, "5 s"),
        (48, "48 s"),
        (1100, "18 min 20 s"),
        (7500, "2 h 05 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


def test_times_are_told_in_utc_whatever_zone_they_came_in() -> None:
    tokyo = datetime(2026, 11, 2, 3, 14, 5, tzinfo=timezone(timedelta(hours=9)))

    assert wording.moment(tokyo) == "1 Nov 2026, 18:14 UTC"
    assert wording.second(tokyo) == "1 Nov 2026, 18:14:05 UTC"
    assert wording.day(datetime(2026, 11, 2, tzinfo=UTC)) == "2 Nov 2026"


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:hunter2@shop.example/a.jpg?X-Amz-Signature=hunter2#hunter2",
        "s3://key:hunter2@bucket/a.jpg",
        "https://[broken?token=hunter2",
    ],
)
def test_a_place_is_shown_without_its_secrets(uri: str) -> None:
    assert "hunter2" not in wording.place(uri)


@given(st.text(), st.integers(min_value=8, max_value=80))
def test_long_names_keep_head_and_tail_and_never_exceed_the_limit(text: str, limit: int) -> None:
    short = wording.short(text, limit)

    assert len(short) <= limit
    assert short == text if len(text) <= limit else (short[:3], short[-2:]) == (text[:3], text[-2:])
