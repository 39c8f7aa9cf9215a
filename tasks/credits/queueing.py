"""The queue at one endpoint: when may the next start be, and a place in it for the first who must wait.

Two readings of a start whose stamp has not come (the permit is out, the body is leaving): to *grant*, it counts as leaving
right now; to *plan*, it counts from its permit. So a plan is never too late, and a grant never too early.
"""

from bisect import insort
from typing import Final

from tasks.config.limits import RateLimit
from tasks.credits.books import Books
from tasks.credits.records import CLAIM, PERMIT, Account, Ticket, limits_at
from tasks.credits.windows import ANY_TIME, Start, next_start

SLOT_LOOK_S: Final = 0.25  # between looks for a free slot that another process may give back
STAMP_LOOK_S: Final = (0.02, 0.5)  # between looks for a stamp that is due, at first and at most
YIELD_S: Final = 0.002  # after one start, when another process is due too: take turns


class _Scope:
    """The starts that a limit counts: those at one endpoint, or those at both."""

    def __init__(self, books: Books, provider: str, endpoint: str | None, pending: list[Ticket]) -> None:
        counted = [ticket for ticket in pending if endpoint is None or ticket.endpoint == endpoint]
        sent = [
            (at, size) for at, size, where in books.tickets.starts(provider) if endpoint is None or where == endpoint
        ]
        self.planned: list[Start] = sorted([*sent, *((t.at, t.megapixels) for t in counted)])
        self.surely: list[Start] = sorted([*sent, *((t.surely_by(books.now), t.megapixels) for t in counted)])

    def add(self, start: Start) -> None:
        insort(self.planned, start)
        insort(self.surely, start)


class Queue:
    """The starts at one endpoint of one account, inside one transaction."""

    def __init__(self, books: Books, account: Account, endpoint: str, claim_id: str) -> None:
        """`claim_id`: the one future ticket that this process may hold here."""
        self._books = books
        self._account = account
        self._endpoint = endpoint
        self._claim_id = claim_id
        self._limits = limits_at(account.rules, endpoint)
        self._in_flight = 0 if account.rules.max_in_flight is None else books.in_flight(account.provider)
        self._yields = False
        self._read()

    @property
    def limited(self) -> bool:
        """Whether starts are counted here."""
        return bool(self._limits)

    @property
    def full(self) -> bool:
        """Whether as many requests are under way as may be."""
        most = self._account.rules.max_in_flight
        return most is not None and self._in_flight >= most

    def start_at(self, megapixels: float) -> float:
        """Now, or when to look again."""
        now = self._books.now
        if self._yields:
            return now + YIELD_S
        if self.full:
            return max(now + SLOT_LOOK_S, self._account.blocked_until)
        surely = (next_start(scope.surely, limit, **self._size(megapixels)) for limit, scope in self._scopes)
        if max(surely, default=ANY_TIME) <= now:
            return max(now, self._account.blocked_until)
        planned = self.planned_at(megapixels)
        soon, late = STAMP_LOOK_S
        return planned if planned > now else now + min(max((now - planned) / 4, soon), late)

    def planned_at(self, megapixels: float) -> float:
        """When the limits, and a 429, would allow the next start."""
        planned = (next_start(scope.planned, limit, **self._size(megapixels)) for limit, scope in self._scopes)
        return max((self._account.blocked_until, *planned))

    def take(self, reservation_id: str, megapixels: float) -> None:
        """Start now."""
        self._in_flight += 1
        if not self._limits:
            return
        self._yields = self._is_contended()
        self._books.tickets.put(self._ticket(reservation_id, self._books.now, megapixels, PERMIT))
        if self._own is not None:
            self._books.tickets.drop(self._account.provider, self._claim_id)
            self._read()
            return
        for scope in {id(scope): scope for _, scope in self._scopes}.values():
            scope.add((self._books.now, megapixels))

    def claim(self, megapixels: float | None) -> None:
        """Keep a place for the first who waits (None: nobody does): as early as the starts so far allow."""
        own = self._own
        if megapixels is None or not self._limits:
            if own is not None:
                self._books.tickets.drop(self._account.provider, self._claim_id)
            return
        at = max(self.planned_at(megapixels), self._books.now)
        if (at > self._books.now or self._yields) and (own is None or own.at != at):
            self._books.tickets.put(self._ticket(self._claim_id, at, megapixels, CLAIM))

    def _size(self, megapixels: float) -> "dict[str, float]":
        return {"megapixels": megapixels, "guard_s": self._account.guard_s}

    def _ticket(self, ticket_id: str, at: float, megapixels: float, stage: int) -> Ticket:
        owner = self._books.owner
        return Ticket(ticket_id, self._account.provider, self._endpoint, at, megapixels, stage, owner)

    def _read(self) -> None:
        """Put the starts in order; those who queue behind us do not count against us."""
        self._own: Ticket | None = None
        self._scopes: list[tuple[RateLimit, _Scope]] = []
        if not self._limits:
            return
        provider = self._account.provider
        pending = self._books.tickets.pending(provider)
        self._own = next((t for t in pending if t.ticket_id == self._claim_id), None)
        counted = [t for t in pending if t.ticket_id != self._claim_id and not self._is_behind(t)]
        scopes = {
            both: _Scope(self._books, provider, None if both else self._endpoint, counted)
            for both in {both for _, both in self._limits}
        }
        self._scopes = [(limit, scopes[both]) for limit, both in self._limits]

    def _is_contended(self) -> bool:
        """Whether another process waits for a start that is due."""
        pending = self._books.tickets.pending(self._account.provider)
        return any(t.stage == CLAIM and t.at <= self._books.now and t.owner != self._books.owner for t in pending)

    def _is_behind(self, ticket: Ticket) -> bool:
        own = self._own
        return own is not None and ticket.stage == CLAIM and (ticket.at, ticket.ticket_id) > (own.at, own.ticket_id)
