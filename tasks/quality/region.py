"""Where an answer was edited, for rows that gave points, a box or words instead of a mask: the answer itself shows it."""

from typing import Final

import cv2
import numpy as np

from tasks.imaging.channels import largest
from tasks.imaging.picture import Box, Pixels, Plane

_CHANGED: Final = 12  # levels; recompression and mild drift stay below once blurred
_SPECK_SHARE: Final = 0.0002  # of the picture: smaller islands of change are noise
_BOX_MARGIN_SHARE: Final = 0.25


def edited_region(sent: Pixels, returned: Pixels, *, box: Box | None) -> Plane:
    """The mask of what changed: a smooth, closed region; with a box, what lies in and near it."""
    height, width = sent.shape[:2]
    delta = np.asarray(cv2.GaussianBlur(cv2.absdiff(sent, returned), (0, 0), 1.5), dtype=np.uint8)
    change = largest(delta)
    changed = np.where(change > float(np.median(change)) + _CHANGED, 255, 0).astype(np.uint8)
    radius = max(2, round(0.006 * max(height, width)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, disk)
    closed = _without_specks(np.asarray(closed, dtype=np.uint8), max(9, round(_SPECK_SHARE * height * width)))
    grown = np.asarray(cv2.dilate(closed, disk), dtype=np.uint8)
    return grown if box is None else _near(grown, box)


def _without_specks(mask: Plane, least: int) -> Plane:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return np.where(keep[labels], 255, 0).astype(np.uint8)


def _near(mask: Plane, box: Box) -> Plane:
    x1, y1, x2, y2 = box
    margin = round(_BOX_MARGIN_SHARE * max(x2 - x1, y2 - y1))
    allowed = np.zeros_like(mask)
    allowed[max(0, y1 - margin) : y2 + margin, max(0, x1 - margin) : x2 + margin] = 255
    return np.asarray(cv2.bitwise_and(mask, allowed), dtype=np.uint8)
