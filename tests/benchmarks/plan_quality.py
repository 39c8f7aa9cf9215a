"""What planning is worth, on a simulated clock: money at equal deadline, time against the bound, and an outage survived.

The vendors keep their own limits and bill; the driver decides by the product's own `route`, `pack`, `Breaker`, `decide`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from statistics import mean

from tasks.config import RoutingSettings
from tasks.routing import Course, PolicyName, Work
from tasks.routing.planner import WorkClass, dollars
from tests.tasks.routing.factories import REPLACE, offering
from tests.tasks.routing.reference import Vendor, relaxed
from tests.tasks.routing.simulation.driver import Result, Simulation
from tests.tasks.routing.simulation.strategies import (
    CheapestFirst,
    CheapestFree,
    Planned,
    RoundRobin,
    Shuffled,
    Strategy,
)
from tests.tasks.routing.simulation.vendors import Terms

MASKR = Terms(
    key="maskr",
    usd="0.09",
    credits_per_image=3,
    limits=("60/min",),
    batch_limits=("30/min",),
    batch_size=50,
    latency_s=4,
    batch_latency_s=30,
    bad_rows=0.05,
    offers=(offering("mask", batch=True),),
)
FOUR = (
    replace(MASKR, credits=6000),
    Terms(key="modelslab", usd="0.05", at_once=5, latency_s=15, accepts_s=1, offers=(offering("mask", "text"),)),
    Terms(
        key="onemin",
        usd="0.14",
        limits=("60/min",),
        latency_s=20,
        offers=(offering("mask"), offering("prompt", operation=REPLACE)),
    ),
    Terms(
        key="runflow",
        usd="0.48",
        at_once=20,
        latency_s=40,
        accepts_s=1,
        offers=(offering("mask"), offering("reference", "prompt", operation=REPLACE)),
    ),
)
PARTS = {"mask": 0.78, "text": 0.10, "reference": 0.06, "prompt": 0.06}
WINDOW = 400  # rows under way at once


def main(quick: bool) -> None:
    """Print Markdown tables."""
    seeds = range(1) if quick else range(3)
    _maskr(quick)
    for minutes in (45,) if quick else (30, 45, 60):
        _money(1000 if quick else 5000, minutes * (0.2 if quick else 1), seeds)
    _makespan(400 if quick else 2000, seeds)
    _outage(800 if quick else 3000)


def _maskr(quick: bool) -> None:
    print(
        "Maskr's documented limits (60 single and 30 batch requests of 50 a minute), 5 % of requests with a failed row:\n"
    )
    print("| rows | images a minute | of the ideal 1,500 | requests | 429s | rows done once |")
    print("|---|---|---|---|---|---|")
    for rows in (3000,) if quick else (3000, 30_000):
        result = _run([Work(item_id=str(n)) for n in range(rows)], (MASKR,), _planned(PolicyName.FASTEST), window=2000)
        rate = 60 * rows / result.finish_s
        vendor = result.vendors["maskr"]
        once = sum(count == 1 for count in result.done.values())
        print(f"| {rows:,} | {rate:,.0f} | {rate / 1500:.2f} | {vendor.calls} | {vendor.too_many} | {once:,} |")
    print("\n(A minute's tickets may all be used at its start, so a short run beats the sustained rate.)")


def _money(count: int, minutes: float, seeds: Sequence[int]) -> None:
    deadline = minutes * 60
    kinds = [kind for kind, part in PARTS.items() for _ in range(round(part * count))]
    bound = relaxed([_plain(terms, count) for terms in _scaled(count)], Counter(kinds), deadline) / 100
    print(
        f"\n{len(kinds):,} rows, four providers, {minutes:g} minutes; the linear programme's optimum is ${bound:,.2f}:\n"
    )
    print("| strategy | US dollars | above the optimum | minutes | done by then |")
    print("|---|---|---|---|---|")
    strategies: dict[str, Callable[[Sequence[Work], int], Strategy]] = {
        "planned (ours)": lambda work, _: _planned(PolicyName.CHEAPEST, deadline)(work),
        "cheapest with a free ticket": lambda _, __: CheapestFree(),
        "cheapest first": lambda _, __: CheapestFirst(),
        "round robin": lambda _, __: RoundRobin(),
        "random": lambda _, seed: Shuffled(Random(seed)),
    }
    for name, make in strategies.items():
        results = []
        for seed in seeds:
            work = _mixed(kinds, seed)
            results.append(_run(work, _scaled(count), lambda work, s=seed, make=make: make(work, s), seed=seed))
        usd = mean(float(result.usd) for result in results)
        took = mean(result.finish_s for result in results) / 60
        in_time = mean(sum(at <= deadline for at in result.done_at) for result in results) / len(kinds)
        print(f"| {name} | {usd:,.2f} | {usd / bound - 1:+.1%} | {took:.1f} | {in_time:.1%} |")


def _makespan(count: int, seeds: Sequence[int]) -> None:
    masks = (offering("mask"),)
    terms = (
        Terms(key="a", usd="0.09", limits=("60/min",), latency_s=4, offers=masks),
        Terms(key="b", usd="0.05", at_once=5, latency_s=15, accepts_s=1, offers=masks),
        Terms(key="c", usd="0.14", limits=("90/min", "4/s"), latency_s=20, offers=masks),
        Terms(key="d", usd="0.48", at_once=20, latency_s=40, accepts_s=1, offers=masks),
    )
    bound_s = count / (1 + 5 / 15 + 1.5 + 20 / 40)
    print(f"\n{count:,} rows over four providers as fast as they can; N/Σrate is {bound_s:.0f} s:\n")
    print("| strategy | seconds | above N/Σrate | US dollars |")
    print("|---|---|---|---|")
    strategies: dict[str, Callable[[Sequence[Work], int], Strategy]] = {
        "planned (ours)": lambda work, _: _planned(PolicyName.FASTEST)(work),
        "cheapest with a free ticket": lambda _, __: CheapestFree(),
        "round robin": lambda _, __: RoundRobin(),
        "random": lambda _, seed: Shuffled(Random(seed)),
    }
    work = [Work(item_id=str(n)) for n in range(count)]
    for name, make in strategies.items():
        results = [_run(work, terms, lambda work, s=seed, make=make: make(work, s), seed=seed) for seed in seeds]
        took = mean(result.finish_s for result in results)
        usd = mean(float(result.usd) for result in results)
        print(f"| {name} | {took:.0f} | {took / bound_s - 1:+.1%} | {usd:,.2f} |")


def _outage(count: int) -> None:
    masks = (offering("mask"),)
    calm_s = count / 2.5
    outage = ((calm_s / 3, 2 * calm_s / 3),)
    print(f"\nThe cheapest of three providers dies for a third of a run of {count:,} rows, and comes back:\n")
    print("| policy | deadline | outage | rows done | US dollars | minutes | calls wasted while down |")
    print("|---|---|---|---|---|---|---|")
    for policy, deadline in (
        (PolicyName.CHEAPEST, None),
        (PolicyName.CHEAPEST, 1.3 * calm_s),
        (PolicyName.FASTEST, None),
    ):
        for down in ((), outage):
            terms = (
                Terms(key="cheap", usd="0.05", limits=("60/min",), latency_s=4, offers=masks, outages=down),
                Terms(key="spare", usd="0.14", limits=("90/min",), latency_s=20, offers=masks),
                Terms(key="dear", usd="0.48", at_once=20, latency_s=40, accepts_s=1, offers=masks),
            )
            work = [Work(item_id=str(n)) for n in range(count)]
            result = _run(work, terms, _planned(policy, deadline))
            by = "none" if deadline is None else f"{deadline / 60:.0f} min"
            lost = "none" if not down else f"{(down[0][1] - down[0][0]) / 60:.0f} min"
            print(
                f"| {policy} | {by} | {lost} | {len(result.done):,} | {dollars(result.usd)} | {result.finish_s / 60:.1f} "
                f"| {len(result.vendors['cheap'].while_down)} |"
            )


def _planned(policy: PolicyName, deadline: float | None = None) -> Callable[[Sequence[Work]], Strategy]:
    def make(work: Sequence[Work]) -> Strategy:
        kinds = Counter(one.kind for one in work)
        classes = [WorkClass(work=kind, rows=rows) for kind, rows in kinds.items()]
        return Planned(Course(classes, policy=policy, settings=RoutingSettings(), deadline=deadline))

    return make


def _run(
    work: Sequence[Work],
    terms: Sequence[Terms],
    make: Callable[[Sequence[Work]], Strategy],
    *,
    seed: int = 1,
    window: int = WINDOW,
) -> Result:
    result = Simulation(work, terms, make(work), window=window, seed=seed).run()
    if set(result.done.values()) - {1}:
        raise AssertionError("a row was done twice")
    return result


def _mixed(kinds: Sequence[str], seed: int) -> list[Work]:
    order = list(kinds)
    Random(seed).shuffle(order)
    return [_work(kind, str(number)) for number, kind in enumerate(order)]


def _work(kind: str, item_id: str) -> Work:
    if kind in ("reference", "prompt"):
        return Work(item_id=item_id, operation=REPLACE, selectors=frozenset({kind}))
    return Work(item_id=item_id, selectors=frozenset({kind}))


def _scaled(count: int) -> tuple[Terms, ...]:
    """The account that runs dry, in proportion to the rows."""
    return tuple(replace(one, credits=one.credits * count // 5000) if one.credits is not None else one for one in FOUR)


def _plain(terms: Terms, rows: int) -> Vendor:
    """For the linear programme: at most N under way is N in any latency."""
    limits = [(int(text.split("/")[0]), 60) for text in terms.limits]
    if terms.at_once is not None:
        limits.append((terms.at_once, int(terms.latency_s)))
    batch = None
    if terms.batch_limits:
        batch = (int(terms.batch_limits[0].split("/")[0]), 60, terms.batch_size, int(terms.batch_latency_s))
    takes = {name for offer in terms.offers for need in offer.selectors for name in need}
    paid_for = rows if terms.credits is None else terms.credits // terms.credits_per_image
    return Vendor(
        cents=int(Decimal(terms.usd) * 100),
        limits=tuple(limits),
        latency_s=int(terms.latency_s),
        batch=batch,
        rows_paid_for=paid_for,
        takes=tuple(sorted(takes)),
    )
