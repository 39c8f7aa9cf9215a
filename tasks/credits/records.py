"""Rows as they are worked on inside a transaction; money in billionths, times in POSIX seconds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from tasks.config.limits import RateLimit
from tasks.credits.facts import AccountTerms, AttemptState, Endpoint
from tasks.credits.owners import HEARTBEAT_S

OPEN: Final = (AttemptState.RESERVED, AttemptState.SENT, AttemptState.ACCEPTED)


@dataclass(slots=True)
class Account:
    """One provider's account."""

    provider: str
    terms: str
    opened_at: float
    credits: int | None = None  # None: unknown, and no limit
    credits_held: int = 0
    credits_spent: int = 0
    usd: int | None = None
    usd_held: int = 0
    usd_spent: int = 0
    read_at: float | None = None  # when the provider last told the balance
    blocked_until: float = 0.0  # by a 429
    guard_s: float = 0.0  # the terms' guard, wider after each 429
    parked_reason: str | None = None
    parked_until: float | None = None
    empty: int = 0  # 1: parked because it ran out
    probe_at: float | None = None
    probe: str | None = None  # the reservation that is trying whether the account works again
    probing_until: float | None = None
    mean_request_s: float | None = None

    @property
    def rules(self) -> AccountTerms:
        """The terms, read."""
        return terms_from_json(self.terms)

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """Every one, of whichever endpoint."""
        return (*self.rules.limits, *self.rules.batch_limits, *self.rules.account_limits)


@dataclass(slots=True)
class Run:
    """One run's budget."""

    run_id: str
    budget: int | None
    opened_at: float
    held: int = 0
    spent: int = 0


@dataclass(slots=True)
class Attempt:
    """One attempt."""

    attempt_key: str
    reservation_id: str
    run_id: str
    item_id: str
    provider: str
    endpoint: str
    content_key: str | None
    state: str
    open: int  # 1 under way, 2 in doubt, 0 closed
    claims: int  # 1: nobody else may send the same content
    owner: str  # "": nobody answers for it
    credits_held: int
    usd_held: int
    credits: int
    usd: int
    reserved_at: float
    sent_at: float | None = None
    accepted_at: float | None = None
    finished_at: float | None = None
    remote_id: str | None = None
    request_id: str | None = None
    note: str | None = None


@dataclass(slots=True)
class Ticket:
    """One start: intended (a claim on a future moment), permitted, or sent."""

    ticket_id: str
    provider: str
    endpoint: str
    at: float
    megapixels: float
    stage: int
    owner: str
    heartbeat_at: float = 0.0  # of the owner; not a column

    def surely_by(self, now: float) -> float:
        """The latest moment at which it can have started: while its stamp is missing, it may be leaving right now.

        Of a process that died, that moment lies a little after its last heartbeat.
        """
        return self.at if self.at >= now else max(self.at, min(now, self.heartbeat_at + 2 * HEARTBEAT_S))


CLAIM, PERMIT, SENT = 0, 1, 2  # stages of a ticket

ACCOUNT_COLUMNS: Final = tuple(f.name for f in fields(Account))
RUN_COLUMNS: Final = tuple(f.name for f in fields(Run))
ATTEMPT_COLUMNS: Final = tuple(f.name for f in fields(Attempt))
TICKET_COLUMNS: Final = tuple(f.name for f in fields(Ticket))[:-1]
DELIVERY_COLUMNS: Final = (
    *("content_key", "output_uri", "sha256", "width", "height", "media_type", "provider"),
    *("credits", "usd", "quality", "delivered_at"),
)
# What changes after the first write, the key first.
ATTEMPT_CHANGES: Final = (
    *("attempt_key", "state", "open", "claims", "owner", "credits", "usd"),
    *("sent_at", "accepted_at", "finished_at", "remote_id", "request_id", "note"),
)


ACCOUNT_ROW: Final = attrgetter(*ACCOUNT_COLUMNS)
RUN_ROW: Final = attrgetter(*RUN_COLUMNS)
ATTEMPT_ROW: Final = attrgetter(*ATTEMPT_COLUMNS)
ATTEMPT_CHANGE_ROW: Final = attrgetter(*ATTEMPT_CHANGES)
TICKET_ROW: Final = attrgetter(*TICKET_COLUMNS)


def overwriting(columns: Sequence[str]) -> str:
    """The ON CONFLICT clause by which a row replaces the one with the same first column."""
    key, *others = columns
    return f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}"


def terms_to_json(terms: AccountTerms) -> str:
    """For the accounts table; opening balances are not terms."""
    plain = {name: value for name, value in asdict(terms).items() if name not in ("credits", "usd")}
    for name in ("limits", "batch_limits", "account_limits"):
        limits: Sequence[RateLimit] = getattr(terms, name)
        plain[name] = [str(limit) for limit in limits]
    return json.dumps(plain, sort_keys=True)


@lru_cache(maxsize=64)
def terms_from_json(text: str) -> AccountTerms:
    """As written by `terms_to_json`."""
    plain: dict[str, Any] = json.loads(text)
    for name in ("limits", "batch_limits", "account_limits"):
        plain[name] = tuple(RateLimit.parse(limit) for limit in plain[name])
    return AccountTerms(**plain)


def limits_at(terms: AccountTerms, endpoint: str) -> list[tuple[RateLimit, bool]]:
    """The limits that a start at this endpoint must keep, each with whether it counts the other endpoint's starts too."""
    own = terms.batch_limits if endpoint == Endpoint.BATCH else terms.limits
    return [(limit, False) for limit in own] + [(limit, True) for limit in terms.account_limits]


def longest_window_s(account: Account) -> float:
    """How long a start matters; 0 where nothing is limited."""
    return max((limit.period_s + account.guard_s for limit in account.limits), default=0.0)
