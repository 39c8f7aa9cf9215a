"""After a crash: who answered for an attempt is gone, so somebody else takes it over, finds out, and books it."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Final

from tasks.credits.books import Books, Needs
from tasks.credits.clock import moment
from tasks.credits.database import Connection
from tasks.credits.errors import LedgerMisuse
from tasks.credits.facts import AttemptState, Endpoint, OpenAttempt
from tasks.credits.money import from_nano
from tasks.credits.owners import is_alive
from tasks.credits.records import ATTEMPT_COLUMNS, Attempt

_WITH_OWNER: Final = (
    f"SELECT {', '.join(f'a.{name}' for name in ATTEMPT_COLUMNS)}, o.place, o.process, o.heartbeat_at, o.gone"  # noqa: S608 - our own names
    " FROM attempts a LEFT JOIN owners o ON o.owner = a.owner WHERE a.open > 0"
)


@dataclass(frozen=True, slots=True)
class Recover:
    """Take over every open attempt whose process is gone."""

    run_id: str | None
    doubtful: bool
    unfinished: Collection[str]  # taken over earlier by this process, and not resumed yet
    content_keys: Collection[str] | None = None  # only for these contents; None: for all

    def needs(self, needs: Needs) -> None:
        """Found by query."""

    def apply(self, books: Books) -> list[OpenAttempt]:
        """Their new owner is this process; their old owners, should they wake, will notice."""
        found = []
        for attempt, lives in open_attempts(books.connection, books.now, self.run_id):
            if self.content_keys is not None and attempt.content_key not in self.content_keys:
                continue
            ours = attempt.owner == books.owner
            if (attempt.open == 2 and not self.doubtful) or (ours and attempt.attempt_key not in self.unfinished):
                continue
            if attempt.open == 1 and not ours:
                if lives:
                    continue
                books.connection.execute("UPDATE owners SET gone = 1 WHERE owner = ?", (attempt.owner,))
                attempt.owner = books.owner
                books.changed[attempt.attempt_key] = attempt
            found.append(as_fact(attempt))
        return found


@dataclass(frozen=True, slots=True)
class Resume:
    """Answer for one open attempt."""

    attempt_key: str

    def needs(self, needs: Needs) -> None:
        """The attempt."""
        needs.attempts.add(self.attempt_key)

    def apply(self, books: Books) -> Attempt:
        """The attempt, now ours."""
        attempt = books.attempt(self.attempt_key)
        if attempt is None or attempt.open == 0:
            state = "unknown" if attempt is None else attempt.state
            raise LedgerMisuse(f"attempt {self.attempt_key} is {state}: there is nothing to resume")
        if attempt.open == 1 and attempt.owner != books.owner and books.owner_lives(attempt.owner):
            raise LedgerMisuse(f"attempt {self.attempt_key} is under way in another process")
        if attempt.open == 1:
            attempt.owner = books.owner
        return attempt


def open_attempts(connection: Connection, now: float, run_id: str | None = None) -> list[tuple[Attempt, bool]]:
    """Attempts under way and in doubt, oldest first, each with whether somebody answers for it."""
    where, parameters = (" AND a.run_id = ?", (run_id,)) if run_id is not None else ("", ())
    rows: list[tuple[Any, ...]] = connection.execute(
        f"{_WITH_OWNER}{where} ORDER BY a.reserved_at, a.attempt_key", parameters
    )
    size = len(fields(Attempt))
    return [(Attempt(*row[:size]), _lives(row[size:], now)) for row in rows]


def _lives(owner: tuple[Any, ...], now: float) -> bool:
    place, process, heartbeat_at, gone = owner
    return place is not None and not gone and is_alive(place, process, heartbeat_at, now)


def as_fact(attempt: Attempt) -> OpenAttempt:
    """For callers."""
    return OpenAttempt(
        attempt_key=attempt.attempt_key,
        run_id=attempt.run_id,
        item_id=attempt.item_id,
        provider=attempt.provider,
        endpoint=Endpoint(attempt.endpoint),
        state=AttemptState(attempt.state),
        content_key=attempt.content_key,
        remote_id=attempt.remote_id,
        request_id=attempt.request_id,
        credits=from_nano(attempt.credits_held),
        usd=from_nano(attempt.usd_held),
        reserved_at=moment(attempt.reserved_at),
        sent_at=None if attempt.sent_at is None else moment(attempt.sent_at),
        note=attempt.note,
        send_again=attempt.open == 2 and attempt.content_key is not None and attempt.claims == 0,
    )
