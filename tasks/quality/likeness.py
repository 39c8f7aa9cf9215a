"""Is an answer the same picture, in the same place? Looked at small: structure, not grain."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.picture import Pixels, Plane

_GREEN: Final = 1  # stands for lightness, of which it is the largest part
_COMPARED_SIDE: Final = 128
_PLAIN: Final = 3.0  # levels: surroundings that vary less cannot tell one picture from another
_ALIGNED_SIDE: Final = 512  # two pixels of a 1080p picture are half a pixel here, which phase correlation can tell
_SURE_OF_SHIFT: Final = 0.15  # of phase correlation's response, 0 to 1; plain pictures stay below
_SLOW_CHANGES: Final = 6.0  # sigma, pixels of the small picture


def similarity(sent: Pixels, returned: Pixels, mask: Plane) -> float:
    """Correlation of lightness (green, its largest part) outside the mask, -1 to 1; 1 when the outside is too plain to tell."""
    size = (_COMPARED_SIDE, _COMPARED_SIDE)
    outside = _outside(mask, size)
    if np.count_nonzero(outside) < 16:
        return 1.0
    a, b = (_small(pixels[..., _GREEN], size, finer=1)[outside] for pixels in (sent, returned))
    a, b = a - a.mean(), b - b.mean()
    if a.std() < _PLAIN:
        return 1.0
    return float((a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


def shift_px(sent: Pixels, returned: Pixels, mask: Plane) -> float:
    """How far the outside has moved, pixels as sent, by phase correlation; 0 when nothing in it tells."""
    height, width = mask.shape
    scale = min(1.0, _ALIGNED_SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    outside = _outside(mask, size)
    a, b = (np.where(outside, _edges(_small(pixels[..., _GREEN], size)), 0) for pixels in (sent, returned))
    if min(a.std(), b.std()) < 1:
        return 0.0
    window = np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), dtype=np.float32)
    (x, y), response = cv2.phaseCorrelate(a, b, window)
    return float(np.hypot(x, y) / scale) if response > _SURE_OF_SHIFT else 0.0


def _outside(mask: Plane, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.equal(_small(mask, size), 0)


def _small(plane: Plane, size: tuple[int, int], *, finer: int = 2) -> NDArray[np.float32]:
    """Whole rows and columns are skipped first, down to `finer` times the size: averaging all costs more than it tells."""
    step = max(1, min(plane.shape[1] // (finer * size[0]), plane.shape[0] // (finer * size[1])))
    thinned = np.ascontiguousarray(plane[::step, ::step])
    return np.asarray(cv2.resize(thinned, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _edges(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the slow changes, which drift in colour makes too."""
    return lightness - np.asarray(cv2.GaussianBlur(lightness, (0, 0), _SLOW_CHANGES), dtype=np.float32)
