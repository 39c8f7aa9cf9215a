"""Charts draw what the numbers say, inside their box."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.charts import HEIGHT, WIDTH, Series, nice_ceiling, proportions, series_colours, stacked_columns

amounts = st.lists(st.integers(min_value=0, max_value=10**7), min_size=1, max_size=12)


@given(amounts, amounts)
def test_heights_are_in_proportion_and_columns_stand_on_the_axis(one: list[int], other: list[int]) -> None:
    length = min(len(one), len(other))
    series = [
        Series(label="a", colour="c0", values=tuple(one[:length])),
        Series(label="b", colour="c1", values=tuple(other[:length])),
    ]

    chart = stacked_columns(series, [str(i) for i in range(length)], ())

    top = chart.ticks[0]
    assert sum(bar.height for bar in chart.bars) * top / HEIGHT == pytest.approx(
        sum(one[:length]) + sum(other[:length]), rel=1e-2, abs=top * 0.001 * (len(chart.bars) + 1)
    )
    assert all(bar.y >= -0.01 and bar.y + bar.height <= HEIGHT + 0.01 for bar in chart.bars)
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH + 0.01 for bar in chart.bars)


@given(st.floats(min_value=0.001, max_value=1e9))
def test_the_axis_ends_at_a_round_number_not_far_above(value: float) -> None:
    top = nice_ceiling(value)

    assert value <= top * 1.0000001
    assert top <= value * 2.01


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(min_value=0, max_value=10**9), min_size=1))
def test_every_part_that_exists_can_be_seen_and_together_they_fill_the_bar(parts: dict[str, int]) -> None:
    bars = proportions(parts, dict.fromkeys(parts, "c0"))

    assert len(bars) == sum(1 for part in parts.values() if part)
    assert all(bar.width > 1 for bar in bars)
    if bars:
        assert sum(bar.width for bar in bars) == pytest.approx(WIDTH, abs=0.1)


def test_a_provider_keeps_its_colour_whatever_the_order() -> None:
    assert series_colours(["maskr", "local"]) == series_colours(["local", "maskr", "local"])
    assert len(set(series_colours("abcdefg").values())) == 7
    assert series_colours("abcdefghijk")["k"] == "c6"
