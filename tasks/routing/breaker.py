"""A circuit breaker: a provider that is down is asked by probes alone. A state machine; the clock is passed in.

CLOSED ── failures in a row, or too large a share of them ──▶ OPEN ── after the pause ──▶ HALF_OPEN (one probe)
   ▲                                                           ▲                             │
   └────────────────────── the probe succeeded ────────────────┼─────────────────────────────┤
                                                               └── it failed: twice the pause ┘

CLOSED has a cautious side: after a silence one request goes ahead, and the others follow when it was answered. A burst
into a provider that died meanwhile, an empty account or a wrong key costs one request instead of a minute's tickets; and
where time-outs leave rows in doubt, one row. It costs no throughput: each ticket comes back a period after its own use.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from tasks.config.routing import BreakerSettings


class BreakerState(StrEnum):
    """How a provider stands."""

    CLOSED = "closed"  # healthy
    OPEN = "open"  # down: nothing is sent
    HALF_OPEN = "half-open"  # a probe may go, or is under way


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """The answer to "may I send one request now?", to be handed back with what became of it."""

    allowed: bool
    probe: bool = False  # its breaker is open: this request alone decides whether it closes
    most: int | None = (
        None  # requests that may leave on this admission: None any, 1 a single row, 0 wait for its answer
    )
    retry_at: float | None = None  # when refused: ask again then, seconds on the breaker's clock
    generation: int = 0


class Breaker:
    """One provider's breaker. Not thread-safe: it belongs to one event loop.

    Results of requests that were let through before the last change of state are ignored: when a provider dies with 50
    requests in flight, the 50 failures are one event; and a slow time-out from before must not reopen what has healed.
    """

    def __init__(self, settings: BreakerSettings, *, cautious: bool = True) -> None:
        """`cautious`: one request ahead after a silence; not for an engine in this process."""
        self._settings = settings
        self._cautious = cautious
        self._recent: deque[bool] = deque(maxlen=settings.sample)  # True: failed
        self._in_a_row = 0
        self._generation = 0
        self._opened_at: float | None = None
        self._pause_s = settings.open_s
        self._probe_since: float | None = None
        self._heard_at: float | None = None  # the last good answer
        self._scout_since: float | None = None  # the request that went ahead
        self.down_since: float | None = None  # None: closed; probes that fail do not move it
        self.trips = 0  # times that it opened, for the report

    def state(self, now: float) -> BreakerState:
        """How the provider stands at `now`."""
        self._expire_probe(now)
        if self._opened_at is None:
            return BreakerState.CLOSED
        waiting = self._probe_since is None and now < self._opened_at + self._pause_s
        return BreakerState.OPEN if waiting else BreakerState.HALF_OPEN

    def retry_at(self, now: float) -> float | None:
        """When to ask again; None: now."""
        self._expire_probe(now)
        if self._opened_at is None:
            return None
        if self._probe_since is not None:
            return self._probe_since + self._settings.probe_timeout_s
        at = self._opened_at + self._pause_s
        return at if now < at else None

    def admit(self, now: float) -> Admission:
        """Ask right before a request is sent. A probe's place is taken by this call."""
        retry_at = self.retry_at(now)
        if retry_at is not None:
            return Admission(allowed=False, retry_at=retry_at, generation=self._generation)
        if self._opened_at is not None:
            self._probe_since = now
            return Admission(allowed=True, probe=True, most=1, generation=self._generation)
        return Admission(allowed=True, most=self._most(now), generation=self._generation)

    def still_admits(self, admission: Admission) -> bool:
        """Whether a request that waited since for its ticket may leave: not when the provider went down meanwhile."""
        return admission.allowed and admission.generation == self._generation

    def succeeded(self, admission: Admission, now: float) -> None:
        """The provider answered sensibly (Verdict.ALIVE, or a result)."""
        self._expire_probe(now)
        if admission.generation != self._generation:
            return
        if admission.probe:
            self._close()
        self._heard_at, self._scout_since = now, None
        self._note(failed=False)

    def failed(self, admission: Admission, now: float) -> None:
        """The provider failed (Verdict.FAILED)."""
        self._expire_probe(now)
        if admission.generation != self._generation:
            return
        if admission.probe:
            self._reopen(now)
            return
        self._scout_since = None
        self._note(failed=True)
        if self._should_open(now):
            self._open(now)

    def abandoned(self, admission: Admission) -> None:
        """The request never left, or says nothing about health: a probe's place is free again."""
        if admission.generation != self._generation or admission.most != 1:
            return
        if admission.probe:
            self._probe_since = None
        else:
            self._scout_since = None

    def _most(self, now: float) -> int | None:
        if not self._is_quiet(now):
            return None
        if self._scout_since is None:
            self._scout_since = now
            return 1
        away_s = now - self._scout_since
        if self._heard_at is None:  # a first answer may take long, and nothing speaks against the provider
            return None if away_s >= self._settings.head_start_s else 0
        if away_s < self._settings.probe_timeout_s:
            return 0
        self._scout_since = now
        return 1

    def _is_quiet(self, now: float) -> bool:
        return self._cautious and (self._heard_at is None or now - self._heard_at >= self._settings.trust_s)

    def _note(self, *, failed: bool) -> None:
        self._recent.append(failed)
        self._in_a_row = self._in_a_row + 1 if failed else 0

    def _should_open(self, now: float) -> bool:
        full = len(self._recent) == self._settings.sample
        share = sum(self._recent) / len(self._recent)
        enough = min(2, self._settings.failures_in_a_row) if self._is_quiet(now) else self._settings.failures_in_a_row
        return self._in_a_row >= enough or (full and share >= self._settings.failure_share)

    def _open(self, now: float) -> None:
        self._opened_at = self.down_since = now
        self._pause_s = self._settings.open_s
        self._probe_since = self._scout_since = None
        self._generation += 1
        self.trips += 1

    def _reopen(self, now: float) -> None:
        self._opened_at = now
        self._pause_s = min(2 * self._pause_s, self._settings.longest_open_s)
        self._probe_since = None
        self._generation += 1

    def _close(self) -> None:
        self._opened_at = self.down_since = None
        self._probe_since = None
        self._recent.clear()
        self._in_a_row = 0

    def _expire_probe(self, now: float) -> None:
        """A probe that was never heard of again counts as failed, else it would block the provider for ever."""
        since = self._probe_since
        if since is not None and now >= since + self._settings.probe_timeout_s:
            self._reopen(since + self._settings.probe_timeout_s)
