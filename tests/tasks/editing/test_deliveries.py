"""What is delivered again reads the same, whether told row by row or as a table."""

import json

import pyarrow as pa

from manifests.results import outcomes_table
from tasks.credits import Delivery, StoredDelivery
from tasks.editing.deliveries import reused_outcome, reused_outcomes

QUALITIES = ({}, {"sharpness": 1.5, "seam": 0}, {"seam": 2.25, "glow": 7})  # glow is a metric that no schema lists


def test_a_table_of_reused_outcomes_is_that_of_the_outcomes_one_by_one() -> None:
    deliveries = [
        Delivery(
            content_key=f"c1-{number}",
            output_uri=f"/out/{number}.jpg",
            sha256=f"{number:064x}",
            width=100 + number,
            height=50,
            media_type="image/jpeg",
            provider="maskr",
            quality=quality,
        )
        for number, quality in enumerate(QUALITIES)
    ]
    stored = [
        StoredDelivery(
            one.content_key, one.output_uri, one.sha256, one.width, one.height, one.provider, json.dumps(one.quality)
        )
        for one in deliveries
    ]

    table = reused_outcomes(stored)

    assert table.equals(outcomes_table([reused_outcome("any", one) for one in deliveries]))
    assert table["quality_glow"].to_pylist() == [None, None, 7.0]


def test_nothing_found_is_a_table_without_rows() -> None:
    assert reused_outcomes([]).equals(outcomes_table([]))
    assert reused_outcomes([]).schema.field("state").type == pa.string()
