"""A plan on a terminal: the answer first, then who does what, what is left out, and what more or less time would cost."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tasks.routing.planner import FrontierPoint, NotDone, Plan, dollars, duration

_BAR = 24  # characters of the longest bar


def render_plan(plan: Plan, console: Console) -> None:
    """Print a plan for people."""
    for part in _page(plan):
        console.print(part, highlight=False)


def _page(plan: Plan) -> Iterator[RenderableType]:
    yield _headline(plan)
    if plan.conflict is not None:
        yield Panel(
            escape(_sentence(plan.conflict.message)),
            title=f"{plan.conflict.must_give} must give",
            border_style="yellow",
        )
    for warning in plan.warnings:
        yield Text.assemble(("Warning: ", "bold yellow"), warning)
    if plan.parts:
        yield _parts(plan)
    yield from _left_out("Left out:", plan.not_done)
    yield from _left_out("Preflight would reject these:", plan.rejected)
    if len(plan.frontier) > 1:
        yield _frontier(plan)
    for note in plan.notes:
        yield Padding(Text(note, style="dim"), (0, 0, 0, 2))


def _headline(plan: Plan) -> Text:
    line = Text()
    line.append(f"{plan.planned:,} of {plan.rows:,} rows", style="bold")
    line.append(" for ")
    line.append(dollars(plan.usd), style="bold green")
    line.append(", done in ")
    line.append(duration(plan.finish_s), style="bold cyan")
    line.append(f" · {plan.policy}")
    if plan.reused:
        line.append(f"\n{plan.reused:,} more are there already and cost nothing.")
    return line


def _parts(plan: Plan) -> Table:
    table = Table(box=SIMPLE_HEAD, show_footer=len(plan.parts) > 1, footer_style="bold", pad_edge=False)
    credits = list(plan.credits.values())
    table.add_column("provider", "total", overflow="fold")
    table.add_column("endpoint")
    for name, footer in (
        ("rows", f"{plan.planned:,}"),
        ("requests", f"{sum(part.requests for part in plan.parts):,}"),
        ("credits", _plain(credits[0]) if len(credits) == 1 else ""),  # of several vendors they do not add up
        ("US dollars", dollars(plan.usd)),
        ("done after", duration(plan.finish_s)),
    ):
        table.add_column(name, footer, justify="right", no_wrap=True)
    for part in plan.parts:
        table.add_row(
            part.provider,
            part.endpoint,
            f"{part.rows:,}",
            f"{part.requests:,}",
            _plain(part.credits) if part.credits else "",
            dollars(part.usd),
            duration(part.finish_s),
        )
    return table


def _left_out(title: str, ones: Sequence[NotDone]) -> Iterator[RenderableType]:
    if not ones:
        return
    yield Text(f"  {title}", style="bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=9)
    for one in sorted(ones, key=lambda one: -one.rows):
        table.add_row(f"{one.rows:,}", Text(one.code.value, style="yellow"), escape(one.message))
    yield Padding(table, (0, 0, 1, 0))


def _frontier(plan: Plan) -> Padding:
    table = Table(
        box=SIMPLE_HEAD, title="All rows by then, at the least for …", title_justify="left", title_style="bold"
    )
    table.add_column("done after", justify="right")
    table.add_column("US dollars", justify="right")
    table.add_column("")
    dearest = max(point.usd for point in plan.frontier)
    for point in plan.frontier:
        table.add_row(duration(point.finish_s), dollars(point.usd), _bar(point, dearest))
    return Padding(table, (0, 0, 0, 0))


def _bar(point: FrontierPoint, dearest: Decimal) -> Text:
    return Text("█" * round(_BAR * point.usd / dearest) if dearest else "", style="green")


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
