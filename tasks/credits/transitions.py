"""What may happen to an attempt, and what that does to the money held. Each function checks first and then changes."""

from tasks.credits.books import Books
from tasks.credits.errors import LedgerMisuse
from tasks.credits.facts import AttemptState
from tasks.credits.parking import end_probe
from tasks.credits.records import OPEN, Attempt

_SMOOTHING = 0.1  # weight of the newest request in mean_request_s


def accept(books: Books, attempt: Attempt, at: float, remote_id: str | None, request_id: str | None) -> None:
    """The provider took it; whoever had parked the account was wrong, or it was topped up."""
    if attempt.state not in (*OPEN, AttemptState.IN_DOUBT):
        raise LedgerMisuse(f"attempt {attempt.attempt_key} is {attempt.state}: it cannot be accepted any more")
    attempt.state = AttemptState.ACCEPTED
    attempt.open = attempt.claims = 1
    attempt.owner = books.owner
    attempt.accepted_at = at
    attempt.sent_at = attempt.sent_at or at
    attempt.remote_id = remote_id or attempt.remote_id
    attempt.request_id = request_id or attempt.request_id
    end_probe(books.account(attempt.provider), at, attempt.reservation_id, works=True)


def settle(books: Books, attempt: Attempt, at: float, credits_charged: int, usd_charged: int) -> None:
    """Charged: give back what was held, book what was taken. The same words twice are one.

    Also an attempt that somebody released in error: money that was taken is booked.
    """
    if attempt.state == AttemptState.SETTLED:
        if (attempt.credits, attempt.usd) != (credits_charged, usd_charged):
            raise LedgerMisuse(f"attempt {attempt.attempt_key} is settled already, with other amounts")
        return
    if attempt.open:
        _give_back(books, attempt)
    _charge(books, attempt, at, credits_charged, usd_charged)
    attempt.credits, attempt.usd = credits_charged, usd_charged
    _close(attempt, AttemptState.SETTLED, at)
    end_probe(books.account(attempt.provider), at, attempt.reservation_id, works=True)


def _charge(books: Books, attempt: Attempt, at: float, credits_charged: int, usd_charged: int) -> None:
    account, run = books.account(attempt.provider), books.run(attempt.run_id)
    sent_at = attempt.sent_at or attempt.reserved_at
    if account.read_at is None or sent_at > account.read_at:  # else the balance was read after it, and has it
        account.credits = None if account.credits is None else account.credits - credits_charged
        account.usd = None if account.usd is None else account.usd - usd_charged
    account.credits_spent += credits_charged
    account.usd_spent += usd_charged
    run.spent += usd_charged
    if attempt.open == 1:
        mean, seen = account.mean_request_s, max(at - sent_at, 0.0)
        account.mean_request_s = seen if mean is None else mean + _SMOOTHING * (seen - mean)


def release(books: Books, attempt: Attempt, at: float, reason: str) -> None:
    """Not charged: give everything back."""
    if attempt.state == AttemptState.RELEASED:
        return
    if attempt.state == AttemptState.SETTLED:
        raise LedgerMisuse(f"attempt {attempt.attempt_key} is settled: it cannot be released")
    _give_back(books, attempt)
    attempt.note = reason
    _close(attempt, AttemptState.RELEASED, at)
    end_probe(books.account(attempt.provider), at, attempt.reservation_id, works=False)


def doubt(attempt: Attempt, at: float, note: str) -> None:
    """May have been charged: the money stays held, and the content is not sent again."""
    if attempt.state in (AttemptState.SETTLED, AttemptState.RELEASED):
        raise LedgerMisuse(f"attempt {attempt.attempt_key} is {attempt.state}: there is no doubt about it")
    attempt.state = AttemptState.IN_DOUBT
    attempt.open = 2
    attempt.owner = ""
    attempt.finished_at = at
    attempt.note = note


def hand_over(attempt: Attempt) -> None:
    """Still open, but this process answers for it no longer: `recover` finds it."""
    if attempt.open == 1:
        attempt.owner = ""


def _give_back(books: Books, attempt: Attempt) -> None:
    account, run = books.account(attempt.provider), books.run(attempt.run_id)
    account.credits_held -= attempt.credits_held
    account.usd_held -= attempt.usd_held
    run.held -= attempt.usd_held


def _close(attempt: Attempt, state: AttemptState, at: float) -> None:
    attempt.state = state
    attempt.open = attempt.claims = 0
    attempt.finished_at = at
    attempt.owner = ""
