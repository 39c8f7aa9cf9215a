"""What is done to attempts and accounts once they exist. Each operation is applied inside one transaction (`writer.py`)."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.credits import parking
from tasks.credits.books import Books, Needs
from tasks.credits.errors import LedgerMisuse
from tasks.credits.facts import AccountTerms, AttemptState, Resolution
from tasks.credits.money import to_nano
from tasks.credits.records import Account, Attempt, Run, longest_window_s, terms_to_json
from tasks.credits.transitions import doubt, release, settle

BLOCKED_S: Final = 5.0  # how long a 429 that states no time stops an account
GUARD_MOST_S: Final = 1.0  # what 429s may widen the guard to
Change = Callable[[Books, Attempt], None]


@dataclass(frozen=True, slots=True)
class ChangeAttempts:
    """Move attempts along, all or none: `changes` are (attempt_key, what to do)."""

    provider: str
    run_id: str
    changes: Sequence[tuple[str, Change]]
    then: Callable[[Books], None] | None = None

    def needs(self, needs: Needs) -> None:
        """The attempts, their account and their run."""
        needs.providers.add(self.provider)
        needs.runs.add(self.run_id)
        needs.attempts.update(key for key, _ in self.changes)

    def apply(self, books: Books) -> None:
        """Do it."""
        for key, change in self.changes:
            attempt = books.attempt(key)
            if attempt is None:
                raise LedgerMisuse(f"there is no attempt {key}")
            change(books, attempt)
        if self.then is not None:
            self.then(books)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The request's body left at `at`: its ticket, where there is one, counts from then."""

    provider: str
    ticket_id: str | None
    keys: Sequence[str]
    at: float

    def needs(self, needs: Needs) -> None:
        """The attempts."""
        needs.attempts.update(self.keys)

    def apply(self, books: Books) -> None:
        """Attempts that went further meanwhile stay there."""
        for key in self.keys:
            attempt = books.attempt(key)
            if attempt is not None and attempt.state == AttemptState.RESERVED:
                attempt.state = AttemptState.SENT
                attempt.sent_at = self.at
        if self.ticket_id is not None:
            books.tickets.stamp(self.provider, self.ticket_id, self.at)


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Make the account, or bring its terms up to date; opening balances count once."""

    provider: str
    terms: AccountTerms

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.providers.add(self.provider)

    def apply(self, books: Books) -> None:
        """Upsert."""
        terms = terms_to_json(self.terms)
        if known := books.find_account(self.provider):
            known.terms, known.guard_s = terms, self.terms.guard_s
            return
        opening = (to_nano(self.terms.credits), to_nano(self.terms.usd))
        account = Account(provider=self.provider, terms=terms, opened_at=books.now, guard_s=self.terms.guard_s)
        if opening != (None, None):
            _note(books, account, "opening", *opening, "configuration")
        account.credits, account.usd = opening
        books.add_account(account)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """Make the run, or change its ceiling; what it spent stays spent. Optionally let parked accounts be tried again."""

    run_id: str
    budget: int | None
    probe_parked: bool

    def needs(self, needs: Needs) -> None:
        """The run, and perhaps the accounts."""
        needs.runs.add(self.run_id)
        needs.every_account |= self.probe_parked

    def apply(self, books: Books) -> None:
        """Upsert."""
        if known := books.find_run(self.run_id):
            known.budget = self.budget
        else:
            books.add_run(Run(run_id=self.run_id, budget=self.budget, opened_at=books.now))
        if self.probe_parked:
            for account in books.accounts():
                if account.parked_reason is not None and account.parked_until is None:
                    account.probe_at = books.now


@dataclass(frozen=True, slots=True)
class ChangeAccount:
    """Change one account."""

    provider: str
    change: Callable[[Books, Account], None]

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.providers.add(self.provider)

    def apply(self, books: Books) -> None:
        """Do it."""
        self.change(books, books.account(self.provider))


@dataclass(frozen=True, slots=True)
class Resolve:
    """The user's word on an attempt in doubt."""

    attempt_key: str
    resolution: Resolution

    def needs(self, needs: Needs) -> None:
        """The attempt; its account and run are loaded with it."""
        needs.attempts.add(self.attempt_key)

    def apply(self, books: Books) -> None:
        """Book it. An attempt left behind by a dead process counts as in doubt."""
        attempt = books.attempt(self.attempt_key)
        if attempt is None:
            raise LedgerMisuse(f"there is no attempt {self.attempt_key}; `cleanplate ledger in-doubt` lists them")
        if self.resolution is Resolution.SEND_AGAIN and attempt.state == AttemptState.SETTLED:
            attempt.claims = 0
            return
        if attempt.open == 1 and books.owner_lives(attempt.owner):
            raise LedgerMisuse(f"attempt {self.attempt_key} is under way in another process")
        if attempt.open == 0:
            raise LedgerMisuse(f"attempt {self.attempt_key} is {attempt.state}: there is nothing to resolve")
        note, claims = attempt.note or "", attempt.claims
        if self.resolution is Resolution.NOT_CHARGED:
            release(books, attempt, books.now, f"{note}; resolved: not charged")
            return
        doubt(attempt, attempt.finished_at or books.now, note)
        if self.resolution is Resolution.SEND_AGAIN:
            attempt.claims = 0
            return
        settle(books, attempt, books.now, attempt.credits_held, attempt.usd_held)
        attempt.claims = claims  # paid without a picture: sent again only by the user's word
        attempt.note = f"{note}; resolved: charged"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Forget what cannot matter any more: starts outside every window, processes that are long gone, old callbacks."""

    def needs(self, needs: Needs) -> None:
        """Every account, for its windows."""
        needs.every_account = True

    def apply(self, books: Books) -> None:
        """Delete."""
        for account in books.accounts():
            horizon = books.now - longest_window_s(account) - 600
            books.connection.execute("DELETE FROM tickets WHERE provider = ? AND at < ?", (account.provider, horizon))
        old = (books.now - 30 * 86400,)
        books.connection.execute("DELETE FROM callbacks WHERE received_at < ?", old)
        books.connection.execute(
            "DELETE FROM owners WHERE heartbeat_at < ? AND owner NOT IN (SELECT owner FROM attempts WHERE open > 0)",
            old,
        )


def block(books: Books, account: Account, retry_after_s: float | None) -> None:
    """A 429: nobody starts before that. Where the windows were kept, the way there took longer than thought: guard more."""
    pause_s = BLOCKED_S if retry_after_s is None else max(retry_after_s, 0.0)
    account.blocked_until = max(account.blocked_until, books.now + pause_s)
    account.guard_s = min(2 * account.guard_s, max(GUARD_MOST_S, account.rules.guard_s))


def park(books: Books, account: Account, reason: str, until: float | None, *, empty: bool) -> None:
    """Out of order; that it is empty is noted in the history of balances."""
    if empty and account.credits is not None:
        _note(books, account, "refused", 0, None, reason)
    parking.park(account, books.now, reason, until, empty=empty)


def top_up(books: Books, account: Account, credits_: int, source: str) -> None:
    """Credits came. An account that was found empty holds just them; an unknown balance stays unknown."""
    _note(books, account, "top_up", credits_, None, source)
    if account.credits is not None or account.empty:
        account.credits = (account.credits or 0) + credits_
    if account.empty:
        parking.unpark(account)


def read_balance(books: Books, account: Account, credits_: int | None, usd: int | None, source: str) -> None:
    """The provider's own word replaces what was counted; what was counted is kept beside it, for reconciliation."""
    _note(books, account, "reading", credits_, usd, source)
    account.credits = account.credits if credits_ is None else credits_
    account.usd = account.usd if usd is None else usd
    account.read_at = books.now
    if account.empty and max(credits_ or 0, usd or 0) > 0:
        parking.unpark(account)


_EVENT_COLUMNS: Final = (
    *("event_id", "provider", "at", "kind", "credits", "usd"),
    *("credits_counted", "usd_counted", "source"),
)


def _note(books: Books, account: Account, kind: str, credits_: int | None, usd: int | None, source: str) -> None:
    """Keep the history of balances."""
    counted = (account.credits, account.usd)
    row = (uuid.uuid4().hex, account.provider, books.now, kind, credits_, usd, *counted, source)
    books.connection.insert("balance_events", _EVENT_COLUMNS, [row])
