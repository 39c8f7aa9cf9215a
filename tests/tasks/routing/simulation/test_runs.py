"""Whole runs on a simulated clock: the decisions together, against vendors that keep their own limits and bill."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tasks.config import RoutingSettings
from tasks.routing import Course, PolicyName, Work
from tasks.routing.planner import WorkClass, make_plan
from tests.tasks.routing.factories import offering
from tests.tasks.routing.simulation.driver import Result, Simulation
from tests.tasks.routing.simulation.lane import Lane
from tests.tasks.routing.simulation.strategies import Planned
from tests.tasks.routing.simulation.vendors import Terms, Vendor

MASKS = (offering("mask"),)
MASKR = Terms(
    key="maskr",
    usd="0.09",
    credits_per_image=3,
    limits=("60/min",),
    batch_limits=("30/min",),
    batch_size=50,
    latency_s=4,
    batch_latency_s=30,
    offers=(offering("mask", batch=True),),
)
CHEAP = Terms(key="cheap", usd="0.05", limits=("60/min",), latency_s=4, offers=MASKS)
SPARE = Terms(key="spare", usd="0.14", limits=("90/min",), latency_s=8, offers=MASKS)
DEAR = Terms(key="dear", usd="0.48", at_once=20, latency_s=40, accepts_s=1, offers=MASKS)


def rows(count: int, **work: Any) -> list[Work]:
    return [Work(item_id=str(number), **work) for number in range(count)]


def run(
    work: Sequence[Work],
    *terms: Terms,
    policy: PolicyName = PolicyName.CHEAPEST,
    deadline: float | None = None,
    window: int = 400,
    seed: int = 1,
) -> Result:
    classes = [WorkClass(work=kind, rows=count) for kind, count in Counter(one.kind for one in work).items()]
    course = Course(classes, policy=policy, settings=RoutingSettings(), deadline=deadline)
    return Simulation(work, terms, Planned(course), window=window, seed=seed).run()


def assert_each_row_once(result: Result, count: int) -> None:
    assert len(result.done) + len(result.failed) == count
    assert set(result.done.values()) <= {1}


def test_the_documented_maskr_limits_are_used_to_the_full_with_partial_failures() -> None:
    """Aim: 1,450 images a minute of the batch endpoint's 1,500, on top of which come 60 singles."""
    result = run(rows(6000), replace(MASKR, bad_rows=0.05), window=2000)

    assert_each_row_once(result, 6000)
    assert result.failed == ()
    assert result.vendors["maskr"].too_many == 0
    assert 6000 / result.finish_s * 60 >= 1450


def test_one_row_that_is_always_refused_does_not_sink_its_neighbours() -> None:
    result = run(rows(500), replace(MASKR, refused=frozenset({"77", "78"})), window=600)

    assert set(result.failed) == {"77", "78"}
    assert len(result.done) == 498
    assert result.vendors["maskr"].images == 498


def test_a_row_refused_by_one_is_taken_by_another() -> None:
    result = run(rows(300), replace(CHEAP, refused=frozenset({"7"})), DEAR)

    assert len(result.done) == 300
    assert result.vendors["dear"].images == 1


def test_passing_failures_cost_no_row_and_no_money() -> None:
    result = run(rows(600), replace(CHEAP, broken_requests=0.1), replace(SPARE, broken_requests=0.1))

    assert_each_row_once(result, 600)
    assert result.failed == ()
    assert sum(vendor.images for vendor in result.vendors.values()) == 600


def test_a_provider_that_dies_for_a_third_of_the_run_wastes_probes_alone_and_takes_up_its_work_again() -> None:
    result = run(
        rows(2000), replace(CHEAP, outages=((300.0, 600.0),)), SPARE, deadline=1000.0, policy=PolicyName.CHEAPEST
    )
    cheap = result.vendors["cheap"]

    assert_each_row_once(result, 2000)
    assert result.failed == ()
    assert len(cheap.while_down) <= 10
    assert cheap.images > 400


def test_everybody_down_for_a_while_is_waited_out() -> None:
    outage = ((100.0, 300.0),)
    result = run(rows(500), replace(CHEAP, outages=outage), replace(SPARE, outages=outage))

    assert len(result.done) == 500
    assert sum(len(vendor.while_down) for vendor in result.vendors.values()) <= 20


def test_a_deadline_is_kept_at_nearly_the_plans_price() -> None:
    terms = (CHEAP, SPARE, DEAR)
    views = [Lane(Vendor(terms=one, rng=Random(1)), RoutingSettings().breaker).view(0.0) for one in terms]
    plan = make_plan([WorkClass(work=Work(), rows=2000)], views, now=0.0, deadline_s=720, frontier_points=0)
    result = run(rows(2000), *terms, deadline=720.0)

    assert plan.conflict is None
    assert len(result.done) == 2000
    assert result.finish_s <= 720 * 1.01
    assert float(result.usd) <= 1.03 * float(plan.usd)


def test_all_providers_together_come_within_a_few_percent_of_the_sum_of_their_rates() -> None:
    result = run(rows(2000), CHEAP, SPARE, DEAR, policy=PolicyName.FASTEST)

    assert result.finish_s <= 1.04 * 2000 / (1 + 1.5 + 20 / 40)


def test_rows_that_only_one_can_do_are_not_crowded_out_by_rows_that_all_can_do() -> None:
    text = frozenset({"text"})
    only = replace(CHEAP, offers=(offering("mask", "text"),))
    mixed = rows(900)
    mixed = [replace(one, selectors=text) if number % 2 else one for number, one in enumerate(mixed)]
    result = run(mixed, only, SPARE, deadline=480.0)

    assert len(result.done) == 900
    assert result.finish_s <= 480 * 1.02


def test_credits_end_and_the_rest_goes_on_elsewhere_without_an_avalanche() -> None:
    few = replace(CHEAP, credits_per_image=3, credits=300)
    result = run(rows(400), few, SPARE)

    assert_each_row_once(result, 400)
    assert result.failed == ()
    assert result.vendors["cheap"].images == 100
    assert result.vendors["cheap"].calls <= 101


@pytest.mark.parametrize("seed", range(3))
def test_whatever_goes_wrong_each_row_ends_once_and_no_limit_is_crossed(seed: int) -> None:
    rng = Random(seed)
    terms = [
        replace(
            one,
            bad_rows=rng.uniform(0, 0.2),
            broken_requests=rng.uniform(0, 0.2),
            outages=((rng.uniform(0, 200), rng.uniform(200, 400)),),
            refused=frozenset(str(rng.randrange(600)) for _ in range(3)),
        )
        for one in (MASKR, CHEAP, DEAR)
    ]
    result = run(rows(600), *terms, seed=seed, window=300)

    assert_each_row_once(result, 600)
    assert len(result.done) >= 595
    assert sum(vendor.too_many for vendor in result.vendors.values()) == 0
    assert sum(vendor.images for vendor in result.vendors.values()) == len(result.done)
