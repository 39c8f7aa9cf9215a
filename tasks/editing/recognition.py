"""Which rows of a block need no work: those that are no items, and those whose content was delivered before and is still there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.items import Item
from manifests.outcomes import Outcome
from manifests.results import outcomes_table, rejection
from manifests.row_blocks import RowBlock
from tasks.credits import StoredDelivery
from tasks.editing.deliveries import paid_outcome, reused_outcome, reused_outcomes
from tasks.editing.runtime import Runtime
from tasks.editing.sources import item_key

UNKNOWN: Final = -1


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Recognised:
    """What is known of a block's rows. `which`: of each row, its outcome among `reused` and then `others`, or UNKNOWN."""

    reused: pa.Table  # outcomes of contents, each for any number of rows
    others: Sequence[Outcome]  # each of one row
    which: NDArray[np.int64]

    def outcomes(self, rows: NDArray[np.bool_]) -> pa.Table:
        """Of these rows, all of which must be known: `results.outcomes_table`, one each."""
        which = pa.array(self.which[rows])
        if not self.others:
            return self.reused.take(which)
        every = [self.reused, outcomes_table(self.others)]
        return pa.concat_tables(every, promote_options="default").take(which)


def recognise(block: RowBlock, runtime: Runtime) -> Recognised:
    """Ask the ledger and the stores. Not for the event loop's thread."""
    keys = _keys(block.items, runtime)
    found = _still_there(keys, runtime)
    place = {delivery.content_key: number for number, delivery in enumerate(found)}
    of_kind = np.array([*(UNKNOWN if key is None else place.get(key, UNKNOWN) for key in keys), UNKNOWN])
    which = of_kind[block.kinds]  # the last kind stands for rows that are no items
    own = {**_paid_here(block, found, which, runtime), **{n: rejection(fault) for n, fault in block.faults.items()}}
    which[list(own)] = len(found) + np.arange(len(own))
    return Recognised(reused=reused_outcomes(found), others=list(own.values()), which=which)


def _paid_here(
    block: RowBlock, found: Sequence[StoredDelivery], which: NDArray[np.int64], runtime: Runtime
) -> dict[int, Outcome]:
    """Rows that this very run paid for before its process died, by position: not reused, but at what they cost it."""
    paid = runtime.run(runtime.deliveries.paid_for([delivery.content_key for delivery in found]))
    if not paid:
        return {}
    ids = block.table["item_id"]
    positions = pc.indices_nonzero(pc.is_in(ids, value_set=pa.array(list(paid), pa.string()))).to_pylist()
    keys = {position: found[which[position]].content_key for position in positions if which[position] != UNKNOWN}
    whole = runtime.run(runtime.ledger.delivered(set(keys.values())))
    names = {position: ids[position].as_py() for position in keys}
    return {
        position: paid_outcome(reused_outcome(names[position], whole[key]), paid[names[position]])
        for position, key in keys.items()
    }


def _still_there(keys: Sequence[str | None], runtime: Runtime) -> list[StoredDelivery]:
    """What was delivered for these contents, where the file is still there."""
    wanted = {key for key in keys if key is not None}
    found = runtime.run(runtime.ledger.stored_deliveries(wanted)) if wanted else []
    there = runtime.run(runtime.storage.look_at_many({delivery.output_uri for delivery in found}))
    return [delivery for delivery in found if delivery.output_uri in there]


def _keys(items: Sequence[Item], runtime: Runtime) -> list[str | None]:
    """Content keys; None where the hash of a file is not known."""
    uris = {uri for item in items for uri in (item.image_uri, item.mask_uri, item.reference_uri) if uri is not None}
    hashes = runtime.run(runtime.sources.look_at_many(uris)) if uris else {}
    return [_key(item, hashes, runtime.plan.config.output_format) for item in items]


def _key(item: Item, hashes: dict[str, str], output_format: str) -> str | None:
    """The content key, where the hash of each file is known."""
    if item.image_uri not in hashes:
        return None
    for uri in (item.mask_uri, item.reference_uri):
        if uri is not None and uri not in hashes:
            return None
    return item_key(
        item,
        image=hashes[item.image_uri],
        mask=hashes[item.mask_uri] if item.mask_uri else None,
        reference=hashes[item.reference_uri] if item.reference_uri else None,
        output_format=output_format,
    )
