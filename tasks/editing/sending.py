"""One request and what follows from its answer: the only place where money meets the wire."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config import ProviderSettings
from tasks.config.routing import RetrySettings, RoutingSettings
from tasks.credits import AttemptIntent, Ledger, Refusal, Reservation, Spend
from tasks.credits import Endpoint as Door
from tasks.editing.attempt import Account, Attempt
from tasks.editing.errors import DeferredError, GaveUpError, StoppedError
from tasks.editing.health import Health
from tasks.editing.stopping import StopSwitch
from tasks.observability.events import Event, provider_parked
from tasks.observability.metrics import METRICS
from tasks.providers.base import EditRequest, Provider, Submission
from tasks.providers.errors import InDoubtError, ProviderError, TransientError
from tasks.retry_policy import Action, Effect, Verdict, consequence, decide_batch
from tasks.routing import Admission, Endpoint, Work

log = logging.getLogger(__name__)

LOOK_UP_AFTER_S: Final = (1.0, 4.0)  # a request that was just cut off may not be listed yet

Clock = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSettings:
    """What sending to one provider goes by."""

    run_id: str
    provider: ProviderSettings
    routing: RoutingSettings
    retry: RetrySettings


@dataclass(eq=False, kw_only=True, slots=True)
class Entry:
    """One row that waits to be sent, or was."""

    work: Work
    request: EditRequest
    intent: AttemptIntent
    since: float  # seconds since the epoch
    answer: "asyncio.Future[Attempt]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        """Tell the row's pipeline; it may have gone already."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # marks it as seen: a pipeline that was stopped does not come back for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """Rows that leave as one request. `failures`: times that these rows have failed together."""

    entries: Sequence[Entry]
    endpoint: Endpoint
    admission: Admission
    failures: int = 0
    since: float = 0.0  # of the first try, seconds since the epoch


class Sender:
    """Sends letters for one lane. Belongs to one event loop."""

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        settings: LaneSettings,
        health: Health,
        stop: StopSwitch,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._provider = provider
        self._ledger = ledger
        self._settings = settings
        self._health = health
        self._stop = stop
        self._clock = clock
        self._tell_people = tell
        self._random = Random()  # noqa: S311 - spreads waits, guards nothing

    async def send(self, letter: Letter) -> None:
        """Reserve, send, tell each row. Never raises: what went wrong reaches the rows."""
        try:
            await self._reserve_and_send(letter)
        except Refusal as refusal:
            self._health.breaker.abandoned(letter.admission)
            await self._refused(letter, refusal)
        except ProviderError as error:
            await self._failed_whole(letter, error)
        except (StoppedError, DeferredError) as unsent:
            self._health.breaker.abandoned(letter.admission)
            _tell(letter.entries, unsent)
        except Exception as error:
            log.exception("%s: a request ended unexpectedly", self._provider.key)
            _tell(letter.entries, error)

    async def _reserve_and_send(self, letter: Letter) -> None:
        if self._provider.capabilities.local:
            await self._request(letter, None)
            return
        spend = Spend(
            run_id=self._settings.run_id,
            provider=self._provider.key,
            endpoint=Door(letter.endpoint.value),
            attempts=tuple(entry.intent for entry in letter.entries),
        )
        async with AsyncExitStack() as stack:
            door = stack.enter_async_context(self._ledger.reserve(spend))
            reservation = await self._stop.unless_stopped(door)
            if not self._health.breaker.still_admits(letter.admission):
                raise DeferredError(ErrorCode.PROVIDER_UNAVAILABLE, f"{self._provider.key} went down meanwhile")
            await self._request(letter, reservation)

    async def _request(self, letter: Letter, reservation: Reservation | None) -> None:
        started = self._clock()
        self._health.started(letter.endpoint, started)
        accounts = [self._account(entry, reservation) for entry in letter.entries]
        try:
            answers = await self._submit(letter, reservation)
        except InDoubtError as error:
            answers = await self._look_up(letter, accounts, error, started)
        except ProviderError as error:
            self._heard(letter, started, error)
            for account in accounts:
                await account.book_failure(error)
            await self._effect(error)
            raise
        else:
            self._heard(letter, started, None)
        ended = list(zip(letter.entries, accounts, answers, strict=True))
        taken = [(entry, account, answer) for entry, account, answer in ended if isinstance(answer, Submission)]
        if reservation is not None and taken:
            await reservation.accepted_all({account.key: _ids(answer) for _, account, answer in taken})
        attempts = [self._accepted(letter, *one) for one in taken]
        for entry, account, failure in ended:
            if isinstance(failure, ProviderError):
                await account.book_failure(failure)
                await self._effect(failure)
                entry.fail(failure)
        for attempt in attempts:
            await attempt.done.wait()

    async def _look_up(
        self, letter: Letter, accounts: Sequence[Account], error: InDoubtError, started: float
    ) -> list[Submission | ProviderError]:
        """The answer was lost: ask the provider what became of each request, where it can be asked."""
        self._heard(letter, started, error)
        return [await self._found(account, error) for account in accounts]

    async def _found(self, account: Account, error: InDoubtError) -> Submission | ProviderError:
        if not self._provider.capabilities.findable:
            return error
        answer: ProviderError = error
        for wait_s in LOOK_UP_AFTER_S:
            await asyncio.sleep(wait_s)
            try:
                found = await self._provider.find(account.key)
            except ProviderError as failed:
                log.warning("%s: the look-up of a lost request failed: %s", self._provider.key, failed.message)
                continue
            if found is not None:
                return found
            answer = TransientError(f"{error.message}; it was never taken")  # goes again under the same key
        return answer

    async def _submit(self, letter: Letter, reservation: Reservation | None) -> Sequence[Submission | ProviderError]:
        async def on_sent() -> None:
            if reservation is not None:
                await reservation.sent()

        if letter.endpoint is Endpoint.BATCH:
            return await self._provider.submit_batch([entry.request for entry in letter.entries], on_sent=on_sent)
        return [await self._provider.submit(letter.entries[0].request, on_sent=on_sent)]

    def _accepted(self, letter: Letter, entry: Entry, account: Account, submission: Submission) -> Attempt:
        alone = len(letter.entries) == 1
        attempt = Attempt(account=account, provider=self._provider, submission=submission, alone=alone)
        if entry.answer.done():  # the row's pipeline is gone: the accepted job stays open for a later run
            attempt.done.set()
        else:
            entry.answer.set_result(attempt)
        return attempt

    def _account(self, entry: Entry, reservation: Reservation | None) -> Account:
        return Account(
            key=entry.intent.attempt_key,
            provider=self._provider.key,
            settings=self._settings.provider,
            operation=entry.work.operation,
            reservation=reservation,
        )

    def _heard(self, letter: Letter, started: float, error: ProviderError | None) -> None:
        """Tell health and breaker what the answer says about the provider."""
        now = self._clock()
        verdict = Verdict.ALIVE if error is None else consequence(error).verdict
        self._health.ended(letter.endpoint, took_s=now - started, failed=verdict is Verdict.FAILED, now=now)
        result = "succeeded" if error is None else str(error.code)
        METRICS.attempt(self._provider.key, result, endpoint=letter.endpoint, seconds=now - started)
        breaker = self._health.breaker
        if verdict is Verdict.ALIVE:
            breaker.succeeded(letter.admission, now)
        elif verdict is Verdict.FAILED:
            breaker.failed(letter.admission, now)
        else:
            breaker.abandoned(letter.admission)

    async def _effect(self, error: ProviderError) -> None:
        """What the error means for everybody who uses this provider."""
        found = consequence(error)
        if found.effect is Effect.PAUSE:
            await self._ledger.rate_limited(self._provider.key, found.pause_s)
        elif found.effect is Effect.PARK and self._health.parked is None:
            self._off(ErrorCode.OUT_OF_CREDITS, error.message)
            await self._ledger.park(self._provider.key, error.message)
        elif found.effect is Effect.OFF and self._health.parked is None:
            log.error("%s is left out of this run: %s", self._provider.key, error.message)
            self._off(error.code, error.message)

    def _off(self, code: ErrorCode, reason: str) -> None:
        self._health.off(code, reason)
        METRICS.parked(self._provider.key, parked=True)
        self._tell_people(provider_parked(self._provider.key, reason=reason, run_id=self._settings.run_id))

    async def _refused(self, letter: Letter, refusal: Refusal) -> None:
        """Rows that stand in the way are told; the others of the letter go on without them."""
        blocked = set(refusal.attempt_keys)
        others = [entry for entry in letter.entries if entry.intent.attempt_key not in blocked] if blocked else []
        if not blocked and 0 < refusal.affordable < len(letter.entries):
            others = list(letter.entries[: refusal.affordable])
        _tell([entry for entry in letter.entries if entry not in others], refusal)
        if others:
            await self.send(self._again(letter, others, letter.failures))

    async def _failed_whole(self, letter: Letter, error: ProviderError) -> None:
        """A single row's pipeline decides for itself; a batch goes again, in halves, or is given up here."""
        if letter.endpoint is Endpoint.SINGLE:
            _tell(letter.entries, error)
            return
        now = self._clock()
        decision = decide_batch(
            error,
            rows=len(letter.entries),
            attempt=letter.failures + 1,
            elapsed_s=now - letter.since,
            settings=self._settings.retry,
            rng=self._random,
            provider_serves_others=self._health.last_success > letter.since,
        )
        log.warning("%s: a batch of %d failed whole: %s", self._provider.key, len(letter.entries), decision.reason)
        if decision.action is Action.HALVES:
            middle = len(letter.entries) // 2
            halves = (letter.entries[:middle], letter.entries[middle:])
            await asyncio.gather(*(self.send(self._again(letter, half, letter.failures + 1)) for half in halves))
        elif decision.action is Action.AGAIN:
            await self._wait_and_send(self._again(letter, letter.entries, letter.failures + 1), decision.wait_s)
        else:
            _tell(letter.entries, GaveUpError(error) if decision.action is Action.ELSEWHERE else error)

    async def _wait_and_send(self, letter: Letter, wait_s: float) -> None:
        try:
            await self._stop.unless_stopped(asyncio.sleep(wait_s))
        except StoppedError as stopped:
            _tell(letter.entries, stopped)
            return
        await self.send(letter)

    def _again(self, letter: Letter, entries: Sequence[Entry], failures: int) -> Letter:
        now = self._clock()
        admission = self._health.breaker.admit(now)
        alone = len(entries) == 1
        endpoint = Endpoint.SINGLE if alone else letter.endpoint
        return Letter(entries=entries, endpoint=endpoint, admission=admission, failures=failures, since=letter.since)


def _ids(submission: Submission) -> tuple[str | None, str | None]:
    return submission.remote_id, submission.result.request_id if submission.result else None


def _tell(entries: Sequence[Entry], error: Exception) -> None:
    for entry in entries:
        entry.fail(error)
