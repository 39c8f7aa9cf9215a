"""The columns of manifests and results manifests, typed and documented. Outside interface: additions only.

Each field's metadata carries its description, so the Parquet files explain themselves.
"""

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1


def _column(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


MONEY: Final = pa.decimal128(18, 6)
UTC_TIME: Final = pa.timestamp("us", tz="UTC")

MANIFEST_SCHEMA: Final = pa.schema(
    [
        _column("item_id", pa.string(), "Unique name of the item; derived from the row's content when absent."),
        _column(
            "image_uri", pa.string(), "The picture: a local path, s3://, https:// or any fsspec URL.", nullable=False
        ),
        _column("operation", pa.string(), "object-removal (default) or background-replace."),
        _column("mask_uri", pa.string(), "The mask: white = remove or replace, black = keep."),
        _column("points", pa.list_(pa.list_(pa.int64())), "Point prompts [[x, y], …], pixels."),
        _column("labels", pa.list_(pa.int64()), "One per point: 1 = object, 0 = background."),
        _column("box", pa.list_(pa.int64()), "Box prompt [x1, y1, x2, y2], pixels."),
        _column("object_name", pa.string(), "The object in words, for providers that select by text."),
        _column("reference_uri", pa.string(), "The new background, for background-replace."),
        _column("prompt", pa.string(), "Words for the new scene, for background-replace."),
        _column("provider", pa.string(), "Pin the row to this provider."),
    ]
)

OUTCOME_SCHEMA: Final = pa.schema(
    [
        _column("run_id", pa.string(), "The run that wrote this row.", nullable=False),
        _column("batch_id", pa.string(), "The batch in which the row was worked on.", nullable=False),
        _column("state", pa.string(), "succeeded, failed, rejected, deferred or in_doubt.", nullable=False),
        _column("error_code", pa.string(), "Why not succeeded; null when succeeded. See docs/results.md."),
        _column("error_message", pa.string(), "The same for people, with the specifics."),
        _column("provider", pa.string(), "The provider whose result was delivered, or that was tried last."),
        _column("provider_pin", pa.string(), "What the manifest's own `provider` column said."),
        _column("attempts", pa.int32(), "Requests sent for this row in this run.", nullable=False),
        _column("output_uri", pa.string(), "The delivered picture."),
        _column("output_sha256", pa.string(), "SHA-256 of the delivered file, hex."),
        _column("width", pa.int32(), "Delivered width, pixels."),
        _column("height", pa.int32(), "Delivered height, pixels."),
        _column("content_key", pa.string(), "Identity of the work: picture, mask, operation and parameters."),
        _column("reused", pa.bool_(), "True when an earlier result was delivered again, unpaid.", nullable=False),
        _column("credits", MONEY, "Credits charged for this row in this run.", nullable=False),
        _column("cost_usd", MONEY, "US dollars charged for this row in this run.", nullable=False),
        _column("remote_id", pa.string(), "The provider's own id of the job."),
        _column(
            "quality_outside_max_delta",
            pa.float64(),
            "Largest channel difference outside the mask, as returned, 0 to 255.",
        ),
        _column("quality_inside_change", pa.float64(), "Mean channel difference inside the mask, 0 to 255."),
        _column("quality_inside_p99", pa.float64(), "The most changed percent inside the mask, smoothed, 0 to 255."),
        _column("quality_outside_mean_delta", pa.float64(), "Mean difference outside the mask, as returned, 0 to 255."),
        _column(
            "quality_outside_p99",
            pa.float64(),
            "The most changed percent around the mask, smoothed and drift taken back, 0 to 255.",
        ),
        _column("quality_grain", pa.float64(), "Mean change around the mask that is not drift: compression, 0 to 255."),
        _column("quality_outside_shift_px", pa.float64(), "How far the outside was moved, as returned, pixels."),
        _column("quality_similarity", pa.float64(), "Correlation with the original outside the mask, -1 to 1."),
        _column("quality_seam", pa.float64(), "Mean extra step across the mask's edge as delivered, 0 to 255."),
        _column("quality_sharpness", pa.float64(), "Detail inside the mask over detail around it; 1 = alike."),
        _column("repairs", pa.list_(pa.string()), "What preflight put right before sending."),
        _column("started_at", UTC_TIME, "When the row was first touched."),
        _column("finished_at", UTC_TIME, "When its outcome was final."),
        _column("duration_ms", pa.int64(), "Milliseconds between the two."),
        _column("schema_version", pa.int32(), "Version of this schema.", nullable=False),
    ]
)
