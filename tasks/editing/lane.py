"""One provider's queue in this process: rows wait here until limits, company and the provider's health let them leave."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.credits import AttemptIntent, Ledger, LedgerUnavailable
from tasks.credits import Endpoint as Door
from tasks.editing.attempt import Attempt
from tasks.editing.collecting import Collector
from tasks.editing.errors import DeferredError, StoppedError
from tasks.editing.health import Health
from tasks.editing.sending import Clock, Entry, LaneSettings, Letter, Sender
from tasks.editing.stopping import StopSwitch
from tasks.observability.events import Event
from tasks.providers.base import EditRequest, Provider
from tasks.routing import Admission, BreakerState, ProviderView, Send, Waiting, Work, pack

log = logging.getLogger(__name__)

MAX_BATCH_BYTES: Final = 200_000_000  # of one batch request; the vendors' own bound is not published
LOOK_EVERY_S: Final = 1.0  # at the ledger, for what other processes do


class Lane:
    """Belongs to one event loop; `run` must be running."""

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        settings: LaneSettings,
        stop: StopSwitch,
        clock: Clock,
        more_coming: Callable[[], bool],
        tell: Callable[[Event], None],
    ) -> None:
        """`more_coming`: whether rows may yet join those that wait. `tell`: what people may want to know."""
        self.provider = provider
        self.settings = settings
        self.health = Health(provider.key, provider.capabilities, settings.provider, settings.routing)
        self.collector = Collector(provider, settings.provider, settings.retry, ledger, clock, self._is_down)
        self._sender = Sender(provider, ledger, settings, self.health, stop, clock, tell)
        self._ledger = ledger
        self._stop = stop
        self._clock = clock
        self._more_coming = more_coming
        self._waiting: list[Entry] = []
        self._wake = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()

    def view(self) -> ProviderView:
        """As routing sees the provider now."""
        return self.health.view(self._clock(), waiting=len(self._waiting))

    def _is_down(self) -> bool:
        return self.health.breaker.state(self._clock()) is not BreakerState.CLOSED

    def nudge(self) -> None:
        """Something changed that `more_coming` tells: look again."""
        self._wake.set()

    @asynccontextmanager
    async def attempt(self, work: Work, request: EditRequest, intent: AttemptIntent) -> AsyncIterator[Attempt]:
        """Wait for the row's turn, send it, and hold the accepted attempt until the block ends.

        Raises:
            ProviderError: the request did not work out, and that is booked.
            GaveUpError: it did not, together with others; ask elsewhere.
            Refusal: the ledger did not let it go; nothing was sent.
            DeferredError: the provider is off, parked or down; nothing was sent.
            StoppedError: the run stopped before it was sent.
        """
        entry = Entry(work=work, request=request, intent=intent, since=self._clock())
        self._waiting.append(entry)
        self._wake.set()
        attempt = await self._answer_to(entry)
        try:
            yield attempt
        finally:
            attempt.done.set()

    async def _answer_to(self, entry: Entry) -> Attempt:
        try:
            return await self._stop.unless_stopped(asyncio.shield(entry.answer))
        except StoppedError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                raise
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiting.remove(entry)
            entry.answer.cancel()
            raise
        return await entry.answer  # it had left: what was sent is settled

    async def run(self) -> None:
        """Send what waits until cancelled."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            while True:
                self._wake.clear()
                wake_at = self._dispatch()
                wait_s = LOOK_EVERY_S if wake_at is None else min(LOOK_EVERY_S, wake_at - self._clock())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(0.001, wait_s))
        finally:
            looking.cancel()
            await asyncio.gather(looking, *self._sends, return_exceptions=True)

    async def look_at_ledger(self) -> None:
        """Take over what other processes have changed: balance, parking, tickets."""
        doors = (Door.SINGLE, Door.BATCH) if self.provider.capabilities.batch_size > 1 else (Door.SINGLE,)
        for door in doors:
            self.health.look(await self._ledger.outlook(self.provider.key, door))

    async def _keep_looking(self) -> None:
        while not self.provider.capabilities.local:
            try:
                await self.look_at_ledger()
            except LedgerUnavailable as error:
                log.warning("the ledger does not answer: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    def _dispatch(self) -> float | None:
        """Start the requests that may start now; say when to look again, seconds since the epoch."""
        if not self._waiting:
            return None
        now = self._clock()
        view = self.view()
        if view.parked is not None and (view.parked.until is None or view.parked.until > now):
            self._turn_away(view.parked.code, view.parked.message, view.parked.until)
            return None
        admission = self.health.breaker.admit(now)
        if not admission.allowed:
            self._turn_away(ErrorCode.PROVIDER_UNAVAILABLE, f"{view.key} is down", admission.retry_at)
            return None
        packing = pack(
            [Waiting(work=entry.work, since=entry.since) for entry in self._waiting],
            view,
            now=now,
            more_coming=self._more_coming(),
            linger_s=self.settings.routing.linger_s,
            max_batch_bytes=MAX_BATCH_BYTES,
            most=admission.most,
        )
        for send in packing.sends:
            self._start(send, admission)
        if not packing.sends:
            self.health.breaker.abandoned(admission)
        return packing.wake_at

    def _turn_away(self, code: ErrorCode, message: str, until: float | None) -> None:
        turned, self._waiting = self._waiting, []
        for entry in turned:
            entry.fail(DeferredError(code, message, until=until))

    def _start(self, send: Send, admission: Admission) -> None:
        chosen = set(send.item_ids)
        entries = [entry for entry in self._waiting if entry.work.item_id in chosen]
        self._waiting = [entry for entry in self._waiting if entry.work.item_id not in chosen]
        letter = Letter(entries=entries, endpoint=send.endpoint, admission=admission, since=self._clock())
        task = asyncio.create_task(self._sender.send(letter))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)
        task.add_done_callback(lambda _: self._wake.set())
