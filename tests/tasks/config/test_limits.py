from decimal import Decimal

import pytest

from tasks.config import LimitUnit, RateLimit, parse_duration_s


@pytest.mark.parametrize(
    ("text", "amount", "period_s", "unit"),
    [
        ("60/min", 60, 60, LimitUnit.REQUESTS),
        ("4/s", 4, 1, LimitUnit.REQUESTS),
        ("60/6s", 60, 6, LimitUnit.REQUESTS),
        ("20MP/min", 20, 60, LimitUnit.MEGAPIXELS),
    ],
)
def test_limits_read_as_people_write_them_and_back(text: str, amount: int, period_s: float, unit: LimitUnit) -> None:
    limit = RateLimit.parse(text)

    assert limit == RateLimit(amount=amount, period_s=period_s, unit=unit)
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "60", "0/min", "60/fortnight", "a/min", "-1/s"])
def test_a_limit_that_is_none_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="60/min"):
        RateLimit.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)])
def test_durations_are_seconds(text: str, seconds: Decimal) -> None:
    assert parse_duration_s(text) == seconds
