"""The ledger: every request that may cost money passes through here, and nothing is paid twice."""

import asyncio
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Self

from tasks.credits import content, operations
from tasks.credits.admission import Request
from tasks.credits.books import Books
from tasks.credits.clock import Clock, SystemClock
from tasks.credits.facts import (
    AccountTerms,
    AttemptIntent,
    AttemptState,
    Callback,
    Delivery,
    Endpoint,
    FileVersion,
    OpenAttempt,
    Outlook,
    PastAttempt,
    Resolution,
    Spend,
    StoredDelivery,
)
from tasks.credits.lanes import Lane
from tasks.credits.location import database_at
from tasks.credits.money import to_nano
from tasks.credits.operation import Operation, Write
from tasks.credits.outlook import outlook
from tasks.credits.reader import Reader
from tasks.credits.records import Account, Attempt
from tasks.credits.recovery import Recover, Resume, as_fact, open_attempts
from tasks.credits.redaction import note
from tasks.credits.reservation import Reservation, Ticketing
from tasks.credits.statement import BalanceLine, StatementLine, balances, knows_run, statement
from tasks.credits.writer import Writer

PATIENCE_S: Final = 60.0  # how long a lost database is waited for


class Ledger:
    """One process's door to the books. Belongs to one event loop; any number of processes may share the books."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        """Use `Ledger.open`."""
        self._writer, self._reader, self._clock = writer, reader, clock
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._taken_over: set[str] = set()  # recovered, not resumed yet
        weakref.finalize(self, writer.stop)  # one that was never closed must not answer for its attempts for ever

    @classmethod
    async def open(
        cls, url: str = "", *, clock: Clock | None = None, durable: bool = False, patience_s: float = PATIENCE_S
    ) -> "Ledger":
        """Open the books, and make or update the tables.

        Args:
            url: `sqlite:///path`, `postgresql://…`, or "" for the file in the user's data folder.
            clock: the system's by default; with PostgreSQL it is set by the server's.
            durable: False survives this process's death; True also the power's (an fsync each commit).
            patience_s: how long a lost or busy database is waited for.

        Raises:
            LedgerError: the URL, the file or the server cannot be used; the message says why.
        """
        database = database_at(url)
        clock = clock or SystemClock()
        writer = await asyncio.to_thread(
            Writer, database, clock, durable=durable, patience_s=patience_s, upkeep=operations.Upkeep()
        )
        return cls(writer, Reader(database, patience_s=patience_s), clock)

    async def aclose(self) -> None:
        """Write what is queued and say goodbye: what is still open may be recovered by anybody at once."""
        self._writer.stop()
        for lane in self._lanes.values():
            lane.changed()  # whoever waits hears of it
        await self._writer.aclose()
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def unanswered(self) -> int:
        """How many changes were asked for and are not written yet."""
        return self._writer.unanswered

    # Accounts and runs

    async def open_account(self, provider: str, terms: AccountTerms) -> None:
        """Make the account, or bring its terms up to date. Opening balances count only the first time."""
        await self._write(operations.OpenAccount(provider, terms))

    async def open_run(self, run_id: str, budget_usd: Decimal | None, *, probe_parked: bool = False) -> None:
        """Make the run or change its ceiling: it holds over the whole life of the run id, in all processes together.

        Args:
            run_id: the run.
            budget_usd: ceiling in US dollars; None: no ceiling.
            probe_parked: let every account that is parked without a date be tried by one request. For whoever starts a
                run or a retry, once; not for each worker of it.
        """
        await self._write(operations.OpenRun(run_id, to_nano(budget_usd), probe_parked))

    async def knows_run(self, run_id: str) -> bool:
        """Whether that run was opened in these books. For whoever joins it: in others, its budget would be another one."""
        return await self._reader.read(lambda connection: knows_run(connection, run_id))

    async def rate_limited(self, provider: str, retry_after_s: float | None) -> None:
        """The provider said 429: nobody starts anything at this account for so long (None: it did not say)."""
        await self._change_account(provider, lambda books, account: operations.block(books, account, retry_after_s))

    async def park(
        self, provider: str, reason: str, until: datetime | None = None, *, empty: bool | None = None
    ) -> None:
        """No request at this account.

        Args:
            provider: whose account.
            reason: for people; the provider's own words will do.
            until: when it may be used again; None: when one probing request gets through.
            empty: it ran out of credits (a 402): its known balance is 0 from now on, and a `top_up` or a reading above 0
                takes it into use again. By default, whatever has no date.
        """
        until_s = None if until is None else until.timestamp()
        ran_out = until is None if empty is None else empty
        await self._change_account(
            provider, lambda books, account: operations.park(books, account, note(reason), until_s, empty=ran_out)
        )

    async def top_up(self, provider: str, credits: Decimal, *, source: str = "user") -> None:
        """Credits came."""
        await self._change_account(
            provider, lambda books, account: operations.top_up(books, account, to_nano(credits), note(source))
        )

    async def balance_reading(
        self,
        provider: str,
        *,
        credits: Decimal | None = None,
        usd: Decimal | None = None,
        source: str,
    ) -> None:
        """The provider told the balance: from now on that is it. `source`: which endpoint or answer said so."""
        amounts = to_nano(credits), to_nano(usd)
        await self._change_account(
            provider, lambda books, account: operations.read_balance(books, account, *amounts, note(source))
        )

    async def outlook(self, provider: str, endpoint: Endpoint = Endpoint.SINGLE) -> Outlook:
        """What a request would meet now. Takes nothing."""
        lane = self._lanes.get((provider, endpoint))
        waiting = 0 if lane is None else lane.waiting
        now = self._writer.now()
        return await self._reader.read(lambda connection: outlook(connection, now, provider, endpoint, waiting))

    # Spending

    @asynccontextmanager
    async def reserve(self, spend: Spend, *, deadline: datetime | None = None) -> AsyncIterator[Reservation]:
        """The only door: wait for a permit, and book what came of it.

        From the first line inside, the request may leave: have it ready before.

        Raises:
            Refusal: nothing was taken; says why and when to ask again.
            LedgerMisuse: the account or run was never opened, or an attempt key was used before.
        """
        request = Request(spend=spend, deadline=None if deadline is None else deadline.timestamp())
        lane = self._lane(spend.provider, spend.endpoint)
        grant = await lane.enter(request)
        states = dict.fromkeys((intent.attempt_key for intent in spend.attempts), AttemptState.RESERVED)
        ticket = Ticketing(request.reservation_id if grant.ticketed else None)
        async with Reservation(self._writer, lane, spend, states, ticket) as reservation:
            yield reservation

    async def recover(
        self, run_id: str | None = None, *, doubtful: bool = False, content_keys: Collection[str] | None = None
    ) -> list[OpenAttempt]:
        """Take over the open attempts of processes that are gone.

        `accepted` ones are to be polled; `reserved` and `sent` ones may have left, so they are to be looked up or replayed
        where the provider allows it, else `doubt`ed.

        Args:
            run_id: of this run; None: of every run.
            doubtful: also those in doubt, for providers that can be asked later.
            content_keys: only for these contents, so that several processes of one run each take what they work on.
        """
        wanted = None if content_keys is None else frozenset(content_keys)
        found: list[OpenAttempt] = await self._write(Recover(run_id, doubtful, frozenset(self._taken_over), wanted))
        self._taken_over.update(attempt.attempt_key for attempt in found)
        return found

    async def resume(self, attempt_key: str) -> Reservation:
        """Answer for an open attempt whose process is gone, as if it had been reserved here; a context manager too.

        To send it once more under its own key: `await reservation.permit()` first.
        """
        attempt: Attempt = await self._write(Resume(attempt_key))
        self._taken_over.discard(attempt_key)
        fact = as_fact(attempt)
        intent = AttemptIntent(attempt_key=attempt_key, item_id=fact.item_id)
        spend = Spend(run_id=fact.run_id, provider=fact.provider, endpoint=fact.endpoint, attempts=(intent,))
        state = AttemptState.SENT if fact.state is AttemptState.RESERVED else fact.state
        lane = self._lane(spend.provider, spend.endpoint)
        return Reservation(self._writer, lane, spend, {attempt_key: state}, Ticketing(None, left=True))

    async def in_doubt(self, run_id: str | None = None) -> list[OpenAttempt]:
        """Attempts that only the user's word can close, oldest first; those left behind by dead processes too."""
        now = self._writer.now()
        found = await self._reader.read(lambda connection: open_attempts(connection, now, run_id))
        return [as_fact(attempt) for attempt, lives in found if attempt.open == 2 or not lives]

    async def resolve(self, attempt_key: str, resolution: Resolution) -> None:
        """The user's word on an attempt in doubt."""
        await self._write(operations.Resolve(attempt_key, resolution))

    # Reports

    async def statement(
        self, *, run_id: str | None = None, provider: str | None = None, day: date | None = None
    ) -> list[StatementLine]:
        """What was charged, a line for each day (UTC), run and provider."""
        return await self._reader.read(
            lambda connection: statement(connection, run_id=run_id, provider=provider, day=day)
        )

    async def balances(self) -> list[BalanceLine]:
        """Every account: what is left, held and spent."""
        now = self._writer.now()
        return await self._reader.read(lambda connection: balances(connection, now))

    # Content

    async def delivered(self, content_keys: Collection[str]) -> dict[str, Delivery]:
        """Finished pictures by their content keys."""
        return await self._reader.read(lambda connection: content.deliveries(connection, content_keys))

    async def stored_deliveries(self, content_keys: Collection[str]) -> list[StoredDelivery]:
        """The same for tens of thousands, in no order."""
        return await self._reader.read(lambda connection: content.stored_deliveries(connection, content_keys))

    async def has_deliveries(self) -> bool:
        """Whether anything was ever delivered."""
        return await self._reader.read(content.has_deliveries)

    async def attempts_of(self, content_keys: Collection[str], *, run_id: str | None = None) -> list[PastAttempt]:
        """All attempts ever made for these contents (by one run), oldest first: the story of a row, and what was paid for it before."""
        return await self._reader.read(lambda connection: content.attempts_of(connection, content_keys, run_id))

    async def attempts_by_content(self, content_keys: Collection[str]) -> dict[str, list[PastAttempt]]:
        """The same for each content that has any."""
        found: dict[str, list[PastAttempt]] = defaultdict(list)
        for past in await self.attempts_of(content_keys):
            found[past.content_key].append(past)
        return found

    async def record_delivery(self, delivery: Delivery) -> None:
        """A finished picture is stored; the same content need never be paid again."""
        content.check_delivery(delivery)
        await self._write(Write(lambda books: content.deliver(books, delivery)))

    async def forget_deliveries(self, content_keys: Sequence[str]) -> None:
        """Their files are gone: the content may be paid for again."""
        await self._write(Write(lambda books: content.forget(books, content_keys)))

    async def fingerprints(self, files: Sequence[FileVersion]) -> dict[FileVersion, str]:
        """The known fingerprints of files in these versions; tens of thousands at once are fine."""
        return await self._reader.read(lambda connection: content.fingerprints(connection, files))

    async def fingerprints_by_uri(self, versions: Mapping[str, str]) -> dict[str, str]:
        """The same for files whose `versions` are given by their addresses."""
        return await self._reader.read(lambda connection: content.fingerprints_by_uri(connection, versions))

    async def remember_fingerprints(self, known: Mapping[FileVersion, str]) -> None:
        """Keep fingerprints, so that unchanged files need not be read again. Addresses are kept as hashes only."""
        await self._write(Write(lambda books: content.remember_fingerprints(books, known)))

    async def put_callback(self, provider: str, remote_id: str, payload_json: str, received_at: datetime) -> bool:
        """Keep a delivery whose signature was verified; False when it came before. Queries of addresses are taken out."""
        payload, at = content.callback_payload(payload_json), received_at.timestamp()
        new: bool = await self._write(
            Write(lambda books: content.put_callback(books, provider, remote_id, payload, at))
        )
        return new

    async def callbacks(self, provider: str, remote_ids: Sequence[str]) -> dict[str, Callback]:
        """The newest callback of each of these jobs that has one."""
        return await self._reader.read(lambda connection: content.callbacks(connection, provider, remote_ids))

    # Inside

    def _lane(self, provider: str, endpoint: Endpoint) -> Lane:
        key = (provider, str(endpoint))
        if key not in self._lanes:
            self._lanes[key] = Lane(self._writer, self._clock, *key)
        return self._lanes[key]

    async def _change_account(self, provider: str, change: Callable[[Books, Account], None]) -> None:
        await self._write(operations.ChangeAccount(provider, change))
        for (owner, _), lane in self._lanes.items():
            if owner == provider:
                lane.changed()

    async def _write(self, operation: Operation) -> Any:
        return await self._writer.submit(operation)
