"""Waiting at the door: first come, first served inside the process, and one question to the books for all who wait."""

import asyncio
import itertools
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tasks.credits.admission import Admit, Answers, Grant, Request, past_deadline
from tasks.credits.books import Books, Needs
from tasks.credits.clock import Clock
from tasks.credits.errors import LedgerError, LedgerUnavailable
from tasks.credits.facts import AttemptState
from tasks.credits.transitions import release
from tasks.credits.writer import Writer

MOST_ASKED: Final = 200  # requests in one question
logger = logging.getLogger(__name__)
FEW_ASKED: Final = 8  # while the first ones must wait, asking for many is idle work


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Undo a grant of which nobody made use, or a claim that nobody waits for."""

    provider: str
    claim_id: str | None = None
    request: Request | None = None

    def needs(self, needs: Needs) -> None:
        """The attempts of the grant."""
        needs.providers.add(self.provider)
        if self.request is not None:
            needs.runs.add(self.request.spend.run_id)
            needs.attempts.update(intent.attempt_key for intent in self.request.spend.attempts)

    def apply(self, books: Books) -> None:
        """Never sent, so the start is free again."""
        if self.claim_id is not None:
            books.tickets.drop(self.provider, self.claim_id)
        if self.request is None:
            return
        books.tickets.drop(self.provider, self.request.reservation_id)
        for intent in () if self.request.replay else self.request.spend.attempts:
            attempt = books.attempt(intent.attempt_key)
            if attempt is not None and attempt.state == AttemptState.RESERVED:
                release(books, attempt, books.now, "nobody waited for it any more")


@dataclass(eq=False, slots=True)
class _Waiter:
    request: Request
    answer: asyncio.Future[Grant]


class Lane:
    """The queue of this process at one endpoint of one provider."""

    def __init__(self, writer: Writer, clock: Clock, provider: str, endpoint: str) -> None:
        """Nothing runs until somebody waits."""
        self._writer, self._clock = writer, clock
        self._provider, self._endpoint = provider, endpoint
        self._waiters: deque[_Waiter] = deque()
        self._wake = asyncio.Event()
        self._for_slot = False
        self._rests_until: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait here."""
        return sum(not waiter.answer.done() for waiter in self._waiters)

    def slot_freed(self) -> None:
        """A request of this process ended: look again, if a slot is what the first one waits for."""
        if self._for_slot:
            self._wake.set()

    def changed(self) -> None:
        """The account was parked, blocked or topped up: look again."""
        self._wake.set()

    async def enter(self, request: Request) -> Grant:
        """Wait for a permit. Raises a Refusal; when cancelled, everything is given back."""
        waiter = _Waiter(request, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        if self._rests_until is None or len(self._waiters) <= FEW_ASKED:
            self._wake.set()
        else:
            self._expire(self._rests_until)
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name=f"ledger queue {self._provider}/{self._endpoint}")
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter.answer.done() and not waiter.answer.cancelled() and waiter.answer.exception() is None:
            self._give_back(waiter)  # the grant crossed the cancellation
        waiter.answer.cancel()
        self._wake.set()

    def _give_back(self, waiter: _Waiter) -> None:
        """Nobody is there to take the grant. A ledger that was closed meanwhile leaves it to be recovered."""
        with suppress(LedgerUnavailable):
            self._writer.submit(GiveBack(self._provider, request=waiter.request)).add_done_callback(_note_failure)

    async def _serve(self) -> None:
        """Ask, hand out the answers, rest until the next start is due or something changed."""
        claimed, most = False, MOST_ASKED
        while self._drop_withdrawn() or claimed:
            self._wake.clear()
            asked = list(itertools.islice(self._waiters, most))
            if not asked:
                await self._quietly(GiveBack(self._provider, claim_id=self._claim_id))
                claimed = False
                continue
            try:
                answers = await self._ask(asked)
            except Exception as error:  # noqa: BLE001 - those who asked must hear of it
                self._refuse(asked, error)
                continue
            self._hand_out(asked, answers)
            self._for_slot = answers.for_slot
            claimed = answers.next_look_at is not None
            most = FEW_ASKED if claimed else min(2 * most, MOST_ASKED)
            if answers.next_look_at is not None:
                self._expire(answers.next_look_at)
                await self._rest(answers.next_look_at)
        self._task = None

    def _expire(self, next_look_at: float) -> None:
        """Whoever's deadline lies before the next start will not get one."""
        for waiter in self._waiters:
            deadline = waiter.request.deadline
            if deadline is not None and deadline < next_look_at and not waiter.answer.done():
                waiter.answer.set_exception(past_deadline(self._provider, next_look_at))

    @property
    def _claim_id(self) -> str:
        return f"{self._writer.owner.name}/{self._provider}/{self._endpoint}"

    async def _ask(self, asked: list[_Waiter]) -> Answers:
        requests = [waiter.request for waiter in asked]
        answers: Answers = await self._writer.submit(
            Admit(self._provider, self._endpoint, requests, claim_id=self._claim_id)
        )
        return answers

    async def _quietly(self, operation: Any) -> None:
        try:
            await self._writer.submit(operation)
        except LedgerError:
            return  # a claim that stays behind is ignored two seconds after its time

    def _drop_withdrawn(self) -> bool:
        """Forget the cancelled ones; whether anybody is left."""
        if any(waiter.answer.done() for waiter in self._waiters):
            self._waiters = deque(waiter for waiter in self._waiters if not waiter.answer.done())
        return bool(self._waiters)

    def _hand_out(self, asked: list[_Waiter], answers: Answers) -> None:
        for waiter, answer in zip(asked, answers.answers, strict=True):
            if answer is None:
                continue
            if waiter.answer.done():
                if isinstance(answer, Grant):
                    self._give_back(waiter)
            elif isinstance(answer, Grant):
                waiter.answer.set_result(answer)
            else:
                waiter.answer.set_exception(answer)

    @staticmethod
    def _refuse(asked: list[_Waiter], error: Exception) -> None:
        for waiter in asked:
            if not waiter.answer.done():
                waiter.answer.set_exception(error)

    async def _rest(self, until: float) -> None:
        """Until then, or until something changes."""
        self._rests_until = until
        sleeping = asyncio.ensure_future(self._clock.sleep(max(until - self._writer.now(), 0)))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._rests_until = None
            sleeping.cancel()
            waking.cancel()


def _note_failure(writing: "asyncio.Future[Any]") -> None:
    if not writing.cancelled() and (error := writing.exception()) is not None:
        logger.warning("ledger: a grant was not given back: %s", error)
