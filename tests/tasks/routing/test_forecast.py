"""When the run ends, and when credits and budget do."""

from decimal import Decimal

from tasks.routing import Meter, Price, forecast, rows_to_keep_open
from tests.tasks.routing.factories import maskr, provider


def metered(seconds: int, *, per_second: int = 2) -> Meter:
    meter = Meter(started=1000.0)
    for second in range(seconds):
        paid = Price(usd=per_second * Decimal("0.09"), credits=per_second * Decimal(3))
        meter.note(1001.0 + second, "maskr", rows=per_second, paid=paid)
    return meter


def test_the_end_is_where_the_rate_of_the_last_minutes_leads() -> None:
    found = forecast(metered(100), now=1100.0, rows_left=600, credits_left={})

    assert found.rows_per_s == 2.0
    assert found.ends_at == 1400.0


def test_only_the_last_minutes_count() -> None:
    meter = metered(100, per_second=10)
    for second in range(180):
        meter.note(1101.0 + second, "runflow", rows=1)

    assert forecast(meter, now=1280.0, rows_left=100, credits_left={}).rows_per_s == 1.0


def test_credits_and_budget_that_end_before_the_run_are_told_with_their_time() -> None:
    found = forecast(
        metered(100),
        now=1100.0,
        rows_left=600,
        credits_left={"maskr": Decimal(300), "runflow": Decimal(5)},
        budget_left=Decimal("9.00"),
    )

    assert found.credits_end_at == {"maskr": 1150.0}
    assert found.budget_ends_at == 1150.0


def test_those_that_last_are_not_told() -> None:
    found = forecast(
        metered(100), now=1100.0, rows_left=10, credits_left={"maskr": Decimal(300)}, budget_left=Decimal(9)
    )

    assert (found.credits_end_at, found.budget_ends_at) == ({}, None)


def test_before_anything_is_done_nothing_is_claimed() -> None:
    found = forecast(Meter(started=0.0), now=10.0, rows_left=100, credits_left={})

    assert (found.rows_per_s, found.ends_at) == (0.0, None)


def test_a_run_that_is_done_ends_now() -> None:
    assert forecast(metered(5), now=1010.0, rows_left=0, credits_left={}).ends_at == 1010.0


def test_as_many_rows_are_kept_open_as_the_limits_can_take_at_once() -> None:
    assert rows_to_keep_open([maskr(latency_s=4, batch_latency_s=30)]) == 60 + 30 * 50
    assert rows_to_keep_open([provider("runflow", max_in_flight=20), provider("free")]) == 20
