"""What changed, and how much. Levels are of 255; a difference is that of the channel that differs most."""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.channels import largest_difference
from tasks.imaging.colour_match import MARGIN_PX, Fields, corrected, known_field
from tasks.imaging.holes import around, bounding_box, grow
from tasks.imaging.picture import Box, Pixels, Plane
from tasks.imaging.resize import resized, resized_mask, within

Counts: TypeAlias = NDArray[np.float64]
_SMOOTHED_PX: Final = 7  # a box of this side; JPEG's blocks of 8 average out, a logo's strokes do not
_CONTENT_SIDE: Final = 128  # what stood in a hole is looked at this small
_CONTENT_RING_PX: Final = 12
_STRIP_ROWS: Final = 64  # at 1080p 370 kB a picture, within a core's own cache; measured: a third of the time


def differences(sent: Pixels, returned: Pixels, mask: Plane, fields: Fields) -> dict[str, float]:
    """How much changed outside the mask, where nothing should, and inside, where something must.

    What is found of the drift around the holes is left in `fields`, for the composite.
    """
    furthest, mean = _outside(sent, returned, mask)
    box = bounding_box(mask) or (0, 0, 1, 1)
    part = np.s_[box[1] : box[3], box[0] : box[2]]
    inside = cv2.mean(cv2.absdiff(sent[part], returned[part]), mask=np.ascontiguousarray(mask[part]))
    return {
        "outside_max_delta": furthest,
        "outside_mean_delta": mean,
        "inside_change": float(np.mean(inside[:3])),
    } | _local_changes(sent, returned, mask, box, fields, untouched=furthest == 0)


def _outside(sent: Pixels, returned: Pixels, mask: Plane) -> tuple[float, float]:
    """The largest and the mean change outside the mask. Every pixel counts, a strip at a time: it stays in the cache."""
    furthest, total = 0.0, 0.0
    for top in range(0, len(mask), _STRIP_ROWS):
        strip = np.s_[top : top + _STRIP_ROWS]
        # The mask's 255 takes any change down to zero.
        change = cv2.subtract(largest_difference(sent[strip], returned[strip]), np.ascontiguousarray(mask[strip]))
        furthest = max(furthest, cv2.minMaxLoc(change)[1])
        total += cv2.sumElems(change)[0]
    return furthest, total / max(1, mask.size - cv2.countNonZero(mask))


def _local_changes(
    sent: Pixels, returned: Pixels, mask: Plane, box: Box, fields: Fields, *, untouched: bool
) -> dict[str, float]:
    """In and around the hole, with what has drifted there taken back.

    The 99th percentiles are of smoothed pictures: the grain that compression and softening change averages out, things
    that came or went do not.
    """
    x1, y1, x2, y2 = within = grow(box, MARGIN_PX, width=mask.shape[1], height=mask.shape[0])
    before, after, hole = (np.ascontiguousarray(plane[y1:y2, x1:x2]) for plane in (sent, returned, mask))
    field = known_field(fields, within, before, after, hole)
    if field is not None:
        after = corrected(after, field)
    smoothed = _smoothed_change(before, after)
    inside = _percentile(_histogram(smoothed, hole), 0.99)
    if untouched:
        return {"inside_p99": inside, "outside_p99": 0.0, "grain": 0.0}
    # An edit's own blur reaches this far beyond the mask.
    reach = np.asarray(cv2.dilate(hole, np.ones((_SMOOTHED_PX, _SMOOTHED_PX), np.uint8)), dtype=np.uint8)
    return {
        "inside_p99": inside,
        "outside_p99": _percentile(_histogram(smoothed, 255 - reach), 0.99),
        "grain": float(cv2.mean(largest_difference(before, after), mask=255 - reach)[0]),
    }


def content(sent: Pixels, returned: Pixels, mask: Plane) -> tuple[float, float]:
    """What the mask marks, as that which stands out from its surroundings continued into it.

    First by how many levels: the 99th percentile, smoothed. Then the share of it that the answer still has, by regression:
    about 1 in an echo however it was stored, about 0 where it is gone.
    """
    part = around(mask, _CONTENT_RING_PX)
    if part is None:
        return 0.0, 0.0
    size = within(mask[part].shape[1], mask[part].shape[0], _CONTENT_SIDE)
    ground, after, hole = resized(sent[part], *size), resized(returned[part], *size), resized_mask(mask[part], *size)
    without = np.asarray(cv2.inpaint(ground, hole, 3, cv2.INPAINT_NS), dtype=np.uint8)  # follows a sky's gradient
    there, still = (cv2.subtract(pixels, without, dtype=cv2.CV_32F) for pixels in (ground, after))
    drift = np.asarray(cv2.mean(cv2.subtract(after, ground, dtype=cv2.CV_32F), mask=255 - hole)[:3], dtype=np.float32)
    before, left = there[hole > 0].ravel(), (still - drift)[hole > 0].ravel()
    kept = float(before @ left) / max(float(before @ before), 1.0)
    return _percentile(_histogram(_smoothed_change(ground, without), hole), 0.99), kept


def _smoothed_change(before: Pixels, after: Pixels) -> Plane:
    a, b = (np.asarray(cv2.blur(p, (_SMOOTHED_PX, _SMOOTHED_PX)), dtype=np.uint8) for p in (before, after))
    return largest_difference(a, b)


def _histogram(plane: Plane, where: Plane) -> Counts:
    return np.asarray(cv2.calcHist([plane], [0], where, [256], [0, 256]), dtype=np.float64).ravel()


def _percentile(counts: Counts, share: float) -> float:
    cumulated = np.cumsum(counts)
    return float(np.searchsorted(cumulated, share * cumulated[-1])) if cumulated[-1] else 0.0
