"""What leaves now for one provider: batches filled to the brim, singles where they are quicker, or a short wait.

The rules, in order:

1. Full batches leave as soon as a batch request may start.
2. Rows beyond the batches that may start now leave singly, as far as single requests may: both endpoints are used up to
   both limits.
3. A remainder waits at most `linger_s` for company while more rows are coming.
4. Then it leaves: singly when it is small and that is quicker, else as one batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Protocol

from manifests.items import Operation
from tasks.routing.room import Room
from tasks.routing.views import ProviderView
from tasks.routing.work import Endpoint, Work


class Queued(Protocol):
    """One row routed to this provider and not yet sent: `Waiting`, or a driver's own entry that has these two."""

    @property
    def work(self) -> Work:
        """What is to be done."""
        ...

    @property
    def since(self) -> float:
        """When it joined, seconds since the epoch."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The least that a queued row can be."""

    work: Work
    since: float  # seconds since the epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """One request to be made now."""

    endpoint: Endpoint
    item_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """What leaves now. Ask again when a request ended, when a row joined, and at `wake_at`.

    `wake_at` None: no ticket and no company is waited for (all left, or only a free place in flight is missing).
    """

    sends: tuple[Send, ...] = ()
    wake_at: float | None = None  # seconds since the epoch


def pack(
    waiting: Sequence[Queued],
    view: ProviderView,
    *,
    now: float,
    more_coming: bool,
    linger_s: float,
    max_batch_bytes: int | None = None,
    most: int | None = None,
) -> Packing:
    """Decide for all rows that wait at one provider.

    Args:
        waiting: the rows, in the order in which they should leave.
        view: the provider now; its paces say what may start, `in_flight` what is under way.
        now: seconds since the epoch.
        more_coming: rows may still join these (being fetched or checked, or not yet read).
        linger_s: how long a remainder may wait for company.
        max_batch_bytes: of one batch request; None: no bound.
        most: what the breaker lets leave (`Admission.most`): None all of it, 1 one row alone, 0 nothing yet.
    """
    room = Room.of(view)
    if not waiting or not room.any:
        return _packing((), room, now, left=len(waiting), company_at=inf)
    if most is not None:
        sent = waiting[: room.take_singles(min(most, 1))]
        return _packing(_singles(sent), room, now, left=len(waiting) - len(sent), company_at=inf)
    groups = _groups(waiting, view, max_batch_bytes)
    sends: list[Send] = []
    rests: list[list[Queued]] = []
    for rows in groups.batched:
        full, rest = _cut(rows, view.batch_size, max_batch_bytes)
        leaving = room.take_batches(len(full))
        sends += [_batch(chunk) for chunk in full[:leaving]]
        over = [row for chunk in full[leaving:] for row in chunk]
        leaving = room.take_spare_singles(len(over))
        sends += _singles(over[:leaving])
        rests.append(over[leaving:] + rest)
    leaving = room.take_singles(len(groups.alone))
    sends += _singles(groups.alone[:leaving])
    left, company_at = len(groups.alone) - leaving, inf
    for rest in rests:
        lingers_until = rest[0].since + linger_s if rest and more_coming else -inf
        if 0 < len(rest) < view.batch_size and now < lingers_until and room.batches:
            company_at = min(company_at, lingers_until)
            continue
        gone = _remainder(rest, view, room)
        sends += gone
        left += len(rest) - sum(len(send.item_ids) for send in gone)
    return _packing(sends, room, now, left=left, company_at=company_at)


def _remainder(rest: Sequence[Queued], view: ProviderView, room: Room) -> list[Send]:
    """Less than a batch, or a batch that finds no ticket."""
    if not rest:
        return []
    small = 2 * len(rest) <= view.batch_size
    if small and _singly_s(len(rest), view, room) <= _together_s(len(rest), view):
        return _singles(rest[: room.take_singles(len(rest))])
    if len(rest) <= view.batch_size and room.take_batches(1):
        return [_batch(rest)]
    return _singles(rest[: room.take_spare_singles(len(rest))])


def _singly_s(rows: int, view: ProviderView, room: Room) -> float:
    """Seconds until so many singles are done."""
    crowd = ceil(rows / room.places) if room.places else inf
    latency_s = view.single.latency_s * max(1.0, crowd)
    return view.single.pace.start_in_s(room.singles_taken + rows - 1) + latency_s


def _together_s(rows: int, view: ProviderView) -> float:
    """Seconds until one batch of so many is done: between a single's time and a full batch's, by its size."""
    assert view.batch is not None  # noqa: S101 - rows are grouped only where there is a batch endpoint
    alone_s, full_s = view.single.latency_s, view.batch.latency_s
    return alone_s + max(0.0, full_s - alone_s) * (rows - 1) / (view.batch_size - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Groups:
    batched: list[list[Queued]]  # each list may share batches
    alone: list[Queued]


def _groups(waiting: Iterable[Queued], view: ProviderView, max_bytes: int | None) -> _Groups:
    batched: dict[tuple[Operation, frozenset[str]], list[Queued]] = {}
    alone: list[Queued] = []
    known: dict[tuple[Operation, frozenset[str]], list[Queued]] = {}  # by kind: thousands of rows are of few kinds
    for row in waiting:
        work = row.work
        kind = (work.operation, work.selectors)
        rows = known.get(kind)
        if rows is None:
            group = view.batch_group(work)
            rows = alone if group is None else batched.setdefault((work.operation, group), [])
            known[kind] = rows
        too_heavy = max_bytes is not None and work.bytes is not None and work.bytes > max_bytes
        (alone if too_heavy else rows).append(row)
    return _Groups(batched=list(batched.values()), alone=alone)


def _cut(rows: list[Queued], size: int, max_bytes: int | None) -> tuple[list[list[Queued]], list[Queued]]:
    """Full batches, in order, and the rest. A batch is full too when the next row's bytes find no room in it."""
    full: list[list[Queued]] = []
    chunk: list[Queued] = []
    held = 0
    for row in rows:
        weight = row.work.bytes or 0
        if chunk and max_bytes is not None and held + weight > max_bytes:
            full.append(chunk)
            chunk, held = [], 0
        chunk.append(row)
        held += weight
        if len(chunk) == size:
            full.append(chunk)
            chunk, held = [], 0
    return full, chunk


def _batch(rows: Sequence[Queued]) -> Send:
    return Send(endpoint=Endpoint.BATCH, item_ids=tuple(row.work.item_id for row in rows))


def _singles(rows: Iterable[Queued]) -> list[Send]:
    return [Send(endpoint=Endpoint.SINGLE, item_ids=(row.work.item_id,)) for row in rows]


def _packing(sends: Sequence[Send], room: Room, now: float, *, left: int, company_at: float) -> Packing:
    wait_s = room.next_ticket_in_s() if left else inf
    wake_at = min(now + wait_s, company_at)
    return Packing(sends=tuple(sends), wake_at=None if wake_at == inf else wake_at)
