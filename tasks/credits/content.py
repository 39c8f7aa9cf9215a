"""What is known about pictures: finished ones by their content, fingerprints of remote files, and providers' callbacks."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from tasks.credits.books import Books
from tasks.credits.clock import moment
from tasks.credits.database import Connection
from tasks.credits.errors import LedgerMisuse
from tasks.credits.facts import AttemptState, Callback, Delivery, FileVersion, PastAttempt, StoredDelivery
from tasks.credits.money import from_nano, to_nano
from tasks.credits.records import DELIVERY_COLUMNS
from tasks.credits.redaction import payload_without_secrets

T = TypeVar("T")
AT_ONCE: Final = 20_000  # keys in one statement
_PAST: Final = tuple(PastAttempt.__dataclass_fields__)
_SIGNING: Final = frozenset(
    {"signature", "sig", "token", "x-amz-signature", "x-goog-signature", "x-amz-security-token"}
)


def check_delivery(delivery: Delivery) -> None:
    """LedgerMisuse when its address is a signed one: those end, and are secrets."""
    names = {name.lower() for name, _ in parse_qsl(urlsplit(delivery.output_uri).query, keep_blank_values=True)}
    if names & _SIGNING:
        raise LedgerMisuse(f"the output of {delivery.content_key} must be stored under an address that is not signed")


def deliver(books: Books, delivery: Delivery) -> None:
    """The latest picture of a content is the one that is reused."""
    row = (
        delivery.content_key,
        delivery.output_uri,
        delivery.sha256,
        delivery.width,
        delivery.height,
        delivery.media_type,
        delivery.provider,
        to_nano(delivery.credits),
        to_nano(delivery.usd),
        json.dumps(dict(delivery.quality), sort_keys=True),
        books.now,
    )
    books.put_delivery(row)


def forget(books: Books, content_keys: Sequence[str]) -> None:
    """Their files are gone."""
    wanted = books.connection.members(content_keys)
    books.connection.execute("DELETE FROM deliveries WHERE content_key IN_LIST", (wanted,))
    books.delivered.difference_update(content_keys)


def deliveries(connection: Connection, content_keys: Iterable[str]) -> dict[str, Delivery]:
    """Those that are known."""
    found: dict[str, Delivery] = {}
    for keys in _chunks(content_keys):
        sql = f"SELECT {', '.join(DELIVERY_COLUMNS)} FROM deliveries WHERE content_key IN_LIST"  # noqa: S608 - our own names
        for *plain, credits_, usd, quality, _ in connection.execute(sql, (connection.members(keys),)):
            facts: dict[str, Any] = dict(zip(DELIVERY_COLUMNS, plain, strict=False))
            facts |= {"credits": from_nano(credits_), "usd": from_nano(usd), "quality": json.loads(quality)}
            found[facts["content_key"]] = Delivery(**facts)
    return found


def stored_deliveries(connection: Connection, content_keys: Iterable[str]) -> list[StoredDelivery]:
    """Those that are known, as the books have them; for tens of thousands."""
    sql = f"SELECT {', '.join(StoredDelivery._fields)} FROM deliveries WHERE content_key IN_LIST"  # noqa: S608 - our own names
    chunks = (connection.execute(sql, (connection.members(keys),)) for keys in _chunks(content_keys))
    return [StoredDelivery._make(row) for rows in chunks for row in rows]


def has_deliveries(connection: Connection) -> bool:
    """Whether there are any."""
    return bool(connection.execute("SELECT 1 FROM deliveries LIMIT 1"))


def attempts_of(connection: Connection, content_keys: Iterable[str], run_id: str | None = None) -> list[PastAttempt]:
    """Every attempt for these contents, oldest first; `run_id`: of this run alone."""
    columns, of_run = ", ".join(_PAST), "" if run_id is None else "AND run_id = ?"
    found = []
    for keys in _chunks(content_keys):
        sql = f"SELECT {columns} FROM attempts WHERE content_key IN_LIST {of_run} ORDER BY reserved_at, attempt_key"  # noqa: S608 - our own names
        for row in connection.execute(sql, (connection.members(keys), *([] if run_id is None else [run_id]))):
            facts = dict(zip(_PAST, row, strict=True))
            facts |= {
                "state": AttemptState(facts["state"]),
                "credits": from_nano(facts["credits"]),
                "usd": from_nano(facts["usd"]),
                "reserved_at": moment(facts["reserved_at"]),
            }
            found.append(PastAttempt(**facts))
    return found


def fingerprints(connection: Connection, files: Sequence[FileVersion]) -> dict[FileVersion, str]:
    """Those that are known. Addresses are kept as hashes only: they may be signed."""
    return _fingerprints(connection, {_file_key(file.uri, file.version): file for file in files})


def fingerprints_by_uri(connection: Connection, versions: Mapping[str, str]) -> dict[str, str]:
    """The same for files whose `versions` are given by their addresses."""
    return _fingerprints(connection, {_file_key(uri, version): uri for uri, version in versions.items()})


def _fingerprints(connection: Connection, by_key: Mapping[str, T]) -> dict[T, str]:
    found: dict[T, str] = {}
    for keys in _chunks(by_key):
        sql = "SELECT file_key, fingerprint FROM fingerprints WHERE file_key IN_LIST"
        for key, fingerprint in connection.execute(sql, (connection.members(keys),)):
            found[by_key[key]] = fingerprint
    return found


def remember_fingerprints(books: Books, known: Mapping[FileVersion, str]) -> None:
    """A file of this version has this fingerprint."""
    rows = [(_file_key(file.uri, file.version), fingerprint, books.now) for file, fingerprint in known.items()]
    conflict = "ON CONFLICT (file_key) DO UPDATE SET fingerprint = excluded.fingerprint, seen_at = excluded.seen_at"
    if rows:
        books.connection.insert("fingerprints", ("file_key", "fingerprint", "seen_at"), rows, conflict)


def put_callback(books: Books, provider: str, remote_id: str, payload: str, received_at: float) -> bool:
    """Keep a verified delivery; False when the same one came before."""
    key = hashlib.sha256(payload.encode()).hexdigest()
    found = books.connection.execute(
        "INSERT INTO callbacks (provider, remote_id, payload_key, payload, received_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING payload_key",
        (provider, remote_id, key, payload, received_at),
    )
    return bool(found)


def callbacks(connection: Connection, provider: str, remote_ids: Sequence[str]) -> dict[str, Callback]:
    """The newest of each."""
    rows = connection.execute(
        "SELECT remote_id, payload, received_at FROM callbacks WHERE provider = ? AND remote_id IN_LIST"
        " ORDER BY received_at, payload_key",
        (provider, connection.members(remote_ids)),
    )
    return {
        remote_id: Callback(
            provider=provider, remote_id=remote_id, payload_json=payload, received_at=moment(received_at)
        )
        for remote_id, payload, received_at in rows
    }


def callback_payload(payload_json: str) -> str:
    """As it may be kept. LedgerMisuse when it is no JSON."""
    try:
        return payload_without_secrets(payload_json)
    except ValueError as error:
        raise LedgerMisuse(f"a callback's payload must be JSON: {error}") from None


def _file_key(uri: str, version: str) -> str:
    return hashlib.sha256(f"{uri}\0{version}".encode()).hexdigest()


def _chunks(keys: Iterable[str]) -> Iterable[list[str]]:
    everything = list(dict.fromkeys(keys))
    return (everything[first : first + AT_ONCE] for first in range(0, len(everything), AT_ONCE))
