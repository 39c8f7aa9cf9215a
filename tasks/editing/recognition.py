"""Which rows of a block need no work: those that are no items, and those whose content was delivered before and is still there."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.items import Item
from manifests.outcomes import Outcome
from manifests.results import rejection
from manifests.row_blocks import RowBlock
from tasks.credits import Delivery
from tasks.editing.deliveries import paid_outcome, reused_outcome
from tasks.editing.runtime import Runtime
from tasks.editing.sources import item_key

UNKNOWN: Final = -1


def recognise(block: RowBlock, runtime: Runtime) -> tuple[list[Outcome], NDArray[np.int64]]:
    """Outcomes that rows share, and of each row which one is its own, or UNKNOWN. Not for the event loop's thread."""
    outcomes: list[Outcome] = []
    of_kind = np.full(len(block.items) + 1, UNKNOWN)  # the last one stands for rows that are no items
    for kind, delivery in enumerate(_deliveries(block.items, runtime)):
        if delivery is not None:
            of_kind[kind] = len(outcomes)
            outcomes.append(reused_outcome(block.items[kind].item_id, delivery))
    which = of_kind[block.kinds]
    _tell_what_was_paid(block, outcomes, which, runtime)
    for position, fault in block.faults.items():
        which[position] = len(outcomes)
        outcomes.append(rejection(fault))
    return outcomes, which


def _tell_what_was_paid(block: RowBlock, outcomes: list[Outcome], which: NDArray[np.int64], runtime: Runtime) -> None:
    """Rows that this very run paid for before its process died are told with what they cost it."""
    keys = {outcome.content_key for outcome in outcomes if outcome.content_key is not None}
    paid = runtime.run(runtime.deliveries.paid_for(keys))
    if not paid:
        return
    ids = block.table["item_id"]
    of_paid = pc.is_in(ids, value_set=pa.array(list(paid), pa.string()))
    for position in pc.indices_nonzero(of_paid).to_pylist():
        if which[position] != UNKNOWN:
            attempts = paid[ids[position].as_py()]
            outcomes.append(paid_outcome(outcomes[which[position]], attempts))
            which[position] = len(outcomes) - 1


def _deliveries(items: Sequence[Item], runtime: Runtime) -> list[Delivery | None]:
    """Of each item: what was delivered for its content, if its file is still there."""
    uris = {uri for item in items for uri in (item.image_uri, item.mask_uri, item.reference_uri) if uri is not None}
    hashes = runtime.run(runtime.sources.look_at_many(uris)) if uris else {}
    keys = [_key(item, hashes, runtime.plan.config.output_format) for item in items]
    wanted = {key for key in keys if key is not None}
    found = runtime.run(runtime.ledger.delivered(wanted)) if wanted else {}
    there = runtime.run(runtime.storage.look_at_many({delivery.output_uri for delivery in found.values()}))
    good = {key: delivery for key, delivery in found.items() if delivery.output_uri in there}
    return [None if key is None else good.get(key) for key in keys]


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
