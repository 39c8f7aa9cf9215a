"""Before/after pairs for a page, worst first, within a budget of bytes and time."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from tasks.report.database import FILE, ROW, Database
from tasks.report.pictures import (
    Outline,
    PictureLimits,
    PictureUnavailableError,
    Thumbnail,
    decoded,
    encoded,
    mask_outline,
    prompt_outline,
    read_bounded,
)

_READERS: Final = 8  # at once: object stores answer in parallel, a disk does not mind
_SMALLER: Final = ((1.0, 78), (0.75, 70), (0.55, 62), (0.4, 50), (0.25, 40))  # share of the long side, WebP quality


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One edit to look at."""

    item_id: str
    score: int  # 100: nothing to see, 0: look at it; see views/review_queue.sql
    reason: str | None  # the sign that lowered the score: drift, seam or faint
    provider: str | None
    operation: str | None
    cost_usd: Decimal
    reused: bool
    before: Thumbnail
    after: Thumbnail
    outline: Outline | None


def worst_pairs(
    database: Database, file: str, *, count: int, max_bytes: int, limits: PictureLimits, deadline_s: float
) -> list[Pair]:
    """The `count` delivered items with the lowest review score; their thumbnails, in base64, stay under `max_bytes`.

    After `deadline_s` what has not been read is shown as missing: a store that hangs does not hold up the report.
    """
    rows = database.query(
        f"SELECT * FROM review_queue WHERE {FILE} = ? ORDER BY review_score, {ROW} LIMIT ?",  # noqa: S608 - our own names
        [file, count],
    )
    each = max_bytes * 3 // 4 // (2 * max(len(rows), 1))
    ends = time.monotonic() + deadline_s

    def pair(row: dict[str, Any]) -> Pair:
        left_s = max(ends - time.monotonic(), 0.001)
        return load_pair(row, replace(limits, read_timeout_s=min(limits.read_timeout_s, left_s)), each)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="gallery") as pool:
        return list(pool.map(pair, rows))


def load_pair(row: dict[str, Any], limits: PictureLimits, max_bytes_each: int) -> Pair:
    """One row of `review_queue` with its pictures."""
    before = fitting(row["image_uri"], limits, max_bytes_each)
    return Pair(
        item_id=row["item_id"] or "",
        score=row["review_score"],
        reason=row["review_reason"],
        provider=row["provider"],
        operation=row["operation"],
        cost_usd=row["cost_usd"],
        reused=row["reused"],
        before=before,
        after=fitting(row["output_uri"], limits, max_bytes_each),
        outline=outline_of(row, (before.source_width, before.source_height), limits),
    )


def fitting(uri: str | None, limits: PictureLimits, max_bytes: int) -> Thumbnail:
    """A thumbnail of at most `max_bytes`: smaller and coarser until it fits."""
    try:
        picture, size = decoded(read_bounded(uri, limits), limits)
    except PictureUnavailableError as reason:
        return Thumbnail(missing=str(reason))
    for scale, quality in _SMALLER:
        tighter = replace(limits, long_side=round(limits.long_side * scale), webp_quality=quality)
        made = encoded(picture, size, tighter)
        if len(made.data) <= max_bytes:
            return made
    return Thumbnail(missing="left out to keep the page small")


def outline_of(row: dict[str, Any], source_size: tuple[int, int], limits: PictureLimits) -> Outline | None:
    """What was selected in this row, by mask, box or points; None when by words or unreadable."""
    if row["mask_uri"]:
        return mask_outline(row["mask_uri"], limits)
    return prompt_outline(row["box"], row["points"], source_size)
