"""Pictures of rows as thumbnails: read where the row says, re-encoded, kept in memory within bounds. Never a file as it lies there."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeAlias

from tasks.report.dashboard.recent import Recent
from tasks.report.gallery import outline_of
from tasks.report.pictures import Outline, PictureLimits, Thumbnail, thumbnail

KINDS: Final[Mapping[str, str]] = {"before": "image_uri", "after": "output_uri", "mask": "mask_uri"}
SIZES: Final[Mapping[str, int]] = {"small": 120, "large": 1280}  # long side, pixels
_KEPT: Final[Mapping[str, int]] = {"small": 4_000, "large": 200}  # some 5 kB and 150 kB each
_READERS: Final = 6
_Key: TypeAlias = tuple[str, str]  # address, and what tells its versions apart


class Media:
    """Thumbnails and outlines, made once. Shared by threads."""

    def __init__(self, limits: PictureLimits) -> None:
        self.limits = limits
        self.pool = ThreadPoolExecutor(_READERS, thread_name_prefix="pictures")
        self._thumbnails = {size: Recent[_Key, Thumbnail](most) for size, most in _KEPT.items()}
        self._outlines = Recent[_Key, Outline | None](2_000)

    def picture(self, row: Mapping[str, Any], kind: str, size: str) -> Thumbnail:
        """One of a row's own pictures; what cannot be shown says why, and is read again next time."""
        uri = row[KINDS[kind]] or ""
        limits = replace(self.limits, long_side=SIZES[size])
        key, kept = (uri, row["output_sha256"] or ""), self._thumbnails[size]
        made = kept.get(key, lambda: thumbnail(uri, limits))
        if made.missing:
            kept.forget(key)
        return made

    def outline(self, row: Mapping[str, Any]) -> Outline | None:
        """What was selected in a row, over its picture."""
        return self._outlines.get(
            (row["image_uri"] or "", str((row["mask_uri"], row["box"], row["points"]))), lambda: self._drawn(row)
        )

    def close(self) -> None:
        """Stop reading; a read that hangs is left behind."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _drawn(self, row: Mapping[str, Any]) -> Outline | None:
        before = self.picture(row, "before", "large")
        return outline_of(dict(row), (before.source_width, before.source_height), self.limits)
