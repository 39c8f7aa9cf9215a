"""Put a new background behind a subject whose own pixels stay untouched, with an edge that shows no rim of the old one."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.picture import Pixels, Plane


def composite_background(original: Pixels, edited: Pixels, mask: Plane, *, matte_px: float = 1.5) -> Pixels:
    """The original's subject (mask 0) in front of `edited` (mask 255); the subject is equal to the original in every byte.

    Just outside the subject the background is mixed with the *subject's* nearest colour, not with the original there: that
    would be the old background, shining as a rim.

    Args:
        original: height × width × 3.
        edited: the same size, the new background or a whole result that holds it.
        mask: the same size, 255 = background.
        matte_px: width of the softened edge, pixels, all of it in the background; 0 = hard.
    """
    background = mask > 0
    out = np.where(background[..., None], edited, original).astype(np.uint8)
    if matte_px <= 0 or background.all() or not background.any():
        return out
    depth, labels = cv2.distanceTransformWithLabels(mask, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    band = background & (depth <= matte_px)
    subject_colour = _colour_by_label(original, np.asarray(labels), ~background)[labels[band]]
    weight = (1 - depth[band] / (matte_px + 1))[:, None]
    mixed = edited[band] + weight * (subject_colour - edited[band].astype(np.float32))
    out[band] = np.rint(mixed).astype(np.uint8)
    return out


def _colour_by_label(original: Pixels, labels: NDArray[Any], subject: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Row i: the colour of the subject's pixel that OpenCV labelled i."""
    colours = np.zeros((int(labels.max()) + 1, 3), np.float32)
    colours[labels[subject]] = original[subject]
    return colours
