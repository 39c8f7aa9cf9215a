"""What the report's template shows, worded: facts in, sentences and chart geometry out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from manifests import State
from tasks.report import wording
from tasks.report.charts import Bar, Chart, Series, proportions, stacked_columns
from tasks.report.facts import PlanFacts, RunFacts, Savings, Timeline

OTHERS = "not delivered"
NOBODY = "no provider"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One provider's deliveries over the run's time."""

    provider: str
    bars: tuple[Bar, ...]
    peak: int  # items in its fullest slice


def verdict(facts: RunFacts) -> str:
    """The run in two sentences."""
    said = f"{facts.delivered:,} of {wording.plural(facts.items, 'item')} delivered ({wording.share(facts.delivered, facts.items)})"
    if facts.cost_usd:
        said += f" for {wording.money(facts.cost_usd)}"
    if facts.duration_s is not None:
        said += f" in {wording.duration(facts.duration_s)}"
    open_items = facts.items - facts.delivered - facts.states[State.IN_DOUBT]
    if open_items:
        them = "it" if open_items == 1 else "them"
        said += f". {wording.plural(open_items, 'item is', 'items are')} still open; `cleanplate retry` takes {them} up again"
    if facts.states[State.IN_DOUBT]:
        said += f". {wording.plural(facts.states[State.IN_DOUBT], 'item is', 'items are')} in doubt and may have been charged"
    return said + "."


def figures(facts: RunFacts, savings: Savings) -> list[tuple[str, str, str]]:
    """The numbers that head the page: label, value, note."""
    saved = (savings.reuse_usd or Decimal(0)) + (savings.preflight_usd or Decimal(0))
    early = f"{facts.states[State.REJECTED]:,} stopped early"
    rate = facts.items / facts.duration_s * 60 if facts.duration_s else None
    return [
        (
            "Delivered",
            wording.count(facts.delivered),
            f"{wording.share(facts.delivered, facts.items)} of {facts.items:,}",
        ),
        ("Not delivered", wording.count(facts.items - facts.delivered), wording.plural(len(facts.failures), "cause")),
        ("Spent", wording.money(facts.cost_usd), f"{wording.count(facts.credits)} credits" if facts.credits else ""),
        ("Saved", wording.money(saved), f"{facts.reused:,} reused, {early}")
        if saved
        else ("Reused", wording.count(facts.reused), early),
        ("Took", wording.duration(facts.duration_s), f"{rate:,.0f} items a minute" if rate else ""),
    ]


def money_and_time(facts: RunFacts, savings: Savings, plan: PlanFacts | None) -> list[tuple[str, str]]:
    """Labelled facts: spent, saved, and both money and time against the plan."""
    shown = [
        (
            "Spent",
            wording.money(facts.cost_usd) + (f", {wording.count(facts.credits)} credits" if facts.credits else ""),
        )
    ]
    if plan and plan.cost_usd is not None:
        shown.append(("Planned cost", f"{wording.money(plan.cost_usd)} ({_against(facts.cost_usd, plan.cost_usd)})"))
    if facts.reused:
        again = f"{wording.plural(facts.reused, 'item')} delivered again, unpaid"
        shown.append(("Saved by reuse", _saved(savings, savings.reuse_usd) + again))
    if facts.states[State.REJECTED]:
        stopped = f"{wording.plural(facts.states[State.REJECTED], 'item')} stopped before anything was sent"
        shown.append(("Saved by preflight", _saved(savings, savings.preflight_usd) + stopped))
    if savings.batch_requests:
        shown.append(("Saved by batch calls", f"{wording.plural(savings.batch_requests, 'request')} not made"))
    shown += [
        ("Requests sent", wording.count(facts.requests)),
        ("Started", wording.moment(facts.started_at)),
        ("Finished", wording.moment(facts.finished_at)),
    ]
    took = wording.duration(facts.duration_s)
    if plan and plan.duration_s is not None and facts.duration_s is not None:
        took += f"; {wording.duration(plan.duration_s)} planned ({_against(Decimal(facts.duration_s), Decimal(plan.duration_s))})"
    return [*shown, ("Took", took)]


def _saved(savings: Savings, usd: Decimal | None) -> str:
    """An amount that leads in the items; nothing where nothing would have been paid."""
    return f"{'about ' if savings.estimated else ''}{wording.money(usd)}: " if usd else ""


def _against(actual: Decimal, planned: Decimal) -> str:
    if not planned:
        return "as planned" if not actual else "nothing was planned"
    percent = round(100 * (actual / planned - 1))
    return "as planned" if percent == 0 else f"{abs(percent)} % {'over' if percent > 0 else 'under'}"


def outcome_bars(facts: RunFacts) -> tuple[Bar, ...]:
    """The strip of states."""
    parts = {state.value: number for state, number in facts.states.items()}
    return proportions(parts, {name: f"f-{name}" for name in parts})


def throughput(timeline: Timeline, colours: Mapping[str, str]) -> Chart | None:
    """Items finished over time, by provider; what was not delivered on top. None when there is nothing to tell."""
    if len(timeline.buckets) < 2:
        return None
    names = sorted({name for bucket in timeline.buckets for name in bucket.delivered})
    series = [
        Series(
            label=name or NOBODY,
            colour=colours.get(name, "c6"),
            values=tuple(b.delivered.get(name, 0) for b in timeline.buckets),
        )
        for name in names
    ]
    series.append(Series(label=OTHERS, colour="f-others", values=tuple(b.others for b in timeline.buckets)))
    return stacked_columns(series, [wording.clock(b.start) for b in timeline.buckets], axis(timeline))


def axis(timeline: Timeline) -> tuple[str, ...]:
    """Start, middle and end of a timeline; with the day when it spans more than one."""
    first, last = timeline.buckets[0].start, timeline.buckets[-1].start + timedelta(seconds=timeline.bucket_s)
    word = wording.clock if last - first < timedelta(hours=20) else wording.moment
    return tuple(word(time) for time in (first, first + (last - first) / 2, last))


def lanes(timeline: Timeline, colours: Mapping[str, str]) -> list[Lane]:
    """Each provider's own timeline on a common time axis, each scaled to its own peak."""
    names = sorted({name for bucket in timeline.buckets for name in bucket.delivered if name})
    if len(names) < 2 or len(timeline.buckets) < 2:
        return []
    titles = [wording.clock(bucket.start) for bucket in timeline.buckets]
    made = []
    for name in names:
        values = tuple(bucket.delivered.get(name, 0) for bucket in timeline.buckets)
        drawn = stacked_columns([Series(label=name, colour=colours[name], values=values)], titles, ())
        made.append(Lane(provider=name, bars=drawn.bars, peak=max(values)))
    return made


def gallery_note(shown: int, delivered: int) -> str:
    """What the gallery holds and how it is ordered."""
    which = (
        f"The {shown:,} lowest scores of {delivered:,} delivered" if shown < delivered else f"All {shown:,} delivered"
    )
    return (
        f"{which}, of 100 for a picture with nothing to see. A score falls when the provider's picture strayed outside the "
        "mask (delivered is the original there), when the mask's edge shows, or when hardly anything changed inside."
    )


def context(facts: RunFacts, *, savings: Savings, plan: PlanFacts | None, colours: Mapping[str, str]) -> dict[str, Any]:
    """Everything on a page about one run that depends on facts alone."""
    return {
        "facts": facts,
        "verdict": verdict(facts),
        "figures": figures(facts, savings),
        "money_and_time": money_and_time(facts, savings, plan),
        "outcome_bars": outcome_bars(facts),
        "throughput": throughput(facts.timeline, colours),
        "lanes": lanes(facts.timeline, colours),
        "colours": colours,
    }
