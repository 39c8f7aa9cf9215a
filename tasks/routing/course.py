"""The plan while it is carried out: what is still to be done, and a new plan when things turn out different."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config.routing import RoutingSettings
from tasks.routing.breaker import BreakerState
from tasks.routing.planner.classes import WorkClass
from tasks.routing.planner.plan import Plan
from tasks.routing.planner.planner import make_plan
from tasks.routing.policies import PolicyName, RoutingPolicy
from tasks.routing.views import Parked, ProviderView
from tasks.routing.work import Work

EVERY_SO_OFTEN: Final = "every so often"
_GONE: Final = "down for longer than the run's patience"
LEAST_PAUSE_S: Final = 1.0  # between two plans, however much happens


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a plan was based on, of one provider."""

    standing: str  # up, down, or gone: down for longer than the run's patience
    has_credits: bool


class Course:
    """One process's plan in progress. Not thread-safe; makes no plan by itself: ask `policy` whenever a row is routed."""

    def __init__(
        self,
        classes: Sequence[WorkClass],
        *,
        policy: PolicyName,
        settings: RoutingSettings,
        deadline: float | None = None,
    ) -> None:
        """`classes`: what this process has to do. `deadline`: every row done by then, seconds since the epoch."""
        self._left: Counter[Work] = Counter()
        for one in classes:
            self._left[one.work.kind] += one.rows
        self._name = policy
        self._settings = settings
        self._deadline = deadline
        self._started: float | None = None
        self._planned_at: float | None = None
        self._seen: dict[str, _Seen] = {}
        self._policy = RoutingPolicy(name=policy, patience_s=settings.patience_s, lookahead_s=settings.lookahead_s)
        self.plan: Plan | None = None
        self.first: Plan | None = None  # what was expected before anything was sent
        self.replans: list[tuple[float, str]] = []  # (seconds since the epoch, why), for the table of decisions

    def policy(self, views: Sequence[ProviderView], *, now: float, budget_left: Decimal | None = None) -> RoutingPolicy:
        """The policy to route by now; plans anew when that is due."""
        why = self.due(views, now=now)
        if why is not None:
            self._plan(views, now=now, budget_left=budget_left, why=why)
        return self._policy

    def taken(self, work: Work, provider: str) -> None:
        """A row was routed there."""
        if self._policy.shares is not None:
            self._policy.shares.take(work, provider)
        self._left[work.kind] -= 1

    def returned(self, work: Work, provider: str) -> None:
        """It came back undone, to be routed anew."""
        if self._policy.shares is not None:
            self._policy.shares.give_back(work, provider)
        self._left[work.kind] += 1

    def due(self, views: Sequence[ProviderView], *, now: float) -> str | None:
        """Why a new plan is due now; None: it is not."""
        if self._planned_at is None:
            return "first plan"
        since_s = now - self._planned_at
        if since_s < LEAST_PAUSE_S:
            return None
        for view in views:
            seen = self._seen.get(view.key)
            why = "new" if seen is None else _turned(seen, self._look(view, now))
            if why is not None:
                return f"{view.key}: {why}"
        return EVERY_SO_OFTEN if since_s >= self._settings.replan_every_s else None

    def _plan(self, views: Sequence[ProviderView], *, now: float, budget_left: Decimal | None, why: str) -> None:
        if self._started is None:
            self._started = now
        reserve_s = self._settings.deadline_reserve * ((self._deadline or now) - self._started)
        plan = self._made(views, now, budget_left, reserve_s)
        if plan.conflict is not None and reserve_s > 0:
            plan = self._made(views, now, budget_left, 0.0)
        self.plan = plan
        self.first = self.first or plan
        self._policy = replace(self._policy, shares=plan.shares())
        self._planned_at = now
        self._seen = {view.key: self._look(view, now) for view in views}
        if why != EVERY_SO_OFTEN:
            self.replans.append((now, why))

    def _made(self, views: Sequence[ProviderView], now: float, budget_left: Decimal | None, reserve_s: float) -> Plan:
        return make_plan(
            [WorkClass(work=kind, rows=rows) for kind, rows in self._left.items() if rows > 0],
            [_without(view) if self._is_gone(view, now) else view for view in views],
            now=now,
            policy=self._name,
            deadline_s=None if self._deadline is None else max(0.0, self._deadline - reserve_s - now),
            budget_usd=budget_left,
            frontier_points=0,
        )

    def _look(self, view: ProviderView, now: float) -> _Seen:
        parked = view.parked is not None and (view.parked.until is None or view.parked.until > now)
        down = parked or view.breaker is not BreakerState.CLOSED
        return _Seen(
            standing=_GONE if self._is_gone(view, now) else "down or parked" if down else "back",
            has_credits=all(left is None or left > 0 for left in (view.credits_left, view.usd_left)),
        )

    def _is_gone(self, view: ProviderView, now: float) -> bool:
        return view.down_since is not None and now - view.down_since > self._settings.patience_s


def _without(view: ProviderView) -> ProviderView:
    """For a plan that does not count on it."""
    return replace(view, parked=Parked(code=ErrorCode.PROVIDER_UNAVAILABLE, message=_GONE))


def _turned(seen: _Seen, now: _Seen) -> str | None:
    """What changed for good or ill at once: worth a plan without waiting."""
    if seen.standing != now.standing:
        return now.standing
    if seen.has_credits != now.has_credits:
        return "credits came" if now.has_credits else "out of credits"
    return None
