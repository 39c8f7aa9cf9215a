"""Where a mask's holes lie: their boxes, grouped when they are near, so that each group can be worked on by itself."""

from typing import Final

import cv2
import numpy as np

from tasks.imaging.picture import Box, Plane

_COARSE_SIDE: Final = 256
"""Grouping happens on a mask shrunk to this: thousands of specks cost no more than one hole."""


def bounding_box(mask: Plane) -> Box | None:
    """The smallest box around all that is set; None when nothing is."""
    x, y, width, height = cv2.boundingRect(mask)
    return (x, y, x + width, y + height) if width and height else None


def grow(box: Box, pixels: int, *, width: int, height: int) -> Box:
    """The box with a margin, cut off at the picture's borders."""
    x1, y1, x2, y2 = box
    return max(0, x1 - pixels), max(0, y1 - pixels), min(width, x2 + pixels), min(height, y2 + pixels)


def around(mask: Plane, margin: int) -> tuple[slice, slice] | None:
    """The rows and columns of all that is set, with a margin of pixels; None when nothing is set."""
    box = bounding_box(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = grow(box, margin, width=mask.shape[1], height=mask.shape[0])
    return slice(y1, y2), slice(x1, x2)


def hole_groups(mask: Plane, *, gap: int) -> list[Box]:
    """Boxes of the holes, top to bottom; holes less than about `gap` pixels apart share one.

    The boxes may overlap when holes are entangled; each set pixel lies in at least one.
    """
    whole = bounding_box(mask)
    if whole is None:
        return []
    x1, y1, x2, y2 = whole
    region = mask[y1:y2, x1:x2]
    step = max(1, -(-max(region.shape) // _COARSE_SIDE))
    coarse = _shrink(region, step)
    reach = max(1, gap // (2 * step))
    size = 2 * reach + 1
    joined = cv2.dilate(coarse, np.ones((size, size), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    boxes = []
    for label in range(1, count):
        box = bounding_box(np.where(labels == label, coarse, 0).astype(np.uint8))
        if box is not None:
            boxes.append(_refine(mask, (x1, y1), box, step))
    return sorted(boxes, key=lambda b: (b[1], b[0]))


def _shrink(region: Plane, step: int) -> Plane:
    """Each cell of step × step pixels is set when any of them is."""
    grown = cv2.dilate(region, np.ones((step, step), np.uint8), anchor=(0, 0))
    return np.ascontiguousarray(np.asarray(grown, dtype=np.uint8)[::step, ::step])


def _refine(mask: Plane, origin: tuple[int, int], coarse: Box, step: int) -> Box:
    """From cells back to the exact pixels."""
    x1, y1, x2, y2 = (origin[i % 2] + value * step for i, value in enumerate(coarse))
    inner = bounding_box(np.ascontiguousarray(mask[y1:y2, x1:x2]))
    assert inner is not None  # noqa: S101 - a cell is set because a pixel in it is
    return x1 + inner[0], y1 + inner[1], x1 + inner[2], y1 + inner[3]
