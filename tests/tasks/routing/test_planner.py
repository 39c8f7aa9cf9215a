"""The plan: what it promises its reader, on cases small enough to check by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from manifests.error_codes import ErrorCode
from tasks.routing import BreakerState, Endpoint, Parked, PolicyName, ProviderView, Work
from tasks.routing.planner import MustGive, Plan, WorkClass, make_plan
from tests.tasks.routing.factories import REPLACE, maskr, offering, provider

NOW = 1_000_000.0
SLOW = provider("slow", usd="0.05", limits=("60/min",), latency_s=0)
DEAR = provider("dear", usd="0.48", limits=("120/min",), latency_s=0)


def rows(count: int, **work: object) -> WorkClass:
    return WorkClass(work=Work(**work), rows=count)


def planned(classes: Sequence[WorkClass] | int, *views: ProviderView, **bounds: object) -> Plan:
    one_kind = [rows(classes)] if isinstance(classes, int) else classes
    return make_plan(one_kind, views, **({"now": NOW, "frontier_points": 0} | bounds))


def by_provider(plan: Plan) -> dict[str, int]:
    return {part.provider: part.rows for part in plan.parts}


def test_without_a_deadline_everything_goes_where_it_is_cheapest() -> None:
    plan = planned(1000, SLOW, DEAR)

    assert by_provider(plan) == {"slow": 1000}
    assert plan.usd == Decimal("50.00")
    assert plan.finish_s == 960  # 60 at once, and 940 more in 16 further minutes


def test_a_deadline_moves_just_as_many_rows_as_it_must() -> None:
    plan = planned(1000, SLOW, DEAR, deadline_s=600)

    assert by_provider(plan) == {"slow": 660, "dear": 340}
    assert plan.usd == 660 * Decimal("0.05") + 340 * Decimal("0.48")
    assert plan.finish_s <= 600


def test_the_fastest_plan_uses_all_and_then_the_cheapest_way_to_be_that_fast() -> None:
    plan = planned(1000, SLOW, DEAR, policy=PolicyName.FASTEST)

    assert plan.finish_s == 300
    assert by_provider(plan) == {"slow": 360, "dear": 640}


def test_the_ordered_plan_follows_the_users_order_and_spills_over_by_the_deadline() -> None:
    assert by_provider(planned(1000, DEAR, SLOW, policy=PolicyName.ORDERED)) == {"dear": 1000}
    spilled = planned(1000, DEAR, SLOW, policy=PolicyName.ORDERED, deadline_s=300)
    assert by_provider(spilled) == {"dear": 720, "slow": 280}


def test_both_endpoints_of_one_provider_are_used_together() -> None:
    plan = planned(3000, maskr(), policy=PolicyName.FASTEST)
    by_endpoint = {part.endpoint: part for part in plan.parts}

    assert plan.finish_s == 90  # batches: 30 at once, 30 after a minute, each 30 s; singles within that time
    assert by_endpoint[Endpoint.BATCH].rows + by_endpoint.get(Endpoint.SINGLE, by_endpoint[Endpoint.BATCH]).rows >= 3000
    assert by_endpoint[Endpoint.BATCH].requests <= 60
    assert plan.credits == {"maskr": 9000}


def test_of_plans_alike_in_cost_and_time_the_one_with_the_fewest_requests_is_taken() -> None:
    plan = planned(200, maskr(latency_s=30))

    assert [(part.endpoint, part.requests) for part in plan.parts] == [(Endpoint.BATCH, 4)]


def test_credits_bound_a_provider_and_the_rest_goes_on_to_the_next() -> None:
    plan = planned(100, replace(maskr(), credits_left=Decimal(100)), DEAR)

    assert by_provider(plan) == {"maskr": 33, "dear": 67}


def test_too_few_credits_anywhere_are_said_with_what_is_left() -> None:
    plan = planned(100, replace(maskr(), credits_left=Decimal(100)))

    assert [(one.code, one.rows) for one in plan.not_done] == [(ErrorCode.OUT_OF_CREDITS, 67)]
    assert "maskr: 100 left" in plan.not_done[0].message
    assert plan.conflict is None


def test_rows_that_nobody_takes_are_counted_with_the_reason() -> None:
    plan = planned([rows(5), rows(3, selectors=frozenset({"text"})), rows(2, pinned="runflow")], SLOW)

    assert by_provider(plan) == {"slow": 5}
    assert {(one.code, one.rows) for one in plan.not_done} == {(ErrorCode.NO_PROVIDER, 3), (ErrorCode.NO_PROVIDER, 2)}
    assert any("'runflow'" in one.message for one in plan.not_done)
    assert plan.rows == 10


def test_pinned_rows_stay_where_they_are_pinned() -> None:
    assert by_provider(planned([rows(50), rows(7, pinned="dear")], SLOW, DEAR)) == {"slow": 50, "dear": 7}


def test_a_parked_provider_is_left_out_and_one_that_comes_back_is_waited_for() -> None:
    gone = replace(SLOW, parked=Parked(code=ErrorCode.OUT_OF_CREDITS, message="402"))
    later = replace(SLOW, parked=Parked(code=ErrorCode.PROVIDER_UNAVAILABLE, message="429", until=NOW + 100))
    down = replace(SLOW, breaker=BreakerState.OPEN, breaker_retry_at=NOW + 30)

    assert by_provider(planned(10, gone, DEAR)) == {"dear": 10}
    assert planned(10, gone).not_done[0].code is ErrorCode.OUT_OF_CREDITS
    assert planned(10, later).finish_s == 100
    assert planned(10, down).finish_s == 30
    assert by_provider(planned(10, later, DEAR, deadline_s=99)) == {"dear": 10}


def test_a_provider_that_fails_half_its_requests_is_planned_at_half_its_rate() -> None:
    assert planned(60, replace(SLOW, failure_share=0.5)).finish_s == 60
    assert planned(60, SLOW).finish_s == 0


def test_places_in_flight_are_shared_by_both_endpoints_and_the_deadline_still_holds() -> None:
    view = maskr(max_in_flight=4, latency_s=10, batch_latency_s=40, limits=(), batch_limits=())
    plan = planned(1000, view, deadline_s=200, policy=PolicyName.FASTEST)

    assert plan.conflict is None
    assert plan.finish_s <= 200
    assert 4 * plan.finish_s >= sum(
        part.requests * (40 if part.endpoint is Endpoint.BATCH else 10) for part in plan.parts
    )


def test_a_deadline_too_short_says_by_how_much_and_its_figure_is_the_least() -> None:
    plan = planned(1000, SLOW, DEAR, deadline_s=120)
    needed_s = plan.conflict.deadline_needed_s

    assert plan.conflict.must_give is MustGive.DEADLINE
    assert plan.planned == 3 * 180
    assert [(one.code, one.rows) for one in plan.not_done] == [(ErrorCode.DEADLINE_REACHED, 460)]
    assert "3 min more" in plan.conflict.message
    assert planned(1000, SLOW, DEAR, deadline_s=needed_s).conflict is None
    assert planned(1000, SLOW, DEAR, deadline_s=needed_s - 1).conflict is not None


def test_a_budget_too_small_says_by_how_much_and_its_figure_is_the_least() -> None:
    plan = planned(1000, SLOW, DEAR, budget_usd=Decimal(40))

    assert plan.conflict.must_give is MustGive.BUDGET
    assert (plan.planned, plan.usd) == (800, Decimal("40.00"))
    assert "$50.00 at the least, $10.00 more" in plan.conflict.message
    assert planned(1000, SLOW, DEAR, budget_usd=plan.conflict.budget_needed_usd).conflict is None


def test_bounds_that_exclude_each_other_say_what_each_would_have_to_be() -> None:
    both = {"deadline_s": 600.0, "budget_usd": Decimal(100)}
    conflict = planned(1000, SLOW, DEAR, **both).conflict

    assert conflict.must_give is MustGive.EITHER
    longer = both | {"deadline_s": conflict.deadline_needed_s}
    dearer = both | {"budget_usd": conflict.budget_needed_usd}
    assert planned(1000, SLOW, DEAR, **longer).conflict is None
    assert planned(1000, SLOW, DEAR, **dearer).conflict is None
    shorter = both | {"deadline_s": conflict.deadline_needed_s - 1}
    assert planned(1000, SLOW, DEAR, **shorter).conflict is not None


def test_bounds_that_are_each_impossible_are_both_named() -> None:
    conflict = planned(1000, SLOW, DEAR, deadline_s=60, budget_usd=Decimal(1)).conflict

    assert conflict.must_give is MustGive.BOTH
    assert conflict.budget_needed_usd == Decimal("50.00")


def test_the_frontier_falls_in_cost_as_time_grows_from_the_quickest_to_the_cheapest() -> None:
    plan = planned(1000, SLOW, DEAR, frontier_points=8)
    times = [point.finish_s for point in plan.frontier]
    costs = [point.usd for point in plan.frontier]

    assert 5 <= len(times) <= 8
    assert times == sorted(set(times))
    assert costs == sorted(set(costs), reverse=True)
    assert (times[0], costs[-1]) == (300, Decimal("50.00"))
    for point in plan.frontier:
        assert planned(1000, SLOW, DEAR, deadline_s=point.finish_s).usd == point.usd


def test_ten_million_rows_are_as_small_a_problem_as_ten() -> None:
    plan = planned(
        [rows(10_000_000), rows(5, operation=REPLACE)],
        SLOW,
        DEAR,
        provider("scenes", offers=(offering("mask", operation=REPLACE),)),
    )

    assert plan.planned == 10_000_005
    assert plan.usd == Decimal("500000.00")
    assert plan.finish_s == 60 * (10_000_000 // 60)


def test_nothing_to_do_is_a_plan_too() -> None:
    plan = planned([], SLOW, reused=7, rejected={ErrorCode.MASK_MISSING: 2}, frontier_points=8)

    assert (plan.rows, plan.planned, plan.usd, plan.finish_s) == (9, 0, 0, 0)


def test_the_plan_speaks_json() -> None:
    plan = planned(100, replace(maskr(), credits_left=Decimal(100)), DEAR, budget_usd=Decimal(10), frontier_points=4)
    told = json.loads(json.dumps(plan.to_json()))

    assert told["cost_usd"] == str(plan.usd)
    assert told["planned"] + sum(one["rows"] for one in told["not_done"]) == told["rows"] == 100
    assert {one["provider"] for one in told["providers"]} == {"maskr", "dear"}
    assert told["conflict"]["must_give"] == "budget"


@pytest.mark.parametrize("policy", PolicyName)
def test_the_shares_given_to_routing_are_the_plans_own_numbers(policy: PolicyName) -> None:
    plan = planned([rows(300), rows(20, pinned="dear")], SLOW, DEAR, deadline_s=180, policy=policy)
    shares = plan.shares()
    given = {"slow": 0, "dear": 0}
    for _ in range(300):
        key = shares.rank(Work(), [SLOW, DEAR])[0].key
        shares.take(Work(), key)
        given[key] += 1
    given["dear"] += 20

    assert {key: count for key, count in given.items() if count} == by_provider(plan)
