"""Which provider takes this row now, or the reason why none may. A pure decision: nothing is sent, reserved or waited for."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from manifests.error_codes import ErrorCode
from tasks.routing.fit import misfit
from tasks.routing.obstacles import Obstacle, obstacle
from tasks.routing.policies import PolicyName, RoutingPolicy, rank
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """This provider, and by which endpoint the plan counts on it; `pack` has the last word on the endpoint."""

    provider: str
    endpoint: Endpoint
    usd: Decimal
    credits: Decimal
    start_in_s: float  # expected, behind the rows that wait there already
    reason: str  # for the table of routing decisions


@dataclass(frozen=True, kw_only=True, slots=True)
class NoRoute:
    """Nobody takes it now. `retry_at` None: no waiting in this run will help."""

    reason: ErrorCode
    message: str  # for people: what stands in the way at each provider
    retry_at: float | None = None  # seconds since the epoch
    busy: bool = False  # nothing is wrong: its provider has enough waiting already; ask again at `retry_at`
    tried_all: bool = False  # every provider that could was tried: the row's own last error is its outcome


def route(
    work: Work,
    views: Sequence[ProviderView],
    policy: RoutingPolicy,
    *,
    now: float,
    budget_left: Decimal | None = None,
    deadline: float | None = None,
) -> Route | NoRoute:
    """Who takes this row.

    Args:
        work: the row; `excluded` names the providers that it was given up at.
        views: the run's providers in the user's order of preference, as they stand now.
        policy: how to choose among those that can.
        now: seconds since the epoch.
        budget_left: of the run, US dollars, reservations taken off; None: no ceiling.
        deadline: when new work must not be started any more, seconds since the epoch; None: none.
    """
    fitting, misfits = _fitting(work, views)
    if not fitting:
        return _nobody_can(work, views, misfits)
    if deadline is not None and now >= deadline:
        return NoRoute(reason=ErrorCode.DEADLINE_REACHED, message="the run's deadline has passed")
    untried = [view for view in fitting if view.key not in work.excluded]
    if not untried:
        names = ", ".join(view.key for view in fitting)
        return NoRoute(
            reason=ErrorCode.PROVIDER_ERROR, message=f"tried at every provider that takes it: {names}", tried_all=True
        )
    found = [obstacle(work, view, now=now, budget_left=budget_left, deadline=deadline) for view in untried]
    obstacles = [one for one in found if one is not None]
    ready = [view for view, one in zip(untried, found, strict=True) if one is None]
    if not ready:
        return _nobody_now(obstacles)
    if len(untried) == 1:  # there is nothing to decide later: it may as well wait in that provider's queue
        return _route_to(ready[0], work, policy, reason="probe" if ready[0].probe_due else None)
    return _choose(work, ready, obstacles, policy, now)


def _choose(
    work: Work, ready: Sequence[ProviderView], obstacles: Sequence[Obstacle], policy: RoutingPolicy, now: float
) -> Route | NoRoute:
    """One row to see whether a provider is back; else a short wait where the plan is worth it; else the policy's first."""
    due = next((view for view in ready if view.probe_due), None)
    if due is not None:
        return _route_to(due, work, policy, reason="probe")
    worth_waiting = _worth_waiting(work, ready, obstacles, policy, now)
    if worth_waiting:
        return _nobody_now(worth_waiting)
    first = rank(work, ready, policy)[0]
    if policy.lookahead_s is not None and (start_in_s := first.start_in_s(work)) > policy.lookahead_s:
        at = now + start_in_s - policy.lookahead_s / 2
        message = f"{first.key}: enough rows wait there already"
        return NoRoute(reason=ErrorCode.PROVIDER_UNAVAILABLE, message=message, retry_at=at, busy=True)
    return _route_to(first, work, policy)


def _fitting(work: Work, views: Sequence[ProviderView]) -> tuple[list[ProviderView], list[Obstacle]]:
    fitting, misfits = [], []
    for view in views:
        why = misfit(work, view)
        if why is None:
            fitting.append(view)
        else:
            misfits.append(Obstacle(provider=view.key, code=why.code, message=why.message))
    return fitting, misfits


def _nobody_can(work: Work, views: Sequence[ProviderView], misfits: Sequence[Obstacle]) -> NoRoute:
    if not views:
        return NoRoute(reason=ErrorCode.NO_PROVIDER, message="no provider is switched on")
    if work.pinned is not None and all(view.key != work.pinned for view in views):
        known = ", ".join(view.key for view in views)
        message = f"the row asks for provider '{work.pinned}', which this run does not use ({known})"
        return NoRoute(reason=ErrorCode.NO_PROVIDER, message=message)
    telling = [one for one in misfits if work.pinned in (None, one.provider)]
    sizes = {one.code for one in telling} - {ErrorCode.NO_PROVIDER}
    return NoRoute(reason=min(sizes, default=ErrorCode.NO_PROVIDER), message=_say(telling))


_FIRST_TOLD = (
    ErrorCode.PROVIDER_UNAVAILABLE,
    ErrorCode.BUDGET_REACHED,
    ErrorCode.DEADLINE_REACHED,
    ErrorCode.OUT_OF_CREDITS,
)
"""Where several things stand in the way, the one named in the results: the one that is mended first."""


def _nobody_now(obstacles: Sequence[Obstacle]) -> NoRoute:
    passing = [one for one in obstacles if one.retry_at is not None]
    if passing:
        first = min(passing, key=lambda one: one.retry_at or 0.0)
        return NoRoute(reason=first.code, message=_say(obstacles), retry_at=first.retry_at)
    codes = [one.code for one in obstacles]
    told = next((code for code in _FIRST_TOLD if code in codes), codes[0])
    return NoRoute(reason=told, message=_say(obstacles))


def _worth_waiting(
    work: Work, ready: Sequence[ProviderView], obstacles: Sequence[Obstacle], policy: RoutingPolicy, now: float
) -> list[Obstacle]:
    """What passes by itself at providers that the plan counts on, when those that are ready have had their part."""
    if policy.name is PolicyName.FASTEST or any(policy.counts_on(work, view.key) for view in ready):
        return []
    return [
        one
        for one in obstacles
        if one.retry_at is not None
        and policy.counts_on(work, one.provider)
        and one.retry_at - (now if one.since is None else one.since) <= policy.patience_s
    ]


def _say(obstacles: Sequence[Obstacle]) -> str:
    return "; ".join(f"{one.provider}: {one.message}" for one in obstacles)


def _route_to(view: ProviderView, work: Work, policy: RoutingPolicy, reason: str | None = None) -> Route:
    price = view.price(work.operation)
    grouped = view.batch_group(work) is not None
    return Route(
        provider=view.key,
        endpoint=Endpoint.BATCH if grouped else Endpoint.SINGLE,
        usd=price.usd,
        credits=price.credits,
        start_in_s=view.start_in_s(work),
        reason=reason or ("pinned" if work.pinned else policy.reason(work, view)),
    )
