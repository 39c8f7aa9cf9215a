"""The books as one transaction sees them: loaded once, changed in memory, written at the end in a few bulk statements."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.credits.database import Connection, Row
from tasks.credits.errors import LedgerMisuse
from tasks.credits.owners import LEASE_S, is_alive
from tasks.credits.records import (
    ACCOUNT_COLUMNS,
    ACCOUNT_ROW,
    ATTEMPT_CHANGE_ROW,
    ATTEMPT_CHANGES,
    ATTEMPT_COLUMNS,
    ATTEMPT_ROW,
    DELIVERY_COLUMNS,
    RUN_COLUMNS,
    RUN_ROW,
    Account,
    Attempt,
    Run,
    overwriting,
)
from tasks.credits.tickets import Tickets


@dataclass(slots=True)
class Needs:
    """What the operations of one transaction want to look at."""

    providers: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)  # providers whose tickets and in-flight counts matter
    every_account: bool = False


@dataclass(slots=True)
class Claimant:
    """Who holds a content key."""

    attempt_key: str
    in_doubt: bool  # or left behind by a process that died


class Books:
    """Accounts, runs, attempts, tickets and contents of one transaction."""

    def __init__(self, connection: Connection, owner: str, now: float, mine: dict[str, Attempt]) -> None:
        """`mine`: the open attempts of this owner, which nobody else can have changed."""
        self.connection = connection
        self.owner = owner
        self.now = now
        self._mine = mine
        self._accounts: dict[str, Account] = {}
        self._runs: dict[str, Run] = {}
        self._stored: dict[str, Attempt] = {}
        self.changed: dict[str, Attempt] = {}  # by attempt key; new ones too
        self._new: set[str] = set()
        self._retaken: set[str] = set()
        self._unchanged: set[Row] = set()  # rows of accounts and runs as they were loaded
        self._deliveries: dict[str, Row] = {}
        self._in_flight: dict[str, int] = {}
        self.claimants: dict[str, Claimant] = {}
        self.delivered: set[str] = set()
        self.tickets = Tickets(connection, owner, now)

    # Loading

    def load(self, needs: Needs) -> None:
        """Read what was asked for, each kind with one statement."""
        missing = [key for key in needs.attempts if key not in self._mine]
        if missing:
            self._load_attempts(missing)
        for attempt in self._stored.values():
            needs.providers.add(attempt.provider)
            needs.runs.add(attempt.run_id)
        self._load_accounts(needs)
        for row in self._select("runs", RUN_COLUMNS, "run_id", needs.runs):
            self._runs[row[0]] = Run(*row)
            self._unchanged.add(row)
        if needs.contents:
            self._load_contents(needs.contents)
        for provider in needs.queues:
            if provider in self._accounts:
                self._load_queue(self._accounts[provider])

    def _load_accounts(self, needs: Needs) -> None:
        if needs.every_account:
            rows = self.connection.execute(f"SELECT {', '.join(ACCOUNT_COLUMNS)} FROM accounts")  # noqa: S608 - our own names
        else:
            rows = self._select("accounts", ACCOUNT_COLUMNS, "provider", needs.providers | needs.queues)
        self._accounts = {row[0]: Account(*row) for row in rows}
        self._unchanged.update(rows)

    def _select(self, table: str, columns: Iterable[str], key: str, values: Iterable[str]) -> list[Row]:
        wanted = list(values)
        if not wanted:
            return []
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} IN_LIST"  # noqa: S608 - our own names
        return self.connection.execute(sql, (self.connection.members(wanted),))

    def _load_attempts(self, keys: Iterable[str]) -> None:
        for row in self._select("attempts", ATTEMPT_COLUMNS, "attempt_key", keys):
            self._stored[row[0]] = Attempt(*row)

    def _load_contents(self, keys: set[str]) -> None:
        wanted = (self.connection.members(list(keys)),)
        found = self.connection.execute(
            "SELECT a.content_key, a.attempt_key, a.open, o.place, o.process, o.heartbeat_at, o.gone"
            " FROM attempts a LEFT JOIN owners o ON o.owner = a.owner WHERE a.claims = 1 AND a.content_key IN_LIST",
            wanted,
        )
        for content_key, attempt_key, is_open, place, process, heartbeat_at, gone in found:
            lives = place is not None and not gone and is_alive(place, process, heartbeat_at, self.now)
            under_way = is_open == 1 and lives
            self.claimants[content_key] = Claimant(attempt_key, in_doubt=not under_way)
        rows = self.connection.execute("SELECT content_key FROM deliveries WHERE content_key IN_LIST", wanted)
        self.delivered.update(row[0] for row in rows)

    def _load_queue(self, account: Account) -> None:
        self.tickets.load(account)
        if account.rules.max_in_flight is not None:
            [(others,)] = self.connection.execute(
                "SELECT count(DISTINCT a.reservation_id) FROM attempts a JOIN owners o ON o.owner = a.owner"
                " WHERE a.provider = ? AND a.open = 1 AND a.owner <> ? AND o.gone = 0 AND o.heartbeat_at > ?",
                (account.provider, self.owner, self.now - LEASE_S),
            )
            self._in_flight[account.provider] = others

    # Looking

    def accounts(self) -> list[Account]:
        """Those that were loaded."""
        return list(self._accounts.values())

    def account(self, provider: str) -> Account:
        """LedgerMisuse when it was never opened."""
        if provider not in self._accounts:
            raise LedgerMisuse(f"the account '{provider}' was never opened")
        return self._accounts[provider]

    def run(self, run_id: str) -> Run:
        """LedgerMisuse when it was never opened."""
        if run_id not in self._runs:
            raise LedgerMisuse(f"the run '{run_id}' was never opened")
        return self._runs[run_id]

    def find_account(self, provider: str) -> Account | None:
        """The account, or None."""
        return self._accounts.get(provider)

    def find_run(self, run_id: str) -> Run | None:
        """The run, or None."""
        return self._runs.get(run_id)

    def owner_lives(self, owner: str) -> bool:
        """Whether somebody answers for this owner's attempts."""
        rows = self.connection.execute(
            "SELECT place, process, heartbeat_at, gone FROM owners WHERE owner = ?", (owner,)
        )
        return any(not gone and is_alive(place, process, beat, self.now) for place, process, beat, gone in rows)

    def attempt(self, key: str) -> Attempt | None:
        """The attempt, to be changed in place; None when there is none."""
        if key not in self.changed:
            known = self._mine.get(key) or self._stored.get(key)
            if known is None:
                return None
            self.changed[key] = Attempt(*ATTEMPT_ROW(known))
        return self.changed[key]

    def in_flight(self, provider: str) -> int:
        """Requests under way, over all processes."""
        mine = {a.reservation_id for key, a in self._mine.items() if key not in self.changed and a.provider == provider}
        mine |= {a.reservation_id for a in self.changed.values() if a.open == 1 and a.provider == provider}
        return self._in_flight.get(provider, 0) + len(mine)

    # Changing

    def add(self, attempt: Attempt, *, replaces: bool) -> None:
        """Write a new attempt, or take a released one up again."""
        self.changed[attempt.attempt_key] = attempt
        (self._retaken if replaces else self._new).add(attempt.attempt_key)
        if attempt.content_key is not None:
            self.claimants[attempt.content_key] = Claimant(attempt.attempt_key, in_doubt=False)

    def add_account(self, account: Account) -> None:
        """A new account."""
        self._accounts[account.provider] = account

    def add_run(self, run: Run) -> None:
        """A new run."""
        self._runs[run.run_id] = run

    def put_delivery(self, row: Row) -> None:
        """A finished picture, as a row of DELIVERY_COLUMNS."""
        self._deliveries[row[0]] = row
        self.delivered.add(row[0])

    # Writing

    def flush(self) -> None:
        """Write every change, each kind with one statement."""
        whole = self._new | self._retaken
        new = [ATTEMPT_ROW(self.changed[key]) for key in self._new]
        retaken = [ATTEMPT_ROW(self.changed[key]) for key in self._retaken - self._new]
        moved = [ATTEMPT_CHANGE_ROW(attempt) for key, attempt in self.changed.items() if key not in whole]
        accounts = [row for row in map(ACCOUNT_ROW, self._accounts.values()) if row not in self._unchanged]
        runs = [row for row in map(RUN_ROW, self._runs.values()) if row not in self._unchanged]
        deliveries = list(self._deliveries.values())
        if new:
            self.connection.insert("attempts", ATTEMPT_COLUMNS, new)
        for columns, rows in ((ATTEMPT_COLUMNS, retaken), (ATTEMPT_CHANGES, moved)):
            if rows:
                self.connection.update("attempts", columns, rows)
        for table, columns, rows in (
            ("accounts", ACCOUNT_COLUMNS, accounts),
            ("runs", RUN_COLUMNS, runs),
            ("deliveries", DELIVERY_COLUMNS, deliveries),
        ):
            if rows:
                self.connection.insert(table, columns, rows, overwriting(columns))
        self.tickets.flush()
