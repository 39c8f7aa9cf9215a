"""Two kinds of plots as SVG, nothing but the standard library: bars that compare, and lines that count up. Ours is blue."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

OURS, THEIRS, INK, FAINT, GRID = "#1f6feb", "#a3acb8", "#1f2328", "#656d76", "#e4e7eb"
WIDTH, MARGIN = 880, 20
LABELS = 385  # the column of names, some 50 characters
ROW, BAR = 30, 18
TOP = 74
PLOT_HEIGHT = 300
LINES = (OURS, "#d9730d", "#8250df", "#1a7f37", "#cf222e", "#656d76")


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One bar a contender."""

    title: str
    unit: str  # what is counted, and whether less is better
    values: Mapping[str, float]
    ours: Collection[str]  # names in `values`
    log: bool = False  # when the largest is more than some thirty times the others

    def svg(self) -> str:
        """The picture."""
        room = WIDTH - LABELS - MARGIN - 80
        top = max(self.values.values(), default=0) or 1
        bottom = TOP + ROW * len(self.values)
        parts = [_text(x, bottom + 18, f"{tick:,.10g}", anchor="middle") for tick, x in self._ticks(top, room)]
        parts += [_line(x, TOP - 6, x, bottom) for _, x in self._ticks(top, room)]
        for row, (name, value) in enumerate(self.values.items()):
            y, mine = TOP + ROW * row, name in self.ours
            width = max(self._share(value, top) * room, 1.5)
            weight = "600" if mine else "400"
            parts += [
                _text(LABELS - 10, y + BAR / 2 + 4, name, anchor="end", colour=INK, weight=weight),
                f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{OURS if mine else THEIRS}"/>',
                _text(LABELS + width + 8, y + BAR / 2 + 4, f"{value:,.10g}", colour=INK, weight="600"),
            ]
        unit = f"{self.unit}, logarithmic" if self.log else self.unit
        return _page(self.title, unit, parts, bottom + 34)

    def _share(self, value: float, top: float) -> float:
        """Of the full length; the logarithmic scale begins at nothing, so that a nought has its place."""
        return log10(1 + value) / log10(1 + top) if self.log else value / top

    def _ticks(self, top: float, room: float) -> list[tuple[float, float]]:
        values = [0.0, *(10.0**power for power in range(ceil(log10(1 + top)))), top] if self.log else linear_ticks(top)
        kept: list[tuple[float, float]] = []
        for value in values:
            x = LABELS + room * self._share(value, top)
            if value <= top and (not kept or x - kept[-1][1] > 55):
                kept.append((value, x))
        return kept


@dataclass(frozen=True, kw_only=True)
class CountingUp:
    """What had happened by when: one line of steps a contender; `moments` in seconds, each list sorted."""

    title: str
    unit: str
    moments: Mapping[str, Sequence[float]]
    limit: Sequence[tuple[float, float]] = ()  # corners of the most that is allowed, drawn as a dashed line

    def svg(self) -> str:
        """The picture."""
        end = max(max(times) for times in self.moments.values()) * 1.02
        most = max(len(times) for times in self.moments.values())
        left, room = 56, WIDTH - 56 - MARGIN
        base = TOP + PLOT_HEIGHT

        def at(second: float, count: float) -> str:
            return f"{left + room * min(second, end) / end:.1f},{base - PLOT_HEIGHT * min(count, most) / most:.1f}"

        parts = [_text(left + room * t / end, base + 18, f"{t:g}", anchor="middle") for t in linear_ticks(end)]
        for count in linear_ticks(most):
            y = base - PLOT_HEIGHT * count / most
            parts += [_line(left, y, left + room, y), _text(left - 8, y + 4, f"{count:g}", anchor="end")]
        if self.limit:
            corners = " ".join(at(*corner) for corner in self.limit)
            parts.append(f'<polyline points="{corners}" fill="none" stroke="{INK}" stroke-dasharray="3 4"/>')
        names = [(name, LINES[row % len(LINES)]) for row, name in enumerate(self.moments)]
        for (name, colour), times in reversed(list(zip(names, self.moments.values(), strict=True))):  # the first on top
            steps = " ".join(f"{at(t, n)} {at(t, n + 1)}" for n, t in enumerate(times))
            width = 3 if colour == OURS else 1.75
            parts.append(
                f'<polyline points="{steps}" fill="none" stroke="{colour}" stroke-width="{width}"><title>{escape(name)}</title></polyline>'
            )
        parts.append(_text(left + room, base + 36, "seconds", anchor="end"))
        legend = [*names, *([("the most that the vendor allows", INK)] if self.limit else [])]
        for row, (name, colour) in enumerate(legend):
            y = base + 44 + 20 * row
            dashes = ' stroke-dasharray="3 4"' if colour == INK else ""
            parts += [
                f'<path d="M{left} {y}h26" stroke="{colour}" stroke-width="3"{dashes}/>',
                _text(left + 36, y + 4, name, colour=INK, weight="600" if colour == OURS else "400"),
            ]
        return _page(self.title, self.unit, parts, base + 50 + 20 * len(legend))


def linear_ticks(top: float) -> list[float]:
    """Four to eight round numbers from nought."""
    power = 10.0 ** (ceil(log10(top)) - 1) if top > 0 else 1.0
    step = next(size * power for size in (0.2, 0.5, 1, 2) if top / (size * power) <= 8)
    return [round(step * number, 10) for number in range(int(top / step + 1e-9) + 1)]


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = FAINT, weight: str = "400", size: int = 13
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}" '
        f'font-size="{size}">{escape(words)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{GRID}"/>'


def _page(title: str, unit: str, parts: Sequence[str], height: float) -> str:
    head = [_text(MARGIN, 30, title, colour=INK, weight="600", size=17), _text(MARGIN, 51, unit)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
        f"font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join((*head, *parts)) + "\n</svg>\n"
    )
