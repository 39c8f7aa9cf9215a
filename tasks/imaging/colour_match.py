"""How far a provider's colours have drifted, and the smooth correction that brings an edit back to its surroundings.

Two kinds of drift. A provider that shifted the whole picture shows it outside the mask, where the truth is known: the
difference there is continued smoothly into the hole. One that put the outside back itself shows a step along the seam
only: its median over the whole seam is taken off, when the seam agrees with itself.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.channels import largest_difference
from tasks.imaging.fields import Floats, continued
from tasks.imaging.picture import Pixels, Plane

RING_PX: Final = 16
"""The surroundings that are compared: wide enough to average over grain, near enough to share the hole's light."""
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
    weight = (ring > 0).astype(np.float32)
    difference = np.clip(original.astype(np.float32) - edited, -_LARGEST_CORRECTION, _LARGEST_CORRECTION)
    return continued(difference * weight[..., None], weight)


def seam_step(original: Pixels, edited: Floats, mask: Plane) -> Floats | None:
    """The constant, per channel, that levels a step along the whole seam. None: there is none, or it is content."""
    outer = _ring(mask, _BAND_PX)
    eroded = cv2.erode(mask, _disk(_BAND_PX), borderType=cv2.BORDER_REPLICATE)
    inner = np.asarray(cv2.subtract(mask, eroded), dtype=np.uint8)
    seam = _ring(mask, 1) > 0
    if not seam.any() or not inner.any():
        return None
    step = _local_mean(original.astype(np.float32), outer)[seam] - _local_mean(edited, inner)[seam]
    low, middle, high = np.percentile(step, (25, 50, 75), axis=0)
    agreed = (np.abs(middle) >= _LEAST_STEP) & (np.abs(middle) <= _LARGEST_STEP) & (high - low < np.abs(middle))
    return np.where(agreed, middle, 0).astype(np.float32) if agreed.any() else None


def _disk(radius: int) -> NDArray[np.uint8]:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), dtype=np.uint8)


def _ring(mask: Plane, pixels: int) -> Plane:
    """The surroundings of the mask, as wide as `pixels`."""
    return np.asarray(cv2.subtract(cv2.dilate(mask, _disk(pixels)), mask), dtype=np.uint8)


def _local_mean(values: Floats, where: Plane) -> Floats:
    """Around each pixel, the mean of those values that count."""
    size = (2 * _BAND_PX + 3, 2 * _BAND_PX + 3)
    weight = (where > 0).astype(np.float32)
    total = cv2.boxFilter(values * weight[..., None], -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(weight, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return (np.asarray(total) / np.maximum(np.asarray(count), 1e-3)[..., None]).astype(np.float32)
