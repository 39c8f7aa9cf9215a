"""How an edit sits in its surroundings: its seam and its detail."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.channels import largest
from tasks.imaging.holes import around
from tasks.imaging.picture import Pixels, Plane

_SEAM_RING_PX: Final = 6
_DETAIL_RING_PX: Final = 12
_NO_DETAIL: Final = 1.0  # levels of Laplacian: what a plain wall has; two plain walls are equally sharp


def seam(original: Pixels, composed: Pixels, mask: Plane) -> float:
    """Mean extra step across the mask's edge, beyond the steps that the surroundings have anyway."""
    part = around(mask, _SEAM_RING_PX)
    if part is None:
        return 0.0
    hole, kernel = np.ascontiguousarray(mask[part]), np.ones((3, 3), np.uint8)
    grown = cv2.dilate(hole, kernel)
    edge = cv2.subtract(grown, cv2.erode(hole, kernel, borderType=cv2.BORDER_REPLICATE))
    beside = cv2.subtract(cv2.dilate(grown, np.ones((7, 7), np.uint8)), cv2.dilate(grown, kernel))
    if not edge.any() or not beside.any():
        return 0.0
    return max(0.0, _mean(_steps(composed[part]), edge) - _mean(_steps(original[part]), beside))


def _mean(values: NDArray[Any], where: Any) -> float:
    return float(cv2.mean(values, mask=where)[0])


def _steps(pixels: Pixels) -> Plane:
    """Morphological gradient: the largest level difference among neighbours."""
    return largest(np.asarray(cv2.morphologyEx(pixels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))))


def sharpness(original: Pixels, composed: Pixels, mask: Plane) -> float:
    """Detail inside the mask over detail around it; 1 = alike, near 0 = a smear in a texture."""
    part = around(mask, _DETAIL_RING_PX)
    if part is None:
        return 1.0
    hole = np.ascontiguousarray(mask[part])
    inner = cv2.erode(hole, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    outer = cv2.bitwise_not(cv2.dilate(hole, np.ones((3, 3), np.uint8)))
    if not inner.any() or not outer.any():
        return 1.0
    beside, within = _mean(_detail(original[part]), outer), _mean(_detail(composed[part]), inner)
    return (within + _NO_DETAIL) / (beside + _NO_DETAIL)


def _detail(pixels: Pixels) -> NDArray[np.int16]:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.abs(np.asarray(cv2.Laplacian(grey, cv2.CV_16S), dtype=np.int16))


def spread(pixels: Pixels) -> float:
    """Standard deviation of the levels, the most varied channel."""
    return float(np.max(cv2.meanStdDev(pixels)[1]))
