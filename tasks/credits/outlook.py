"""What a request would meet now, read without taking anything."""

from typing import Final

from tasks.credits.books import Books, Needs
from tasks.credits.clock import moment
from tasks.credits.database import Connection
from tasks.credits.facts import Endpoint, Outlook
from tasks.credits.money import from_nano
from tasks.credits.owners import LEASE_S
from tasks.credits.parking import is_parked, next_try_at
from tasks.credits.queueing import Queue
from tasks.credits.records import CLAIM

_MINUTE_S: Final = 60.0


def outlook(connection: Connection, now: float, provider: str, endpoint: Endpoint, waiting: int) -> Outlook:
    """The account as routing sees it. LedgerMisuse when it was never opened."""
    books = Books(connection, "", now, {})
    books.load(Needs(queues={provider}))
    account = books.account(provider)
    queue = Queue(books, account, endpoint, claim_id="")
    parked = is_parked(account, now)
    try_at = next_try_at(account, now) if parked else None
    return Outlook(
        provider=provider,
        endpoint=endpoint,
        next_start_at=moment(max(now, queue.planned_at(0.0))),
        waiting=waiting,
        in_flight=in_flight(connection, provider, now),
        max_in_flight=account.rules.max_in_flight,
        credits_available=from_nano(None if account.credits is None else account.credits - account.credits_held),
        usd_available=from_nano(None if account.usd is None else account.usd - account.usd_held),
        parked_reason=account.parked_reason if parked else None,
        parked_until=None if try_at is None else moment(try_at),
        starts_last_minute=_starts_since(connection, provider, endpoint, now - _MINUTE_S) if queue.limited else None,
        mean_request_s=account.mean_request_s,
    )


def _starts_since(connection: Connection, provider: str, endpoint: Endpoint, moment_s: float) -> int:
    """Sent or permitted after that moment, by everybody."""
    [(number,)] = connection.execute(
        "SELECT count(*) FROM tickets WHERE provider = ? AND endpoint = ? AND at > ? AND stage > ?",
        (provider, str(endpoint), moment_s, CLAIM),
    )
    return int(number)


def in_flight(connection: Connection, provider: str, now: float) -> int:
    """Requests under way, over all processes that live."""
    [(number,)] = connection.execute(
        "SELECT count(DISTINCT a.reservation_id) FROM attempts a JOIN owners o ON o.owner = a.owner"
        " WHERE a.provider = ? AND a.open = 1 AND o.gone = 0 AND o.heartbeat_at > ?",
        (provider, now - LEASE_S),
    )
    return int(number)
