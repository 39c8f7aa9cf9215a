"""Put a reference picture behind a subject: cover-fit, and its light brought towards the subject's."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.matte import composite_background
from tasks.imaging.picture import Pixels, Plane
from tasks.imaging.resize import resized

_STRENGTH: Final = 0.35
"""How far the new background is moved towards the subject's light: enough to sit together, too little to see it was moved."""
_MOST_LIGHTNESS, _MOST_COLOUR = 14.0, 6.0  # levels of OpenCV's 8-bit Lab: a dark scene stays dark, a red one red


def replace_background(pixels: Pixels, mask: Plane, reference: Pixels) -> Pixels:
    """The picture with `reference` where the mask is set. The subject, where it is not, is equal in every byte."""
    height, width = mask.shape
    scene = _match_light(cover_fit(reference, width=width, height=height), pixels, mask)
    return composite_background(pixels, scene, mask)


def cover_fit(reference: Pixels, *, width: int, height: int) -> Pixels:
    """Scaled to cover the frame, its middle kept."""
    scale = max(width / reference.shape[1], height / reference.shape[0])
    size = max(width, round(reference.shape[1] * scale)), max(height, round(reference.shape[0] * scale))
    scaled = resized(reference, *size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def _match_light(scene: Pixels, pixels: Pixels, mask: Plane) -> Pixels:
    subject = np.where(mask == 0, 255, 0).astype(np.uint8)
    if not subject.any():
        return scene
    lab = _lab(scene)
    wanted, present = _mean(_lab(pixels), subject), np.asarray(cv2.mean(lab)[:3])
    most = np.array([_MOST_LIGHTNESS, _MOST_COLOUR, _MOST_COLOUR])
    shift = np.clip(_STRENGTH * (wanted - present), -most, most)
    moved = np.clip(lab.astype(np.float32) + shift.astype(np.float32), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), dtype=np.uint8)


def _lab(pixels: Pixels) -> NDArray[Any]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB))


def _mean(lab: NDArray[Any], where: Plane) -> NDArray[Any]:
    return np.asarray(cv2.mean(lab, mask=where)[:3])
