"""Money at rest is exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.credits.money import from_nano, to_nano


@given(st.decimals(min_value=-9_000_000, max_value=9_000_000, places=9))
def test_money_comes_back_as_it_went(amount: Decimal) -> None:
    assert from_nano(to_nano(amount)) == amount


def test_money_reads_as_people_write_it() -> None:
    assert [str(from_nano(to_nano(Decimal(text)))) for text in ("0.48", "3", "100", "0.0035")] == [
        "0.48",
        "3",
        "100",
        "0.0035",
    ]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e30"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        to_nano(Decimal(text))
