"""The sandbox's own bill: who was charged what, when, for which picture. Written by nobody else's code.

An account is a vendor and the fingerprint of a key; the key itself is kept nowhere. Money is held when work is accepted,
charged when it is done, released when it is not: an account is never charged more than it holds.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tasks.providers.sandbox.clock import Clock, iso

_TABLE = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    vendor TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount TEXT NOT NULL,
    credits TEXT NOT NULL,
    usd TEXT NOT NULL,
    request_id TEXT,
    job_id TEXT,
    reference TEXT,
    item TEXT,
    picture_sha256 TEXT
)
"""
_COLUMNS = [
    "at",
    "vendor",
    "account",
    "kind",
    "unit",
    "amount",
    "credits",
    "usd",
    "request_id",
    "job_id",
    "reference",
    "item",
    "picture_sha256",
]
_INSERT = f"INSERT INTO entries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - constants


class BillError(Exception):
    """The file cannot hold the bill; the message says why."""


def fingerprint(key: str) -> str:
    """How an account is named without its key: 12 hex digits of the key's SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What one picture costs. `unit` says which of the two the account holds."""

    unit: str  # credits or usd
    credits: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)

    @property
    def amount(self) -> Decimal:
        """In the account's unit."""
        return self.credits if self.unit == "credits" else self.usd


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What was charged for."""

    request_id: str
    job_id: str
    item: str  # file name or other name that the client gave
    reference: str | None = None  # idempotency key, client_ref or track_id
    picture_sha256: str | None = None  # of the bytes received


@dataclass(slots=True)
class Account:
    """What one key holds, in its vendor's unit."""

    vendor: str
    id: str
    unit: str
    balance: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    opened: Decimal = Decimal(0)
    topped_up: Decimal = Decimal(0)
    credits_charged: Decimal = Decimal(0)
    usd_charged: Decimal = Decimal(0)
    charges: int = 0

    @property
    def available(self) -> Decimal:
        """Neither spent nor held for work under way."""
        return self.balance - self.held


@dataclass(slots=True)
class Hold:
    """Money set aside for one picture; settled once, by `charge` or `release`."""

    bill: "Bill" = field(repr=False)
    account: Account
    price: Price
    settled: bool = False

    def charge(self, work: Work) -> None:
        """The work is done: the money is spent."""
        if not self.settled:
            self.release()
            self.bill.enter(self.account, "charge", self.price, work)

    def release(self) -> None:
        """The work came to nothing: the money is free again."""
        if not self.settled:
            self.settled = True
            self.account.held -= self.price.amount


class Bill:
    """Accounts and entries. With a file, entries survive the process, and accounts go on from them."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[tuple[str, str], Account] = {}
        # one event loop writes; a control request may read in another thread of the same process under test
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # survives the process, not the machine
            self._db.execute(_TABLE)
        except sqlite3.Error as error:
            raise BillError(f"the bill cannot be kept in {path}: {error}") from error
        for entry in self.entries():
            self._book(entry)

    def account(self, vendor: str, key: str, *, unit: str, opening: Decimal) -> Account:
        """The account behind a key, opened on first sight."""
        mark = (vendor, fingerprint(key))
        if mark not in self._accounts:
            account = self._accounts[mark] = Account(vendor=vendor, id=mark[1], unit=unit)
            self.enter(account, "open", _in_unit(unit, opening))
        return self._accounts[mark]

    def accounts(self, vendor: str | None = None, account: str | None = None) -> list[Account]:
        """Accounts seen so far, of this vendor, of this id."""
        return [a for a in self._accounts.values() if vendor in (None, a.vendor) and account in (None, a.id)]

    def hold(self, account: Account, price: Price) -> Hold | None:
        """Set money aside; None: there is not enough."""
        if account.available < price.amount:
            return None
        account.held += price.amount
        return Hold(bill=self, account=account, price=price)

    def top_up(self, account: Account, amount: Decimal) -> None:
        """Credits came; a negative amount takes some away."""
        self.enter(account, "top_up", _in_unit(account.unit, amount))

    def enter(self, account: Account, kind: str, price: Price, work: Work | None = None) -> None:
        """Write one entry, and book it."""
        entry: dict[str, str | None] = {
            "at": iso(self._clock.now()),
            "vendor": account.vendor,
            "account": account.id,
            "kind": kind,
            "unit": account.unit,
            "amount": str(price.amount),
            "credits": str(price.credits),
            "usd": str(price.usd),
            "request_id": work.request_id if work else None,
            "job_id": work.job_id if work else None,
            "reference": work.reference if work else None,
            "item": work.item if work else None,
            "picture_sha256": work.picture_sha256 if work else None,
        }
        self._db.execute(_INSERT, [entry[column] for column in _COLUMNS])
        self._book(entry)

    def _book(self, entry: dict[str, str | None]) -> None:
        vendor, account_id, unit = str(entry["vendor"]), str(entry["account"]), str(entry["unit"])
        account = self._accounts.setdefault((vendor, account_id), Account(vendor=vendor, id=account_id, unit=unit))
        amount = Decimal(str(entry["amount"]))
        if entry["kind"] == "charge":
            account.balance -= amount
            account.credits_charged += Decimal(str(entry["credits"]))
            account.usd_charged += Decimal(str(entry["usd"]))
            account.charges += 1
        else:
            account.balance += amount
            if entry["kind"] == "open":
                account.opened += amount
            else:
                account.topped_up += amount

    def entries(self, vendor: str | None = None, account: str | None = None) -> Iterator[dict[str, str | None]]:
        """Every entry in the order of writing."""
        rows = self._db.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM entries"  # noqa: S608 - constants
            " WHERE vendor = coalesce(?, vendor) AND account = coalesce(?, account) ORDER BY id",
            (vendor, account),
        )
        for row in rows:
            yield dict(zip(_COLUMNS, row, strict=True))

    def close(self) -> None:
        """Give the file back."""
        self._db.close()


def _in_unit(unit: str, amount: Decimal) -> Price:
    return Price(unit=unit, credits=amount) if unit == "credits" else Price(unit=unit, usd=amount)
