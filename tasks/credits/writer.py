"""One thread that writes: whatever was asked for meanwhile goes into one transaction (group commit).

Each transaction renews this process's lease and counts itself in the same row. So after a lost connection one look tells
whether the last transaction was written; and when another process has taken our attempts over, we learn it before we act.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.credits.books import Books, Needs
from tasks.credits.clock import Clock, SystemClock
from tasks.credits.database import Connection, ConnectionLost, Database, migrate, transaction
from tasks.credits.errors import LedgerError, LedgerUnavailable
from tasks.credits.operation import Operation
from tasks.credits.owners import HEARTBEAT_S, Owner
from tasks.credits.records import Attempt

MOST_AT_ONCE: Final = 500  # operations in one transaction
UPKEEP_S: Final = 60.0
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    operation: Operation
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class _TakenOver(Exception):  # noqa: N818 - a signal between two methods of one class
    """Another process thought us dead and took our attempts."""


class Writer:
    """Runs operations in order, many to a transaction; each future is resolved after the commit."""

    def __init__(self, database: Database, clock: Clock, *, durable: bool, patience_s: float, upkeep: Operation):
        """Connects, brings the tables up to date, and starts. `upkeep` is done once a minute.

        Raises:
            LedgerUnavailable: there is no connection; nothing is waited for at the start, where it may be a slip.
        """
        self._database, self._clock = database, clock
        self._durable, self._patience_s, self._upkeep = durable, patience_s, upkeep
        self._upkeep_at = time.monotonic()
        self._connection: Connection | None
        try:
            self._connection = database.connect(durable=durable)
            migrate(self._connection)
            self._set_clock(self._connection)
        except ConnectionLost as error:
            raise LedgerUnavailable(f"the ledger {database.label} cannot be opened: {error}") from None
        self.owner = Owner()
        self._tx = 0
        self._registered = False
        self._former: str | None = None  # our name until another process took over
        self._mine: dict[str, Attempt] = {}
        self._unsure: _Written | None = None  # the last transaction, when its commit was not confirmed
        self._closed = False
        self.unanswered = 0  # operations that were asked for and are not done
        self._gathered: list[_Job] = []  # on the event loop, until the end of its round
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="cleanplate-ledger", daemon=True)
        self._thread.start()

    def _set_clock(self, connection: Connection) -> None:
        """By the database's, which is everybody's; a clock that was passed in stands for itself."""
        self.offset_s = connection.server_time_offset() if isinstance(self._clock, SystemClock) else 0.0

    def now(self) -> float:
        """POSIX seconds by the database's clock."""
        return self._clock.time() + self.offset_s

    def submit(self, operation: Operation) -> asyncio.Future[Any]:
        """Have it done; the future is resolved when it is written."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        loop = asyncio.get_running_loop()
        job = _Job(operation, loop.create_future(), loop)
        self.unanswered += 1
        job.future.add_done_callback(self._answered)
        if not self._gathered:  # what else this round of the loop asks for goes along: the thread is woken once
            loop.call_soon(self._hand_over)
        self._gathered.append(job)
        return job.future

    def _hand_over(self) -> None:
        jobs, self._gathered = self._gathered, []
        if jobs:
            self._jobs.put(jobs)

    def _answered(self, _: asyncio.Future[Any]) -> None:
        self.unanswered -= 1

    def stop(self) -> None:
        """Write what is queued, say goodbye and end, without being waited for."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._jobs.put(None)

    async def aclose(self) -> None:
        """Write what is queued, say goodbye, end the thread."""
        self.stop()
        await asyncio.to_thread(self._thread.join)

    # In the thread

    def _run(self) -> None:
        while True:
            jobs, closing = self._next_jobs()
            try:
                outcomes = self._write(jobs)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it; the thread must live on
                outcomes = [error] * len(jobs)
                logger.warning("ledger: %s", error)
            _resolve(jobs, outcomes)
            if closing:
                self._leave()
                return

    def _next_jobs(self) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        try:
            more = self._jobs.get(timeout=HEARTBEAT_S)
            while more is not None:
                jobs += more
                if len(jobs) >= MOST_AT_ONCE:
                    return jobs, False
                more = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, False
        return jobs, True

    def _write(self, jobs: Sequence[_Job]) -> list[Any]:
        """One transaction for all; when one of them breaks it, one for each."""
        operations = [job.operation for job in jobs]
        try:
            return self._persist(operations)
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - found out below, one by one
            if len(operations) <= 1:
                return [error] * len(operations)
        outcomes: list[Any] = []
        for operation in operations:
            try:
                outcomes += self._persist([operation])
            except Exception as error:  # noqa: BLE001 - the answer of this operation
                outcomes.append(error)
        return outcomes

    def _persist(self, operations: Sequence[Operation]) -> list[Any]:
        """Write, over lost connections, for as long as we are patient."""
        give_up_at = time.monotonic() + self._patience_s
        pause_s = 0.05
        while True:
            try:
                return self._transact(operations)
            except _TakenOver:
                logger.warning("ledger: another process took over this one's attempts; going on under a new name")
                self._former = self.owner.name
                self.owner, self._registered, self._mine, self._tx = Owner(), False, {}, 0
            except ConnectionLost as error:
                self._hang_up()
                if time.monotonic() > give_up_at or self._closed:
                    raise LedgerUnavailable(f"the ledger does not answer: {error}") from None
                logger.warning("ledger: %s; connecting anew", error)
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 2.0)

    def _transact(self, operations: Sequence[Operation]) -> list[Any]:
        if self._connection is None:
            self._connection = self._database.connect(durable=self._durable)
        with transaction(self._connection) as connection:
            last = self._unsure
            if last is not None and self._was_written(connection, last) and last.operations is operations:
                return last.outcomes
            now = self.now()
            self._beat(connection, now)
            self._unsure = None
            books = Books(connection, self.owner.name, now, self._mine)
            outcomes = self._apply(operations, books)
            self._unsure = _Written(operations, outcomes, books)
        self._remember(books)
        return outcomes

    def _apply(self, operations: Sequence[Operation], books: Books) -> list[Any]:
        due = time.monotonic() > self._upkeep_at
        if due:
            self._upkeep_at = time.monotonic() + UPKEEP_S
            self._set_clock(books.connection)
        everything = [*operations, self._upkeep] if due else operations
        needs = Needs()
        for operation in everything:
            operation.needs(needs)
        books.load(needs)
        outcomes = [operation.apply(books) for operation in everything]
        books.flush()
        return outcomes[: len(operations)]

    def _was_written(self, connection: Connection, last: "_Written") -> bool:
        """After a lost connection, and holding the writers' lock: whether the last transaction was committed after all."""
        rows = connection.execute("SELECT tx FROM owners WHERE owner = ?", (self.owner.name,))
        if not rows or rows[0][0] != self._tx + 1:
            return False
        self._remember(last.books)
        return True

    def _beat(self, connection: Connection, now: float) -> None:
        if not self._registered:
            columns = ("owner", "place", "process", "opened_at", "heartbeat_at", "tx")
            row = (self.owner.name, self.owner.place, self.owner.process, now, now, 0)
            connection.insert("owners", columns, [row], "ON CONFLICT (owner) DO NOTHING")
            if self._former is not None:  # what was not taken is still ours
                connection.execute("UPDATE attempts SET owner = ? WHERE owner = ?", (self.owner.name, self._former))
        sql = "UPDATE owners SET heartbeat_at = ?, tx = ? WHERE owner = ? AND gone = 0 RETURNING tx"
        if not connection.execute(sql, (now, self._tx + 1, self.owner.name)):
            raise _TakenOver

    def _remember(self, books: Books) -> None:
        self._tx += 1
        self._registered = True
        self._unsure = None
        for key, attempt in books.changed.items():
            if attempt.open == 1 and attempt.owner == self.owner.name:
                self._mine[key] = attempt
            else:
                self._mine.pop(key, None)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _leave(self) -> None:
        """What is still ours may be taken over at once."""
        try:
            if self._connection is not None:
                with transaction(self._connection) as connection:
                    connection.execute("UPDATE owners SET gone = 1 WHERE owner = ?", (self.owner.name,))
        except (LedgerError, ConnectionLost) as error:
            logger.warning("ledger: closed without a goodbye: %s", error)
        self._hang_up()


@dataclass(frozen=True, slots=True)
class _Written:
    """A transaction of which it is not yet known whether it was committed."""

    operations: Sequence[Operation]
    outcomes: list[Any]
    books: Books


def _resolve(jobs: Sequence[_Job], outcomes: Sequence[Any]) -> None:
    """Hand the outcomes to their event loop, in one go."""
    for loop in {job.loop for job in jobs}:
        mine = [(job.future, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_set_all, mine)
        except RuntimeError:
            logger.warning("ledger: the event loop ended before %d answers came", len(mine))


def _set_all(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue  # whoever waited was cancelled; it is written all the same
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
