"""The tables, one list of migrations for both databases, and each column's type for bulk writes.

Money is bigint billionths (`money.py`), times are POSIX seconds. `attempts.open`: 1 under way, 2 in doubt, 0 closed; it
changes only at the end of a life, so that the partial indexes are not rewritten at every step.
"""

from typing import Final

_FIRST: Final = (
    """CREATE TABLE accounts (
        provider text PRIMARY KEY, terms text NOT NULL, opened_at double precision NOT NULL,
        credits bigint, credits_held bigint NOT NULL DEFAULT 0, credits_spent bigint NOT NULL DEFAULT 0,
        usd bigint, usd_held bigint NOT NULL DEFAULT 0, usd_spent bigint NOT NULL DEFAULT 0,
        read_at double precision, blocked_until double precision NOT NULL DEFAULT 0,
        guard_s double precision NOT NULL DEFAULT 0,
        parked_reason text, parked_until double precision, empty smallint NOT NULL DEFAULT 0,
        probe_at double precision,
        probe text, probing_until double precision, mean_request_s double precision)""",
    """CREATE TABLE runs (
        run_id text PRIMARY KEY, budget bigint, held bigint NOT NULL DEFAULT 0, spent bigint NOT NULL DEFAULT 0,
        opened_at double precision NOT NULL)""",
    """CREATE TABLE attempts (
        attempt_key text PRIMARY KEY, reservation_id text NOT NULL, run_id text NOT NULL, item_id text NOT NULL,
        provider text NOT NULL, endpoint text NOT NULL, content_key text, state text NOT NULL,
        open smallint NOT NULL, claims smallint NOT NULL, owner text NOT NULL,
        credits_held bigint NOT NULL, usd_held bigint NOT NULL, credits bigint NOT NULL, usd bigint NOT NULL,
        reserved_at double precision NOT NULL, sent_at double precision, accepted_at double precision,
        finished_at double precision, remote_id text, request_id text, note text)""",
    "CREATE INDEX attempts_of_run ON attempts (run_id)",
    "CREATE INDEX attempts_open ON attempts (provider, owner) WHERE open > 0",
    "CREATE INDEX attempts_of_content ON attempts (content_key)",
    """CREATE TABLE tickets (
        ticket_id text PRIMARY KEY, provider text NOT NULL, endpoint text NOT NULL, at double precision NOT NULL,
        megapixels double precision NOT NULL, stage smallint NOT NULL, owner text NOT NULL)""",
    "CREATE INDEX tickets_in_order ON tickets (provider, at)",
    "CREATE INDEX tickets_pending ON tickets (provider) WHERE stage < 2",
    """CREATE TABLE owners (
        owner text PRIMARY KEY, place text NOT NULL, process text NOT NULL, opened_at double precision NOT NULL,
        heartbeat_at double precision NOT NULL, gone smallint NOT NULL DEFAULT 0, tx bigint NOT NULL DEFAULT 0)""",
    """CREATE TABLE deliveries (
        content_key text PRIMARY KEY, output_uri text NOT NULL, sha256 text NOT NULL, width bigint NOT NULL,
        height bigint NOT NULL, media_type text NOT NULL, provider text NOT NULL, credits bigint NOT NULL,
        usd bigint NOT NULL, quality text NOT NULL, delivered_at double precision NOT NULL)""",
    "CREATE TABLE fingerprints (file_key text PRIMARY KEY, fingerprint text NOT NULL, seen_at double precision NOT NULL)",
    """CREATE TABLE callbacks (
        provider text NOT NULL, remote_id text NOT NULL, payload_key text NOT NULL, payload text NOT NULL,
        received_at double precision NOT NULL, PRIMARY KEY (provider, remote_id, payload_key))""",
    """CREATE TABLE balance_events (
        event_id text PRIMARY KEY, provider text NOT NULL, at double precision NOT NULL, kind text NOT NULL,
        credits bigint, usd bigint, credits_counted bigint, usd_counted bigint, source text NOT NULL)""",
    "CREATE INDEX balance_events_in_order ON balance_events (provider, at)",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)  # append only: entry n takes version n to n + 1

# Bulk writes on PostgreSQL pass whole columns as arrays, which must be typed.
TYPES: Final[dict[str, str]] = {
    **dict.fromkeys(("credits_held", "usd_held", "credits_spent", "usd_spent", "credits", "usd"), "bigint"),
    **dict.fromkeys(("credits_counted", "usd_counted"), "bigint"),
    **dict.fromkeys(("budget", "held", "spent", "width", "height", "tx"), "bigint"),
    **dict.fromkeys(("reserved_at", "sent_at", "accepted_at", "finished_at", "at", "megapixels"), "double precision"),
    **dict.fromkeys(("opened_at", "seen_at", "delivered_at", "received_at", "heartbeat_at"), "double precision"),
    **dict.fromkeys(("read_at", "blocked_until", "parked_until", "probe_at", "probing_until"), "double precision"),
    **dict.fromkeys(("mean_request_s", "guard_s"), "double precision"),
    **dict.fromkeys(("open", "claims", "gone", "stage", "empty"), "smallint"),
}  # every other column is text


def type_of(column: str) -> str:
    """The SQL type of a column; one name has one type in all tables."""
    return TYPES.get(column, "text")
