"""Skies, walls and studio backdrops: where the surroundings are smooth, a fill made of patches must be as smooth.

PatchMatch copies patches from where the light is a little different, which shows on plain ground as blotches and streaks.
The fill keeps its own grain, and takes its light from its surroundings.
"""

from typing import Final

import cv2
import numpy as np

from tasks.imaging.fields import Floats, continued, membrane
from tasks.imaging.picture import Pixels, Plane

_SMOOTH_BELOW, _TEXTURED_ABOVE = 3.0, 6.0
"""Levels by which the surroundings differ from their own slow part: film grain and JPEG stay below the one, wood and fur above the other."""
_RING_PX: Final = 24
_GRAIN_PX: Final = 3.0  # sigma: what is finer is the fill's own grain, and stays


def even_out(filled: Pixels, original: Pixels, mask: Plane) -> Pixels:
    """The fill of one crop, its slow changes of light replaced by those of its surroundings, as far as these are smooth."""
    ring = _ring(mask)
    if not ring.any():
        return filled
    weight = (ring > 0).astype(np.float32)
    around = original.astype(np.float32)
    light = membrane(around, ring)
    detail = np.abs(around - light).mean(axis=2, keepdims=True)
    roughness = continued(np.repeat(detail, 3, axis=2) * weight[..., None], weight)[..., :1]
    smooth = np.clip((_TEXTURED_ABOVE - roughness) / (_TEXTURED_ABOVE - _SMOOTH_BELOW), 0, 1)
    if not np.any(smooth[mask > 0]):
        return filled
    values = filled.astype(np.float32)
    slow = np.asarray(cv2.GaussianBlur(values, (0, 0), _GRAIN_PX), dtype=np.float32)
    evened: Floats = values + smooth * (light - slow)
    return np.clip(np.rint(evened), 0, 255).astype(np.uint8)


def _ring(mask: Plane) -> Plane:
    size = 2 * _RING_PX + 1
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return np.asarray(cv2.subtract(grown, mask), dtype=np.uint8)
