"""Geometry of charts, in a box of 1000 × 100 that the page stretches: what is drawn where. Templates draw it, style sheets colour it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
SERIES_COLOURS: Final = 7  # of the style sheet; whatever comes after shares the last, grey one


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One rectangle, with what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    colour: str  # a class of the style sheet
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Legend:
    """What a colour means."""

    colour: str
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Bars over a common axis; `ticks` from top to bottom, `labels` from left to right."""

    bars: tuple[Bar, ...]
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    legend: tuple[Legend, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One colour of a stacked chart: a value for each column."""

    label: str
    colour: str
    values: tuple[float, ...]


def series_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each provider, the same on every chart of a page whatever the order on it."""
    return {name: f"c{min(index, SERIES_COLOURS - 1)}" for index, name in enumerate(sorted(set(names)))}


def stacked_columns(
    series: Sequence[Series],
    titles: Sequence[str],
    labels: Sequence[str],
    *,
    gap: float = 0.18,
    style: Callable[[float], str] = lambda value: f"{value:,.10g}",
) -> Chart:
    """Columns of stacked series; `titles[i]` heads what column i says, `labels` are spread over the axis, `style` words a value."""
    totals = [sum(values) for values in zip(*(one.values for one in series), strict=True)] if series else []
    top = nice_ceiling(max(totals, default=0))
    step = WIDTH / max(len(totals), 1)
    bars = []
    for index, title in enumerate(titles):
        base = HEIGHT
        for one in series:
            height = HEIGHT * one.values[index] / top
            if height <= 0:
                continue
            base -= height
            bars.append(
                Bar(
                    x=round(step * (index + gap / 2), 2),
                    y=round(base, 3),
                    width=round(step * (1 - gap), 2),
                    height=round(height, 3),
                    colour=one.colour,
                    title=f"{title} · {one.label}: {style(one.values[index])}",
                )
            )
    legend = tuple(Legend(colour=one.colour, label=one.label) for one in series if any(one.values))
    return Chart(bars=tuple(bars), ticks=(top, top / 2, 0), labels=tuple(labels), legend=legend)


def proportions(parts: Mapping[str, int], colours: Mapping[str, str]) -> tuple[Bar, ...]:
    """One bar of full width, cut by share; no part that exists is thinner than can be seen."""
    whole = sum(parts.values())
    shown = {name: max(WIDTH * part / whole, 4.0) for name, part in parts.items() if part}
    squeeze = WIDTH / sum(shown.values()) if shown else 1.0
    bars, x = [], 0.0
    for name, width in shown.items():
        bars.append(
            Bar(
                x=round(x, 2),
                y=0,
                width=round(width * squeeze, 2),
                height=HEIGHT,
                colour=colours[name],
                title=f"{name}: {parts[name]:,}",
            )
        )
        x += width * squeeze
    return tuple(bars)


def nice_ceiling(value: float | Decimal) -> float:
    """The next 1, 2, 4 or 6 times a power of ten: halves stay round."""
    number = float(value)
    if number <= 0:
        return 1.0
    power = 10.0 ** floor(log10(number))
    return next((m * power for m in (1, 2, 4, 6, 10) if number <= m * power * (1 + 1e-9)), ceil(number))
