"""The simulated driver: the same `route`, `pack`, `Breaker`, `decide` and `decide_batch` as the real one, on a clock that jumps."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count
from random import Random

from tasks.config import RetrySettings, RoutingSettings
from tasks.providers.errors import ProviderError
from tasks.retry_policy import Action, Effect, Verdict, consequence, decide, decide_batch
from tasks.routing import Admission, Endpoint, NoRoute, Work, pack
from tests.tasks.routing.simulation.lane import Entry, Lane
from tests.tasks.routing.simulation.strategies import Strategy
from tests.tasks.routing.simulation.vendors import Answer, Terms, Vendor

TURNED_AWAY_S = 0.05
PATIENCE_S = 900.0  # a row that nobody takes for so long is deferred


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One request's rows. `failures`: times that they have failed together."""

    entries: Sequence[Entry]
    endpoint: Endpoint
    admission: Admission
    sent: float
    failures: int = 0
    first_sent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a run."""

    done: Counter[str]  # rows by item id: each once, or something is wrong
    failed: tuple[str, ...]
    finish_s: float
    vendors: dict[str, Vendor]
    done_at: tuple[float, ...]

    @property
    def usd(self) -> Decimal:
        """On all bills."""
        return sum((vendor.usd for vendor in self.vendors.values()), Decimal(0))


class Simulation:
    """One run."""

    def __init__(
        self,
        rows: Sequence[Work],
        terms: Sequence[Terms],
        strategy: Strategy,
        *,
        window: int = 2000,
        seed: int = 1,
        deadline: float | None = None,
        routing: RoutingSettings | None = None,
        retry: RetrySettings | None = None,
    ) -> None:
        """`window`: rows under way at once."""
        self._routing, self._retry = routing or RoutingSettings(), retry or RetrySettings()
        self._strategy = strategy
        self._deadline = deadline
        self._rng = Random(seed)
        self.lanes = {
            one.key: Lane(Vendor(terms=one, rng=Random(f"{seed}/{one.key}")), self._routing.breaker) for one in terms
        }
        self._unread = deque(rows)
        self._open = 0
        self._window = window
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._done: Counter[str] = Counter()
        self._failed: list[str] = []
        self._done_at: list[float] = []
        self.now = 0.0

    def run(self) -> Result:
        """To the end."""
        self._read()
        while self._events:
            self.now, _, act = heappop(self._events)
            act()
        return Result(
            done=self._done,
            failed=tuple(self._failed),
            finish_s=max(self._done_at, default=0.0),
            done_at=tuple(self._done_at),
            vendors={key: lane.vendor for key, lane in self.lanes.items()},
        )

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self._order), act))

    def _read(self) -> None:
        """Open rows up to the window, then let the lanes send."""
        touched = set()
        while self._unread and self._open < self._window:
            self._open += 1
            touched.add(self._route(Entry(work=self._unread.popleft())))
        for key in touched - {None}:
            self._dispatch(self.lanes[key])

    def _route(self, entry: Entry) -> str | None:
        views = [lane.view(self.now) for lane in self.lanes.values()]
        chosen = self._strategy.choose(entry.work, views, self.now, self._deadline)
        if isinstance(chosen, str):
            self._strategy.taken(entry.work, chosen)
            entry.since = self.now
            self.lanes[chosen].waiting.append(entry)
            return chosen
        self._nobody(entry, chosen)
        return None

    def _route_again(self, entry: Entry) -> None:
        key = self._route(entry)
        if key is not None:
            self._dispatch(self.lanes[key])

    def _nobody(self, entry: Entry, none: NoRoute) -> None:
        if none.busy and none.retry_at is not None:
            self._at(none.retry_at, lambda: self._route_again(entry))
            return
        if entry.began is None:
            entry.began = self.now
        if none.retry_at is None or self.now - entry.began > PATIENCE_S:
            self._end(entry, done=False)
        else:
            self._at(max(self.now + TURNED_AWAY_S, none.retry_at), lambda: self._route_again(entry))

    def _end(self, entry: Entry, *, done: bool) -> None:
        if done:
            self._done[entry.work.item_id] += 1
            self._done_at.append(self.now)
        else:
            self._failed.append(entry.work.item_id)
        self._open -= 1
        if not self._unread:  # the last remainders wait for nobody now
            for lane in self.lanes.values():
                self._at(self.now, lambda lane=lane: self._dispatch(lane))
        self._at(self.now, self._read)

    def _dispatch(self, lane: Lane) -> None:
        if not lane.waiting:
            return
        view = lane.view(self.now)
        admission = Admission(allowed=False) if view.parked else lane.breaker.admit(self.now)
        if not admission.allowed:
            self._turn_away(lane)
            return
        packing = pack(
            lane.waiting,
            view,
            now=self.now,
            more_coming=bool(self._unread),
            linger_s=self._routing.linger_s,
            most=admission.most,
        )
        for send in packing.sends:
            self._send(
                lane,
                Letter(entries=lane.take(send.item_ids), endpoint=send.endpoint, admission=admission, sent=self.now),
            )
        if not packing.sends:
            lane.breaker.abandoned(admission)
        elif admission.probe:
            self._turn_away(lane)
        if packing.wake_at is not None and lane.waiting and lane.wakes(packing.wake_at, self.now):
            self._at(max(packing.wake_at, self.now), lambda: self._dispatch(lane))

    def _turn_away(self, lane: Lane) -> None:
        turned, lane.waiting = lane.waiting, []
        for entry in turned:
            self._strategy.returned(entry.work, lane.vendor.terms.key)
            self._at(self.now + TURNED_AWAY_S, lambda entry=entry: self._route_again(entry))

    def _send(self, lane: Lane, letter: Letter) -> None:
        """When the ticket is due: the ledger keeps the limit, not `pack`."""
        due = max(lane.logs[letter.endpoint].next_start(self.now), lane.hold_until)
        if due > self.now + 1e-9:
            self._at(due, lambda: self._send(lane, letter))
            return
        letter = replace(letter, sent=self.now, first_sent=letter.first_sent or self.now)
        lane.started(letter.endpoint, len(letter.entries), self.now)
        answer = lane.vendor.call([entry.work for entry in letter.entries], letter.endpoint, self.now)
        accepts_s = lane.vendor.terms.accepts_s
        if answer.whole is None and accepts_s is not None:
            self._at(self.now + accepts_s, lambda: self._accepted(lane, letter))
        self._at(answer.at, lambda: self._answered(lane, letter, answer))

    def _accepted(self, lane: Lane, letter: Letter) -> None:
        lane.breaker.succeeded(letter.admission, self.now)
        self._dispatch(lane)

    def _answered(self, lane: Lane, letter: Letter, answer: Answer) -> None:
        verdict = Verdict.ALIVE if answer.whole is None else consequence(answer.whole).verdict
        lane.ended(
            letter.endpoint,
            rows=len(letter.entries),
            paid=sum(error is None for error in answer.rows),
            full=len(letter.entries) == lane.vendor.terms.batch_size,
            took_s=self.now - letter.sent,
            failed=verdict is Verdict.FAILED,
            now=self.now,
        )
        self._tell_breaker(lane, letter, verdict)
        if answer.whole is not None:
            self._effect(lane, answer.whole)
            self._failed_whole(lane, letter, answer.whole)
        else:
            for entry, error in zip(letter.entries, answer.rows, strict=True):
                self._after(lane, entry, error)
        self._dispatch(lane)

    def _tell_breaker(self, lane: Lane, letter: Letter, verdict: Verdict) -> None:
        if verdict is Verdict.ALIVE:
            lane.breaker.succeeded(letter.admission, self.now)
        elif verdict is Verdict.FAILED:
            lane.breaker.failed(letter.admission, self.now)
        else:
            lane.breaker.abandoned(letter.admission)

    def _effect(self, lane: Lane, error: ProviderError) -> None:
        found = consequence(error)
        if found.effect is Effect.PARK:
            lane.out_of_credits()
        elif found.effect is Effect.PAUSE:
            lane.hold_until = max(lane.hold_until, self.now + (found.pause_s or 5.0))

    def _failed_whole(self, lane: Lane, letter: Letter, error: ProviderError) -> None:
        failures = letter.failures + 1
        if len(letter.entries) == 1:
            self._after(lane, letter.entries[0], error)
            return
        decision = decide_batch(
            error,
            rows=len(letter.entries),
            attempt=failures,
            elapsed_s=self.now - letter.first_sent,
            settings=self._retry,
            rng=self._rng,
            provider_serves_others=lane.last_success > letter.first_sent,
        )
        if decision.action is Action.HALVES:
            middle = len(letter.entries) // 2
            for half in (letter.entries[:middle], letter.entries[middle:]):
                self._resend(lane, replace(letter, entries=half, failures=failures), wait_s=0.0)
        elif decision.action is Action.AGAIN:
            self._resend(lane, replace(letter, failures=failures), wait_s=decision.wait_s)
        else:
            for entry in letter.entries:
                self._leave(lane, entry)

    def _resend(self, lane: Lane, letter: Letter, *, wait_s: float) -> None:
        def again() -> None:
            admission = lane.breaker.admit(self.now)
            if not admission.allowed or lane.parked or admission.probe:
                lane.breaker.abandoned(admission)
                for entry in letter.entries:
                    self._strategy.returned(entry.work, lane.vendor.terms.key)
                    self._route_again(entry)
            else:
                self._send(lane, replace(letter, admission=admission))

        self._at(self.now + wait_s, again)

    def _after(self, lane: Lane, entry: Entry, error: ProviderError | None) -> None:
        """One row's result."""
        if error is None:
            self._end(entry, done=True)
            return
        key = lane.vendor.terms.key
        entry.attempts_at[key] = entry.attempts_at.get(key, 0) + 1
        if entry.began is None:
            entry.began = self.now
        decision = decide(
            error,
            attempt=entry.attempts_at[key],
            attempts_in_all=sum(entry.attempts_at.values()),
            elapsed_s=self.now - entry.began,
            settings=self._retry,
            rng=self._rng,
        )
        if decision.action is Action.NO:
            self._end(entry, done=False)
        elif decision.action is Action.AGAIN:
            self._strategy.returned(entry.work, key)
            self._at(self.now + decision.wait_s, lambda: self._route_again(entry))
        else:
            self._leave(lane, entry)

    def _leave(self, lane: Lane, entry: Entry) -> None:
        key = lane.vendor.terms.key
        self._strategy.returned(entry.work, key)
        if lane.parked is None:
            entry.work = replace(entry.work, excluded=entry.work.excluded | {key})
        self._at(self.now, lambda: self._route_again(entry))
