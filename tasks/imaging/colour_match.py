"""How far a provider's colours have drifted, and the smooth correction that brings an edit back to its surroundings.

Two kinds of drift. A provider that shifted the whole picture shows it outside the mask, where the truth is known: the
difference there is continued smoothly into the hole. One that put the outside back itself shows a step along the seam
only: its median over the whole seam is taken off, when the seam agrees with itself.
"""

from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.channels import largest_difference
from tasks.imaging.fields import Floats, continued
from tasks.imaging.picture import Box, Pixels, Plane

RING_PX: Final = 16
"""The surroundings that are compared: wide enough to average over grain, near enough to share the hole's light."""
MARGIN_PX: Final = RING_PX + 1
"""How much is cut out around holes that are worked on together."""
Fields: TypeAlias = dict[Box, Floats | None]
"""What `drift_field` found, by the part of the picture that it was given: the gate and the composite ask for the same."""
_LARGEST_CORRECTION: Final = 64.0  # levels of 255; beyond it the surroundings were repainted, not shifted
_BAND_PX: Final = 4
_LEAST_STEP, _LARGEST_STEP = 2.0, 24.0  # levels; below it does not show, above it is content, not drift


def drift_field(original: Pixels, edited: Pixels, mask: Plane) -> Floats | None:
    """What to add to `edited` inside the mask: height × width × 3 in levels. None: outside, nothing has drifted.

    All three cover one hole with at least `RING_PX` of surroundings where the picture has them.
    """
    ring = _ring(mask, RING_PX)
    if not cv2.bitwise_and(largest_difference(original, edited), ring).any():
        return None
    difference = cv2.subtract(original, edited, dtype=cv2.CV_32F)
    limited = np.clip(difference, -_LARGEST_CORRECTION, _LARGEST_CORRECTION)
    return continued(np.asarray(cv2.copyTo(limited, ring), dtype=np.float32), (ring > 0).astype(np.float32))


def known_field(fields: Fields, box: Box, original: Pixels, edited: Pixels, mask: Plane) -> Floats | None:
    """`drift_field` of what these pictures hold in this box, worked out once."""
    if box not in fields:
        fields[box] = drift_field(original, edited, mask)
    return fields[box]


def seam_step(original: Pixels, edited: Pixels, field: Floats | None, mask: Plane) -> Floats | None:
    """The constant, per channel, that levels a step along the whole seam. None: there is none, or it is content.

    `field`, the correction that was found already, is smooth: at the seam it is its own local mean.
    """
    seam = np.nonzero(_ring(mask, 1))
    eroded = cv2.erode(mask, _square(_BAND_PX), borderType=cv2.BORDER_REPLICATE)
    inner = np.asarray(cv2.subtract(mask, eroded), dtype=np.uint8)
    if not len(seam[0]) or not inner.any():
        return None
    beyond, within = _local_mean(original, _ring(mask, _BAND_PX), seam), _local_mean(edited, inner, seam)
    step = beyond - within if field is None else beyond - within - field[seam]
    low, middle, high = np.percentile(step, (25, 50, 75), axis=0)
    agreed = (np.abs(middle) >= _LEAST_STEP) & (np.abs(middle) <= _LARGEST_STEP) & (high - low < np.abs(middle))
    return np.where(agreed, middle, 0).astype(np.float32) if agreed.any() else None


def corrected(edited: Pixels, field: Floats) -> Pixels:
    """The pixels with the correction added, rounded, kept within 0 to 255."""
    return np.asarray(cv2.add(edited, np.ascontiguousarray(field), dtype=cv2.CV_8U), dtype=np.uint8)


def _square(radius: int) -> NDArray[np.uint8]:
    """OpenCV grows and shrinks by squares row by row and column by column: ten times the speed of a disk of 33."""
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def _ring(mask: Plane, pixels: int) -> Plane:
    """The surroundings of the mask, as wide as `pixels`."""
    return np.asarray(cv2.subtract(cv2.dilate(mask, _square(pixels)), mask), dtype=np.uint8)


def _local_mean(pixels: Pixels, where: Plane, at: tuple[Any, ...]) -> Floats:
    """Around each of these places, the mean of those pixels that count."""
    size = (2 * _BAND_PX + 3, 2 * _BAND_PX + 3)
    total, count = (
        np.asarray(cv2.boxFilter(p, cv2.CV_32F, size, normalize=False, borderType=cv2.BORDER_CONSTANT))[at]
        for p in (cv2.copyTo(pixels, where), where)
    )
    return np.asarray(total / np.maximum(count / 255, 1e-3)[:, None], dtype=np.float32)
