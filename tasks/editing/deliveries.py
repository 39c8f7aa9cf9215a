"""What earlier work delivered for the same content, and whether it is still there."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa

from manifests.outcomes import Outcome, State
from manifests.results import align, outcomes_schema
from tasks.credits import AttemptState, Delivery, Ledger, PastAttempt, StoredDelivery
from tasks.editing.storage import Storage
from tasks.editing.together import AskedTogether


class Deliveries:
    """One run's view of the ledger's deliveries. Belongs to one event loop."""

    def __init__(self, ledger: Ledger, storage: Storage, *, run_id: str, reuse: bool) -> None:
        """`reuse` False: what was delivered before this process began is forgotten when its content comes up again."""
        self._ledger = ledger
        self._run_id = run_id
        self._begun_before: bool | None = None  # this run has paid for something; None: not looked yet
        self._storage = storage
        self._reuse = reuse
        self._own: set[str] = set()
        self._known: dict[str, Delivery | None] = {}
        self._asked = AskedTogether(ledger.delivered)

    async def prefetch(self, keys: Iterable[str]) -> None:
        """Look at the ledger once for many; the next `get` of each needs no look."""
        wanted = [key for key in keys if key not in self._known]
        found = await self._ledger.delivered(wanted) if wanted else {}
        self._known.update({key: found.get(key) for key in wanted})

    async def get(self, key: str) -> Delivery | None:
        """The delivery whose file is still there; one whose file is gone is forgotten."""
        delivery = self._known.pop(key, None) or await self._asked.answer(key)
        if delivery is None:
            return None
        wanted = self._reuse or key in self._own
        if wanted and await self._storage.exists(delivery.output_uri):
            return delivery
        await self._ledger.forget_deliveries([key])
        return None

    async def paid_here(self, outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
        """Of rows that seem reused, those that this very run paid for before its process died: with what they cost it, by item id."""
        paid = await self.paid_for({one.content_key for one in outcomes if one.reused and one.content_key is not None})
        return {
            one.item_id: paid_outcome(one, paid[one.item_id]) for one in outcomes if one.reused and one.item_id in paid
        }

    async def paid_for(self, keys: Collection[str]) -> dict[str, list[PastAttempt]]:
        """What this very run has paid for these contents, in this process or before it, by item id."""
        if self._begun_before is None and keys:
            self._begun_before = bool(await self._ledger.statement(run_id=self._run_id))
        if not keys or not self._begun_before:
            return {}
        paid: dict[str, list[PastAttempt]] = defaultdict(list)
        for past in await self._ledger.attempts_of(keys, run_id=self._run_id):
            if past.state is AttemptState.SETTLED:
                paid[past.item_id].append(past)
        return dict(paid)

    def made(self, key: str) -> None:
        """This process delivered it."""
        self._own.add(key)


def paid_outcome(outcome: Outcome, attempts: Sequence[PastAttempt]) -> Outcome:
    """A row that seemed reused, with what this run paid for it."""
    return replace(
        outcome,
        reused=False,
        attempts=len(attempts),
        credits=sum((one.credits for one in attempts), Decimal(0)),
        cost_usd=sum((one.usd for one in attempts), Decimal(0)),
        remote_id=attempts[-1].remote_id,
    )


def reused_outcomes(found: Sequence[StoredDelivery]) -> pa.Table:
    """`results.outcomes_table` of what `reused_outcome` says of each, without an object each."""
    columns = dict(zip(StoredDelivery._fields, zip(*found, strict=True), strict=True)) if found else {}
    count, quality = len(found), json.loads(f"[{','.join(one.quality for one in found)}]")
    metrics = sorted(set().union(*quality))
    facts = {
        "state": pa.repeat(pa.scalar(str(State.SUCCEEDED)), count),
        "output_sha256": columns.pop("sha256", ()),
        "reused": pa.repeat(pa.scalar(value=True), count),
        "repairs": pa.array([[]] * count, pa.list_(pa.string())),
        **{f"quality_{name}": [one.get(name) for one in quality] for name in metrics},
        **{name: columns.get(name, ()) for name in ("provider", "output_uri", "width", "height", "content_key")},
    }
    schema = outcomes_schema(metrics)
    given = pa.schema([field for field in schema if field.name in facts])
    return align(pa.table({name: facts[name] for name in given.names}, schema=given), schema)


def reused_outcome(item_id: str, delivery: Delivery) -> Outcome:
    """A row that needed no new edit."""
    return Outcome(
        item_id=item_id,
        state=State.SUCCEEDED,
        provider=delivery.provider,
        output_uri=delivery.output_uri,
        output_sha256=delivery.sha256,
        width=delivery.width,
        height=delivery.height,
        content_key=delivery.content_key,
        reused=True,
        quality=dict(delivery.quality),
    )
