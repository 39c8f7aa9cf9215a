"""Who takes a row, or why nobody does."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from manifests.error_codes import ErrorCode
from tasks.config import ProviderSettings, RoutingSettings
from tasks.providers.base import Capabilities, Offer
from tasks.routing import (
    BreakerState,
    NoRoute,
    Pace,
    Parked,
    PolicyName,
    ProviderView,
    Route,
    RoutingPolicy,
    Shares,
    Work,
    route,
    view_of,
)
from tests.tasks.routing.factories import MASK, REMOVAL, REPLACE, maskr, offering, provider

NOW = 1_000_000.0
CHEAP = provider("cheap", usd="0.05", latency_s=90)
QUICK = provider("quick", usd="0.48", latency_s=2)
FREE = provider("free", latency_s=500)


def routed(work: Work, *views: ProviderView, policy: str = "cheapest", **bounds: object) -> Route | NoRoute:
    return route(work, views, RoutingPolicy(name=PolicyName(policy)), **({"now": NOW} | bounds))


@pytest.mark.parametrize(("policy", "first"), [("cheapest", "free"), ("fastest", "quick"), ("ordered", "cheap")])
def test_each_policy_chooses_by_its_own_measure(policy: str, first: str) -> None:
    assert routed(Work(), CHEAP, QUICK, FREE, policy=policy).provider == first


@pytest.mark.parametrize("policy", PolicyName)
def test_a_pin_overrides_every_policy(policy: PolicyName) -> None:
    found = routed(Work(pinned="quick"), CHEAP, QUICK, FREE, policy=policy)

    assert (found.provider, found.reason) == ("quick", "pinned")


def test_a_pin_to_a_provider_that_the_run_does_not_use_says_so() -> None:
    found = routed(Work(pinned="runflow"), CHEAP, QUICK)

    assert (found.reason, found.retry_at) == (ErrorCode.NO_PROVIDER, None)
    assert "'runflow'" in found.message
    assert "cheap, quick" in found.message


@pytest.mark.parametrize(
    ("selectors", "operation", "taker"),
    [
        ({"mask"}, REMOVAL, "masks"),
        ({"text"}, REMOVAL, "words"),
        ({"box"}, REMOVAL, None),
        ({"mask", "reference"}, REPLACE, "scenes"),
        ({"mask"}, REPLACE, None),
    ],
)
def test_only_those_are_asked_that_offer_it(selectors: set[str], operation: str, taker: str | None) -> None:
    scenes = Offer(operation=REPLACE, selectors=(frozenset({"mask", "reference"}),))
    views = [
        provider("masks", offers=(offering("mask"),)),
        provider("words", offers=(offering("text"),)),
        provider("scenes", offers=(scenes,)),
    ]
    found = routed(Work(selectors=frozenset(selectors), operation=operation), *views)

    if taker is None:
        assert found.reason is ErrorCode.NO_PROVIDER
        assert all(view.key in found.message for view in views)
    else:
        assert found.provider == taker


def test_a_large_picture_with_a_hole_is_cropped_but_prefers_who_takes_it_whole() -> None:
    small = provider("small", usd="0.10", can={"max_image_pixels": 1_000_000})
    wide = provider("wide", usd="0.10", latency_s=100)
    large = Work(pixels=24_000_000)

    assert routed(large, small).provider == "small"
    assert routed(large, small, wide).provider == "wide"
    assert routed(Work(pixels=900_000), small, wide).provider == "small"


def test_a_large_picture_with_nothing_to_crop_around_is_refused_by_size() -> None:
    view = provider("words", offers=(offering("text"),), can={"max_image_pixels": 1_000_000})
    found = routed(Work(selectors=frozenset({"text"}), pixels=24_000_000), view)

    assert found.reason is ErrorCode.IMAGE_TOO_LARGE
    assert "1.0 megapixels" in found.message


def test_providers_given_up_at_are_not_asked_again_and_all_tried_is_said() -> None:
    once = Work(excluded=frozenset({"free"}))
    spent = Work(excluded=frozenset({"free", "cheap", "quick"}))

    assert routed(once, CHEAP, QUICK, FREE).provider == "cheap"
    assert routed(spent, CHEAP, QUICK, FREE).tried_all


def test_a_parked_provider_is_passed_over_until_its_time() -> None:
    parked = Parked(code=ErrorCode.PROVIDER_UNAVAILABLE, message="429", until=NOW + 30)
    view = replace(CHEAP, parked=parked)

    assert routed(Work(), view, QUICK).provider == "quick"
    assert routed(Work(), view).retry_at == NOW + 30
    assert routed(Work(), view, now=NOW + 30).provider == "cheap"


def test_an_open_breaker_defers_with_the_time_of_the_next_probe() -> None:
    down = replace(CHEAP, breaker=BreakerState.OPEN, breaker_retry_at=NOW + 15)
    found = routed(Work(), down)

    assert (found.reason, found.retry_at) == (ErrorCode.PROVIDER_UNAVAILABLE, NOW + 15)
    assert routed(Work(), replace(down, breaker=BreakerState.HALF_OPEN, breaker_retry_at=None)).provider == "cheap"


def test_credits_and_budget_bind_each_by_its_own_code() -> None:
    poor = provider("poor", price_credits="3", credits_left=Decimal("2.5"))
    dear = provider("dear", usd="0.48")

    assert routed(Work(), poor).reason is ErrorCode.OUT_OF_CREDITS
    assert routed(Work(), dear, budget_left=Decimal("0.47")).reason is ErrorCode.BUDGET_REACHED
    assert routed(Work(), dear, budget_left=Decimal("0.48")).provider == "dear"
    both = routed(Work(), poor, dear, budget_left=Decimal("0.10"))
    assert both.reason is ErrorCode.BUDGET_REACHED
    assert "2.5 credits left" in both.message
    assert "$0.10 left" in both.message


def test_no_work_starts_after_the_deadline() -> None:
    crowded = provider("crowded", limits=("1/min",), waiting=10)

    assert routed(Work(), CHEAP, deadline=NOW).reason is ErrorCode.DEADLINE_REACHED
    assert routed(Work(), crowded, deadline=NOW + 300).reason is ErrorCode.DEADLINE_REACHED
    assert routed(Work(), crowded, deadline=NOW + 700).provider == "crowded"


def test_no_provider_at_all_says_so() -> None:
    assert routed(Work()).message == "no provider is switched on"


def test_the_fastest_looks_at_the_queue_not_only_at_the_latency() -> None:
    busy = provider("busy", limits=("60/min",), latency_s=2, waiting=300)

    assert routed(Work(), busy, CHEAP, policy="fastest").provider == "cheap"


def test_shares_are_kept_in_proportion_from_the_first_row_on_and_to_the_row_in_the_end() -> None:
    shares = Shares({Work(): {"cheap": 300, "quick": 100}})
    policy = RoutingPolicy(shares=shares)
    given: Counter[str] = Counter()
    for row in range(400):
        key = route(Work(item_id=str(row)), [CHEAP, QUICK], policy, now=NOW).provider
        shares.take(Work(item_id=str(row)), key)
        given[key] += 1
        if row > 100:
            assert abs(given["quick"] / given.total() - 0.25) < 0.1

    assert given == {"cheap": 300, "quick": 100}
    assert shares.drift() == 0


def test_a_row_given_back_is_given_out_again() -> None:
    shares = Shares({Work(): {"cheap": 1, "quick": 1}})
    for key in ("cheap", "quick"):
        shares.take(Work(), key)
    shares.give_back(Work(), "quick")

    assert route(Work(), [CHEAP, QUICK], RoutingPolicy(shares=shares), now=NOW).provider == "quick"


def test_a_provider_that_falls_out_leaves_its_part_to_the_others() -> None:
    shares = Shares({Work(): {"cheap": 10, "quick": 10}})
    gone = replace(CHEAP, parked=Parked(code=ErrorCode.OUT_OF_CREDITS, message="402"))

    for _ in range(20):
        assert route(Work(), [gone, QUICK], RoutingPolicy(shares=shares), now=NOW).provider == "quick"
        shares.take(Work(), "quick")


def test_within_the_plan_an_idle_provider_goes_before_a_crowded_one() -> None:
    shares = Shares({Work(): {"cheap": 500, "quick": 500}})
    crowded = replace(CHEAP, single=replace(CHEAP.single, pace=Pace(hold_s=60)))

    assert route(Work(), [crowded, QUICK], RoutingPolicy(shares=shares), now=NOW).provider == "quick"


def test_a_view_is_made_from_settings_and_capabilities() -> None:
    settings = ProviderSettings(
        limits=["60/min"],
        batch_limits=["30/min"],
        credits=Decimal(90),
        credits_per_image=Decimal(3),
        usd_per_credit=Decimal("0.1"),
    )
    can = Capabilities(offers=(offering("mask", batch=True),), batch_size=50)
    view = view_of("maskr", can, settings, RoutingSettings())

    assert view.price(REMOVAL).usd == Decimal("0.3")
    assert view.credits_left == 90
    assert view.rows_per_s == 1 + 0.5 * 50
    assert view_of("maskr", can, settings, RoutingSettings(), credits_left=Decimal(5)).credits_left == 5


def test_a_batch_takes_only_the_selectors_that_it_offers() -> None:
    view = provider(
        offers=(Offer(operation=REMOVAL, selectors=(MASK, frozenset({"box"})), batch_selectors=(MASK,)),),
        batch_limits=("30/min",),
    )

    assert view.batch_group(Work(selectors=MASK)) == MASK
    assert view.batch_group(Work(selectors=frozenset({"box"}))) is None
    assert maskr().start_in_s(Work(selectors=MASK)) == 0.0


def test_a_provider_whose_pause_is_over_gets_one_row_to_see_whether_it_is_back() -> None:
    due = replace(QUICK, breaker=BreakerState.HALF_OPEN, down_since=NOW - 60)
    found = routed(Work(), CHEAP, due)

    assert (found.provider, found.reason) == ("quick", "probe")
    assert routed(Work(), CHEAP, replace(due, waiting=1)).provider == "cheap"


def test_while_the_probe_is_on_its_way_the_others_ask_again_when_it_may_be_back() -> None:
    probed = replace(QUICK, breaker=BreakerState.HALF_OPEN, breaker_retry_at=NOW + 300)

    assert routed(Work(), probed).retry_at == NOW + QUICK.single.latency_s


def planned(cheap: int, quick: int, **more: object) -> RoutingPolicy:
    return RoutingPolicy(shares=Shares({Work(): {"cheap": cheap, "quick": quick}}), **more)


def test_rows_planned_for_a_provider_that_is_down_wait_for_it_a_bounded_time_before_a_dearer_one_takes_them() -> None:
    down = replace(CHEAP, breaker=BreakerState.OPEN, breaker_retry_at=NOW + 15, down_since=NOW)
    for_long = replace(down, down_since=NOW - 200)
    policy = planned(cheap=10, quick=0, patience_s=120)

    assert route(Work(), [down, QUICK], policy, now=NOW).retry_at == NOW + 15
    assert route(Work(), [for_long, QUICK], policy, now=NOW).provider == "quick"


def test_they_do_not_wait_while_the_plan_has_rows_for_those_that_are_up() -> None:
    down = replace(CHEAP, breaker=BreakerState.OPEN, breaker_retry_at=NOW + 15, down_since=NOW)

    assert route(Work(), [down, QUICK], planned(cheap=10, quick=1), now=NOW).provider == "quick"


def test_nobody_waits_when_speed_is_what_counts() -> None:
    down = replace(CHEAP, breaker=BreakerState.OPEN, breaker_retry_at=NOW + 15, down_since=NOW)
    policy = replace(planned(cheap=10, quick=0), name=PolicyName.FASTEST)

    assert route(Work(), [down, QUICK], policy, now=NOW).provider == "quick"


def test_a_row_that_could_not_start_soon_is_not_bound_yet() -> None:
    crowded = provider("crowded", usd="0.01", limits=("60/min",), waiting=130)
    dearer = replace(crowded, key="dearer")
    later = route(Work(), [crowded, dearer], RoutingPolicy(lookahead_s=20), now=NOW)

    assert later.busy
    assert later.retry_at == NOW + 120 - 10
    assert route(Work(), [crowded, dearer], RoutingPolicy(), now=NOW).provider == "crowded"


def test_where_there_is_one_provider_its_queue_is_the_place_to_wait() -> None:
    """Rows that came back to it one by one would leave in batches of one."""
    crowded = provider("crowded", usd="0.01", limits=("60/min",), waiting=130)

    assert route(Work(), [crowded], RoutingPolicy(lookahead_s=20), now=NOW).provider == "crowded"


def test_credits_held_by_requests_under_way_may_come_back() -> None:
    poor = provider("poor", price_credits="3", credits_left=Decimal(0))

    assert routed(Work(), replace(poor, in_flight=1)).retry_at is not None
    assert routed(Work(), poor).retry_at is None


def test_rows_that_wait_have_the_credits_that_they_will_need() -> None:
    poor = provider("poor", price_credits="3", credits_left=Decimal(9), waiting=3)

    assert routed(Work(), poor).reason is ErrorCode.OUT_OF_CREDITS


def test_a_prepaid_balance_in_money_binds_as_credits_do() -> None:
    found = routed(Work(), replace(QUICK, usd_left=Decimal("0.40")))

    assert found.reason is ErrorCode.OUT_OF_CREDITS
    assert "0.40 US dollars left" in found.message
