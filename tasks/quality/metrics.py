"""What changed, and how much. Levels are of 255; a difference is that of the channel that differs most."""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.channels import largest, largest_difference
from tasks.imaging.colour_match import RING_PX, drift_field
from tasks.imaging.holes import around
from tasks.imaging.picture import Pixels, Plane
from tasks.imaging.resize import resized, resized_mask, within

Counts: TypeAlias = NDArray[np.float64]
_SMOOTHED_PX: Final = 7  # a box of this side; JPEG's blocks of 8 average out, a logo's strokes do not
_CONTENT_SIDE: Final = 128  # what stood in a hole is looked at this small
_CONTENT_RING_PX: Final = 12


def differences(sent: Pixels, returned: Pixels, mask: Plane) -> dict[str, float]:
    """How much changed outside the mask, where nothing should, and inside, where something must."""
    delta = np.asarray(cv2.absdiff(sent, returned), dtype=np.uint8)
    change = largest(delta)
    part = around(mask, 0) or np.s_[0:1, 0:1]
    outside = _histogram(change, None) - _histogram(change[part], mask[part])
    seen = np.flatnonzero(outside > 0.5)
    furthest = float(seen[-1]) if len(seen) else 0.0
    return {
        "outside_max_delta": furthest,
        "outside_mean_delta": _mean(outside),
        "inside_change": float(np.mean(cv2.mean(delta[part], mask=mask[part])[:3])),
    } | _local_changes(sent, returned, mask, untouched=furthest == 0)


def _local_changes(sent: Pixels, returned: Pixels, mask: Plane, *, untouched: bool) -> dict[str, float]:
    """In and around the hole, with what has drifted there taken back.

    The 99th percentiles are of smoothed pictures: the grain that compression and softening change averages out, things
    that came or went do not.
    """
    part = around(mask, RING_PX) or np.s_[0:1, 0:1]
    before, after, hole = (np.ascontiguousarray(plane[part]) for plane in (sent, returned, mask))
    if untouched:
        return {
            "inside_p99": _percentile(_smoothed_change(before, after, hole), 0.99),
            "outside_p99": 0.0,
            "grain": 0.0,
        }
    field = drift_field(before, after, hole)
    if field is not None:
        after = np.clip(after + field, 0, 255).astype(np.uint8)
    # An edit's own blur reaches this far beyond the mask.
    reach = np.asarray(cv2.dilate(hole, np.ones((_SMOOTHED_PX, _SMOOTHED_PX), np.uint8)), dtype=np.uint8)
    return {
        "inside_p99": _percentile(_smoothed_change(before, after, hole), 0.99),
        "outside_p99": _percentile(_smoothed_change(before, after, 255 - reach), 0.99),
        "grain": _mean(_histogram(largest_difference(before, after), 255 - reach)),
    }


def content(sent: Pixels, mask: Plane) -> float:
    """How far what the mask marks stands out from its surroundings continued into it: the 99th percentile, smoothed."""
    part = around(mask, _CONTENT_RING_PX)
    if part is None:
        return 0.0
    size = within(mask[part].shape[1], mask[part].shape[0], _CONTENT_SIDE)
    ground, hole = resized(sent[part], *size), resized_mask(mask[part], *size)
    without = np.asarray(cv2.inpaint(ground, hole, 3, cv2.INPAINT_NS), dtype=np.uint8)  # follows a sky's gradient
    return _percentile(_smoothed_change(ground, without, hole), 0.99)


def _smoothed_change(before: Pixels, after: Pixels, where: Plane) -> Counts:
    a, b = (np.asarray(cv2.blur(p, (_SMOOTHED_PX, _SMOOTHED_PX)), dtype=np.uint8) for p in (before, after))
    return _histogram(largest_difference(a, b), where)


def _histogram(plane: Plane, where: Plane | None) -> Counts:
    return np.asarray(cv2.calcHist([plane], [0], where, [256], [0, 256]), dtype=np.float64).ravel()


def _mean(counts: Counts) -> float:
    total = float(counts.sum())
    return float(counts @ np.arange(256)) / total if total else 0.0


def _percentile(counts: Counts, share: float) -> float:
    cumulated = np.cumsum(counts)
    return float(np.searchsorted(cumulated, share * cumulated[-1])) if cumulated[-1] else 0.0
