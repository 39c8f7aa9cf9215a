"""The plan under way: when it is made anew, and what it then says."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tasks.config import RoutingSettings
from tasks.routing import BreakerState, Course, PolicyName, ProviderView, Work
from tasks.routing.planner import WorkClass
from tests.tasks.routing.factories import provider

SETTINGS = RoutingSettings(replan_every_s=30, deadline_reserve=0, patience_s=120)
CHEAP = provider("cheap", usd="0.05", limits=("60/min",), latency_s=0)
DEAR = provider("dear", usd="0.48", limits=("60/min",), latency_s=0)


def course(rows: int = 600, *, deadline: float | None = 300.0) -> Course:
    classes = [WorkClass(work=Work(), rows=rows)]
    return Course(classes, policy=PolicyName.CHEAPEST, settings=SETTINGS, deadline=deadline)


def planned_rows(of: Course) -> dict[str, int]:
    return {part.provider: part.rows for part in of.plan.parts}


def views(**changes: object) -> list[ProviderView]:
    return [replace(CHEAP, **changes), DEAR]


def test_the_first_row_finds_a_plan() -> None:
    under_way = course()
    policy = under_way.policy(views(), now=0.0)

    assert planned_rows(under_way) == {"cheap": 360, "dear": 240}
    assert policy.shares.left(Work(), "cheap") == 360


def test_what_was_given_out_is_not_planned_again_and_what_came_back_is() -> None:
    under_way = course()
    under_way.policy(views(), now=0.0)
    for _ in range(100):
        under_way.taken(Work(item_id="x"), "dear")
    for _ in range(40):
        under_way.returned(Work(item_id="x"), "dear")
    under_way.policy(views(), now=31.0)

    assert under_way.plan.planned == 540


def test_it_is_planned_anew_now_and_then_and_not_at_every_row() -> None:
    under_way = course()
    under_way.policy(views(), now=0.0)
    first = under_way.plan
    under_way.policy(views(), now=29.0)
    assert under_way.plan is first
    under_way.policy(views(), now=30.0)
    assert under_way.plan is not first


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"breaker": BreakerState.OPEN, "breaker_retry_at": 15.0, "down_since": 2.0}, "down"),
        ({"credits_left": Decimal(0)}, "out of credits"),
    ],
)
def test_a_provider_that_falls_out_changes_the_plan_at_once(change: dict[str, object], why: str) -> None:
    under_way = course()
    under_way.policy(views(), now=0.0)
    under_way.policy(views(**change), now=2.0)

    assert len(under_way.replans) == 2
    assert why in under_way.replans[-1][1]


def test_a_provider_down_for_longer_than_patience_is_not_counted_on_until_it_is_back() -> None:
    under_way = course(deadline=1000.0)
    down = {"breaker": BreakerState.OPEN, "breaker_retry_at": 20.0, "down_since": 2.0}
    under_way.policy(views(**down), now=3.0)
    assert planned_rows(under_way) == {"cheap": 600}
    under_way.policy(views(**(down | {"breaker_retry_at": 140.0})), now=125.0)
    assert planned_rows(under_way) == {"dear": 600}
    under_way.policy(views(), now=150.0)
    assert planned_rows(under_way) == {"cheap": 600}


def test_a_slower_provider_than_expected_sheds_rows_to_keep_the_deadline() -> None:
    under_way = course()
    under_way.policy(views(), now=0.0)
    under_way.policy(views(failure_share=0.5), now=30.0)

    assert planned_rows(under_way)["cheap"] == 150
    assert under_way.plan.conflict is not None or planned_rows(under_way)["dear"] > 240


def test_the_reserve_is_kept_in_hand_only_while_that_is_possible() -> None:
    classes = [WorkClass(work=Work(), rows=600)]
    careful = SETTINGS.model_copy(update={"deadline_reserve": 0.2})
    roomy = Course(classes, policy=PolicyName.CHEAPEST, settings=careful, deadline=400.0)
    roomy.policy(views(), now=0.0)
    tight = Course(classes, policy=PolicyName.CHEAPEST, settings=careful, deadline=245.0)
    tight.policy(views(), now=0.0)

    assert roomy.plan.finish_s <= 320
    assert tight.plan.planned == 600
    assert tight.plan.finish_s > 0.8 * 245
