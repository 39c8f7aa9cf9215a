"""The starts that rate limits count, as one transaction sees them: sent, permitted, or claimed for later."""

from bisect import insort
from typing import Final

from tasks.config.limits import LimitUnit, RateLimit
from tasks.credits.database import Connection
from tasks.credits.owners import LEASE_S
from tasks.credits.records import (
    CLAIM,
    SENT,
    TICKET_COLUMNS,
    TICKET_ROW,
    Account,
    Ticket,
    longest_window_s,
    overwriting,
)

OVERDUE_S: Final = 2.0  # after this a claim is nobody's
ROOM: Final = 1000  # starts; one transaction grants at most `MOST_ASKED` at each endpoint


class Tickets:
    """Loaded once for each account whose queue matters; changed in memory; written at the end."""

    def __init__(self, connection: Connection, owner: str, now: float) -> None:
        """`owner`: this process."""
        self._connection, self._owner, self._now = connection, owner, now
        self._starts: dict[str, list[tuple[float, float, str]]] = {}
        self._pending: dict[str, dict[str, Ticket]] = {}
        self._put: dict[str, Ticket] = {}
        self._gone: set[str] = set()
        self._stamps: dict[str, float] = {}

    def load(self, account: Account) -> None:
        """Read the starts that may still matter."""
        provider = account.provider
        self._starts[provider], self._pending[provider] = [], {}
        if not longest_window_s(account):
            return
        self._load_pending(provider)
        near = [limit.period_s for limit in account.limits if not self._is_far(provider, limit, account.guard_s)]
        if near:
            self._starts[provider] = self._connection.execute(
                "SELECT at, megapixels, endpoint FROM tickets WHERE provider = ? AND at > ? AND stage = 2 ORDER BY at",
                (provider, self._now - max(near) - account.guard_s),
            )

    def _is_far(self, provider: str, limit: RateLimit, guard_s: float) -> bool:
        """Whether nothing that one transaction grants can reach the limit: then its starts need not be read one by one.

        `100000/day` would otherwise cost a look at a day's starts each time.
        """
        if limit.unit is not LimitUnit.REQUESTS or limit.amount <= ROOM:
            return False
        [(used,)] = self._connection.execute(
            "SELECT count(*) FROM tickets WHERE provider = ? AND at > ?",
            (provider, self._now - limit.period_s - guard_s),
        )
        return bool(used + ROOM <= limit.amount)

    def _load_pending(self, provider: str) -> None:
        columns = ", ".join(f"t.{name}" for name in TICKET_COLUMNS)
        rows = self._connection.execute(
            f"SELECT {columns}, coalesce(o.heartbeat_at, 0) FROM tickets t LEFT JOIN owners o ON o.owner = t.owner"  # noqa: S608 - our own names
            " WHERE t.provider = ? AND t.stage < 2",
            (provider,),
        )
        tickets = (Ticket(*row) for row in rows)
        self._pending[provider] = {t.ticket_id: t for t in tickets if not self._is_abandoned(t)}

    def _is_abandoned(self, ticket: Ticket) -> bool:
        """A claim whose process died, or slept through its turn, holds nobody up."""
        overdue = ticket.at < self._now - OVERDUE_S and ticket.owner != self._owner
        return ticket.stage == CLAIM and (overdue or ticket.heartbeat_at < self._now - LEASE_S)

    def starts(self, provider: str) -> list[tuple[float, float, str]]:
        """What left: when, how many megapixels, at which endpoint; in order of time."""
        return self._starts[provider]

    def pending(self, provider: str) -> list[Ticket]:
        """Claims, and permits whose stamp has not come."""
        return list(self._pending[provider].values())

    def put(self, ticket: Ticket) -> None:
        """Add or replace."""
        ticket.heartbeat_at = self._now
        self._pending[ticket.provider][ticket.ticket_id] = ticket
        self._put[ticket.ticket_id] = ticket
        self._gone.discard(ticket.ticket_id)

    def stamp(self, provider: str, ticket_id: str, at: float) -> None:
        """The start happened at that moment."""
        self._stamps[ticket_id] = at
        if ticket := self._pending.get(provider, {}).pop(ticket_id, None):
            insort(self._starts[provider], (at, ticket.megapixels, ticket.endpoint))

    def drop(self, provider: str, ticket_id: str) -> None:
        """Give a start back."""
        self._pending.get(provider, {}).pop(ticket_id, None)
        self._put.pop(ticket_id, None)
        self._gone.add(ticket_id)

    def flush(self) -> None:
        """Write every change."""
        if self._gone:
            gone = self._connection.members(list(self._gone))
            self._connection.execute("DELETE FROM tickets WHERE ticket_id IN_LIST", (gone,))
        if self._put:
            rows = [TICKET_ROW(ticket) for ticket in self._put.values()]
            self._connection.insert("tickets", TICKET_COLUMNS, rows, overwriting(TICKET_COLUMNS))
        if self._stamps:
            stamps = [(ticket_id, at, SENT) for ticket_id, at in self._stamps.items()]
            self._connection.update("tickets", ("ticket_id", "at", "stage"), stamps)
