"""An account out of order: no request, but for a single one now and then that tries whether it works again."""

from typing import Final

from tasks.credits.records import Account

PROBE_LEASE_S: Final = 600.0  # a probing request that is not heard of for so long is given up


def park(account: Account, now: float, reason: str, until: float | None, *, empty: bool) -> None:
    """No request until then; without a time, one probing request after a while."""
    account.parked_reason, account.parked_until, account.empty = reason, until, int(empty)
    account.probe = account.probing_until = None
    account.probe_at = None if until is not None else now + account.rules.probe_after_s
    if empty and account.credits is not None:
        account.credits, account.read_at = 0, now  # a 402 is a reading of nothing


def unpark(account: Account) -> None:
    """Requests may be made again."""
    account.parked_reason = account.parked_until = account.probe_at = account.probe = account.probing_until = None
    account.empty = 0


def is_parked(account: Account, now: float) -> bool:
    """Whether ordinary requests are refused."""
    return account.parked_reason is not None and (account.parked_until is None or account.parked_until > now)


def next_try_at(account: Account, now: float) -> float | None:
    """When a parked account may next be asked: not later than `now` means one probing request now; None: not known."""
    if account.parked_until is not None:
        return account.parked_until
    if account.probe is not None and (account.probing_until or 0.0) > now:
        return account.probing_until
    return account.probe_at


def begin_probe(account: Account, now: float, reservation_id: str) -> None:
    """This request tries it."""
    account.probe, account.probing_until = reservation_id, now + PROBE_LEASE_S


def end_probe(account: Account, now: float, reservation_id: str, *, works: bool) -> None:
    """The probing request came back; nothing happens for any other request."""
    if account.probe != reservation_id:
        return
    if works:
        unpark(account)
        if account.credits is not None and account.credits <= 0:
            account.credits = None  # it was wrong: unknown until it is read
        return
    account.probe = account.probing_until = None
    account.probe_at = now + account.rules.probe_after_s
