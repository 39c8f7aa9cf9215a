"""The plan is optimal: against every assignment there is on small instances, against a separate linear programme on large ones."""

from decimal import Decimal
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.routing import Work
from tasks.routing.planner import WorkClass, make_plan
from tests.tasks.routing.reference import Vendor, relaxed

LIMIT = st.tuples(st.integers(1, 4), st.integers(1, 10))
VENDOR = st.builds(
    Vendor,
    cents=st.integers(0, 50),
    limits=st.lists(LIMIT, min_size=1, max_size=2).map(tuple),
    latency_s=st.integers(0, 5),
    batch=st.none() | st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(2, 4), st.integers(0, 8)),
    rows_paid_for=st.none() | st.integers(0, 8),
    takes=st.sampled_from([("mask",), ("text",), ("mask", "text")]),
)


def best_by_trying_all(
    vendors: list[Vendor], counts: dict[str, int], deadline_s: int, budget: int | None
) -> tuple[int, int]:
    """(rows done, cents): the most rows, then the least money, over every assignment of rows to vendors and endpoints."""
    ways: dict[str, set[tuple[int, ...]]] = {}
    for kind, count in counts.items():
        room = [range(count + 1) if kind in vendor.takes else range(1) for vendor in vendors]
        ways[kind] = {way for way in product(*room) if sum(way) <= count}
    best = (0, 0)
    caps = [(v.single_starts(deadline_s, 20), v.batch_starts(deadline_s, 20)) for v in vendors]
    for masks in ways["mask"]:
        for texts in ways["text"]:
            loads = list(zip(masks, texts, strict=True))
            done = sum(masks) + sum(texts)
            cents = sum(vendor.cents * sum(load) for vendor, load in zip(vendors, loads, strict=True))
            if (done, -cents) <= (best[0], -best[1]) or (budget is not None and cents > budget):
                continue
            if all(_can(vendor, load, cap) for vendor, load, cap in zip(vendors, loads, caps, strict=True)):
                best = (done, cents)
    return best


def _can(vendor: Vendor, load: tuple[int, int], cap: tuple[int, int]) -> bool:
    """Whether one vendor can do its rows: batches hold rows of one kind only."""
    if vendor.rows_paid_for is not None and sum(load) > vendor.rows_paid_for:
        return False
    singles, batches = cap
    size = vendor.batch[2] if vendor.batch else 1
    for single_masks, single_texts in product(range(load[0] + 1), range(load[1] + 1)):
        together = -(-(load[0] - single_masks) // size) + -(-(load[1] - single_texts) // size)
        if single_masks + single_texts <= singles and together <= batches:
            return True
    return False


@settings(max_examples=120, deadline=None)
@given(
    vendors=st.lists(VENDOR, min_size=1, max_size=3),
    masks=st.integers(0, 6),
    texts=st.integers(0, 4),
    deadline_s=st.integers(0, 40),
    budget=st.none() | st.integers(0, 200),
)
def test_no_assignment_does_more_rows_or_the_same_for_less(
    vendors: list[Vendor], masks: int, texts: int, deadline_s: int, budget: int | None
) -> None:
    classes = [
        WorkClass(work=Work(), rows=masks),
        WorkClass(work=Work(selectors=frozenset({"text"})), rows=texts),
    ]
    plan = make_plan(
        classes,
        [vendor.view(f"v{number}") for number, vendor in enumerate(vendors)],
        now=0.0,
        deadline_s=deadline_s,
        budget_usd=None if budget is None else Decimal(budget) / 100,
        frontier_points=0,
    )

    done, cents = best_by_trying_all(vendors, {"mask": masks, "text": texts}, deadline_s, budget)
    assert (plan.planned, plan.usd * 100) == (done, cents)
    assert plan.finish_s <= deadline_s


def random_vendor(rng: Random) -> Vendor:
    limits = [(rng.randint(5, 60), rng.choice([10, 60]))]
    if rng.random() < 0.4:
        limits.append((rng.randint(1, 6), 1))
    batch = (rng.randint(1, 10), 60, rng.choice([10, 25, 50]), rng.randint(5, 60)) if rng.random() < 0.4 else None
    return Vendor(
        cents=rng.randint(1, 60),
        limits=tuple(limits),
        latency_s=rng.randint(1, 90),
        batch=batch,
        rows_paid_for=rng.choice([None, rng.randint(50, 2000)]),
        takes=rng.choice([("mask",), ("mask", "text"), ("text",)]),
    )


@pytest.mark.parametrize("seed", range(25))
def test_random_plans_are_within_one_percent_of_the_linear_programme(seed: int) -> None:
    rng = Random(seed)
    vendors = [random_vendor(rng) for _ in range(rng.randint(2, 5))] + [
        Vendor(cents=80, limits=((40, 60),), latency_s=5, takes=("mask", "text"))
    ]
    counts = {"mask": rng.randint(400, 3000), "text": rng.randint(0, 800)}
    deadline_s = rng.randint(900, 3600)
    plan = make_plan(
        [WorkClass(work=Work(selectors=frozenset({kind})), rows=count) for kind, count in counts.items() if count],
        [vendor.view(f"v{number}") for number, vendor in enumerate(vendors)],
        now=0.0,
        deadline_s=deadline_s,
        frontier_points=0,
    )
    bound = relaxed(vendors, counts, deadline_s)

    assert (plan.conflict is None) == (bound < float("inf"))
    if plan.conflict is None:
        assert bound - 1e-6 <= float(plan.usd * 100) <= 1.01 * bound
