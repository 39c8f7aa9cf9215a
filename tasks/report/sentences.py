"""A run in one line, for the terminal and for Prefect's state."""

from manifests.outcomes import State
from manifests.summary import RunSummary
from tasks.report.wording import count, duration, money


def headline(summary: RunSummary) -> str:
    """The name of the flow run's final state."""
    return {0: "Completed", 4: "StoppedByBudgetOrCredits"}.get(summary.exit_code, "CompletedWithFailures")


def sentence(summary: RunSummary) -> str:
    """`Run demo: 58 rows, 57 succeeded (1 reused), 1 rejected; $0.00 in 14 s.` and the like."""
    states = [f"{count(rows)} {state.replace('_', ' ')}" for state, rows in _in_order(summary)]
    if summary.reused:
        states[0] += f" ({count(summary.reused)} reused)"
    took = duration(summary.duration_s)
    return f"Run {summary.run_id}: {count(summary.rows)} rows, {', '.join(states)}; {money(summary.totals.cost_usd)} in {took}."


def _in_order(summary: RunSummary) -> list[tuple[State, int]]:
    return [(state, summary.by_state[state]) for state in State if summary.by_state.get(state)]
