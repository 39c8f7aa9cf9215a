"""The only door to spending, as a context manager: what was reserved inside it is booked when it closes, whatever happened."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from tasks.credits import transitions
from tasks.credits.admission import Request
from tasks.credits.books import Books
from tasks.credits.content import check_delivery, deliver
from tasks.credits.errors import LedgerMisuse
from tasks.credits.facts import AttemptState, Charge, Delivery, Spend
from tasks.credits.lanes import Lane
from tasks.credits.money import to_nano
from tasks.credits.operations import Change, ChangeAttempts, Stamp
from tasks.credits.records import Attempt
from tasks.credits.redaction import note as cleaned
from tasks.credits.writer import Writer

logger = logging.getLogger(__name__)
_OPEN = (AttemptState.RESERVED, AttemptState.SENT, AttemptState.ACCEPTED)


@dataclass(slots=True)
class Ticketing:
    """The start of one request: its ticket, while it waits for its stamp, and whether the request left."""

    ticket_id: str | None  # None: the endpoint has no rate limit, or the stamp is made
    left: bool = False

    def take(self) -> str | None:
        """The ticket, to be stamped or given back once."""
        ticket_id, self.ticket_id = self.ticket_id, None
        return ticket_id


class Reservation:
    """Granted attempts of one request. From here on the request may leave; every attempt must be booked.

    When the context closes, attempts that were never sent are released, those sent without an answer become in doubt, and
    accepted ones stay open for `Ledger.recover`, to be polled.
    """

    def __init__(
        self, writer: Writer, lane: Lane, spend: Spend, states: Mapping[str, AttemptState], ticket: Ticketing
    ) -> None:
        """Made by `Ledger.reserve` and `Ledger.resume`; `states` by attempt key."""
        self._writer, self._lane, self._spend = writer, lane, spend
        self._states = dict(states)
        self._ticket = ticket

    @property
    def open_keys(self) -> list[str]:
        """The attempts that are not booked yet."""
        return [key for key, state in self._states.items() if state in _OPEN]

    async def permit(self, *, megapixels: float = 0.0, deadline: datetime | None = None) -> None:
        """Wait for a start for sending a recovered attempt once more, under its own key. Its money is held already.

        Raises:
            Refusal: the account is parked, or there is no start before the deadline.
        """
        intents = [replace(intent, megapixels=megapixels) for intent in self._spend.attempts]
        until = None if deadline is None else deadline.timestamp()
        request = Request(spend=replace(self._spend, attempts=intents), deadline=until, replay=True)
        grant = await self._lane.enter(request)
        self._ticket = Ticketing(request.reservation_id if grant.ticketed else None)

    async def sent(self) -> None:
        """The body has left: the start counts from now. Returns at once; it is written with the next group.

        Nothing is lost if the process dies before that: a reserved attempt, too, counts as one that may have left.
        """
        self._stamp()

    def _stamp(self) -> None:
        self._ticket.left = True
        for key, state in self._states.items():
            if state is AttemptState.RESERVED:
                self._states[key] = AttemptState.SENT
        stamp = Stamp(self._spend.provider, self._ticket.take(), self.open_keys, self._writer.now())
        self._writer.submit(stamp).add_done_callback(_report)

    async def accepted(self, attempt_key: str, remote_id: str | None, request_id: str | None = None) -> None:
        """The provider took it, under this id; written before this returns."""
        await self.accepted_all({attempt_key: (remote_id, request_id)})

    async def accepted_all(self, ids: Mapping[str, tuple[str | None, str | None]]) -> None:
        """Many at once: the ids of the job and of the answer, by attempt key."""
        at = self._writer.now()

        def accepting(remote_id: str | None, request_id: str | None) -> Change:
            return lambda books, attempt: transitions.accept(books, attempt, at, remote_id, request_id)

        await self._book({key: accepting(*pair) for key, pair in ids.items()}, AttemptState.ACCEPTED)

    async def settle(
        self,
        attempt_key: str,
        credits: Decimal = Decimal(0),
        usd: Decimal = Decimal(0),
        *,
        delivery: Delivery | None = None,
    ) -> None:
        """It was charged; with `delivery`, the picture is recorded in the same transaction."""
        deliveries = [] if delivery is None else [delivery]
        await self.settle_all({attempt_key: Charge(credits=credits, usd=usd)}, deliveries=deliveries)

    async def settle_all(self, charges: Mapping[str, Charge], *, deliveries: Sequence[Delivery] = ()) -> None:
        """Many at once, in one transaction: each attempt with what was really taken."""
        at = self._writer.now()
        for delivery in deliveries:
            check_delivery(delivery)

        def settling(charge: Charge) -> Change:
            amounts = to_nano(charge.credits), to_nano(charge.usd)
            return lambda books, attempt: transitions.settle(books, attempt, at, *amounts)

        def record(books: Books) -> None:
            for delivery in deliveries:
                deliver(books, delivery)

        changes = {key: settling(charge) for key, charge in charges.items()}
        await self._book(changes, AttemptState.SETTLED, then=record)

    async def release(self, attempt_key: str, reason: str) -> None:
        """It was surely not charged."""
        await self.release_all([attempt_key], reason)

    async def release_all(self, attempt_keys: Sequence[str], reason: str) -> None:
        """Many at once: they were surely not charged."""
        await self._release(attempt_keys, reason)

    async def doubt(self, attempt_key: str, note: str) -> None:
        """Whether it was charged cannot be known."""
        await self._doubt([attempt_key], note)

    async def hand_over(self, attempt_key: str) -> None:
        """Leave it open for a later `Ledger.recover`, which may look it up, replay or poll it."""
        await self._hand_over([attempt_key])

    # Each of these asks the writer at once, and gives the answer to wait for.

    def _release(self, attempt_keys: Sequence[str], reason: str) -> "asyncio.Future[Any]":
        at, others = self._writer.now(), set(self.open_keys) - set(attempt_keys)
        gone = None if self._ticket.left or others else self._ticket.take()

        def release(books: Books, attempt: Attempt) -> None:
            transitions.release(books, attempt, at, cleaned(reason))

        def give_back_start(books: Books) -> None:
            if gone is not None:
                books.tickets.drop(self._spend.provider, gone)

        return self._book(dict.fromkeys(attempt_keys, release), AttemptState.RELEASED, then=give_back_start)

    def _doubt(self, attempt_keys: Sequence[str], note: str) -> "asyncio.Future[Any]":
        at = self._writer.now()

        def doubt(_: Books, attempt: Attempt) -> None:
            transitions.doubt(attempt, at, cleaned(note))

        return self._book(dict.fromkeys(attempt_keys, doubt), AttemptState.IN_DOUBT)

    def _hand_over(self, attempt_keys: Sequence[str]) -> "asyncio.Future[Any]":
        def hand_over(_: Books, attempt: Attempt) -> None:
            transitions.hand_over(attempt)

        return self._book(dict.fromkeys(attempt_keys, hand_over), AttemptState.IN_DOUBT)

    def _book(
        self, changes: Mapping[str, Change], becomes: AttemptState, then: Callable[[Books], None] | None = None
    ) -> "asyncio.Future[Any]":
        if unknown := [key for key in changes if key not in self._states]:
            raise LedgerMisuse(f"{', '.join(unknown)}: not reserved here")
        if becomes in (AttemptState.ACCEPTED, AttemptState.SETTLED) and not self._ticket.left:
            self._stamp()  # an answer shows that it left
        spend, before = self._spend, {key: self._states[key] for key in changes}
        writing = self._writer.submit(ChangeAttempts(spend.provider, spend.run_id, list(changes.items()), then))
        self._states.update(dict.fromkeys(changes, becomes))

        def written(outcome: "asyncio.Future[Any]") -> None:
            if _report(outcome):
                self._states.update(before)
            elif not self.open_keys:
                self._lane.slot_freed()

        writing.add_done_callback(written)
        return writing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Book what is still open: all of it is asked for before the first wait, so no cancellation can come between."""
        why = "the work ended without booking it" if kind is None else f"cut off by {kind.__name__}"
        accepted = [key for key in self.open_keys if self._states[key] is AttemptState.ACCEPTED]
        rest = [key for key in self.open_keys if key not in accepted]
        endings = [self._hand_over(accepted)] if accepted else []
        if rest and self._ticket.left:
            endings.append(self._doubt(rest, f"sent, then {why}"))
        elif rest:
            endings.append(self._release(rest, f"never sent: {why}"))
        for ending in endings:
            await ending


def _report(writing: "asyncio.Future[Any]") -> bool:
    """Leave a word of what could not be written, also when nobody waits for it any more; whether that is so.

    A cancelled wait is none: what was asked for is written all the same.
    """
    error = None if writing.cancelled() else writing.exception()
    if error is not None:
        logger.warning("ledger: not booked: %s", error)
    return error is not None
