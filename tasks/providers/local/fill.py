"""Remove what a mask marks: each group of holes is filled from its own surroundings, not from the far side of the picture."""

import cv2
import numpy as np

from tasks.imaging.holes import grow, hole_groups
from tasks.imaging.picture import Box, Pixels, Plane
from tasks.imaging.resize import resized, resized_mask, within
from tasks.providers.local.engines import Engine
from tasks.providers.local.ground import even_out


def fill_holes(pixels: Pixels, mask: Plane, engine: Engine) -> Pixels:
    """The picture with its holes filled; outside the mask equal in every byte. Width, height and order of work are the input's."""
    out = pixels.copy()
    for box in hole_groups(mask, gap=2 * engine.context_px):
        x1, y1, x2, y2 = _surroundings(box, engine, width=mask.shape[1], height=mask.shape[0])
        crop = np.s_[y1:y2, x1:x2]
        before, hole = np.ascontiguousarray(pixels[crop]), np.ascontiguousarray(mask[crop])
        filled = _fill_crop(before, hole, engine)
        if engine.even_out:
            filled = even_out(filled, before, hole)
        own = np.s_[box[1] : box[3], box[0] : box[2]]
        inside = np.s_[box[1] - y1 : box[3] - y1, box[0] - x1 : box[2] - x1]
        cv2.copyTo(filled[inside], mask[own], out[own])
    return out


def _surroundings(box: Box, engine: Engine, *, width: int, height: int) -> Box:
    short = min(box[2] - box[0], box[3] - box[1])
    margin = max(engine.context_px, round(engine.context_share * short))
    if engine.square:
        box = _squared(box)
    return grow(box, margin, width=width, height=height)


def _squared(box: Box) -> Box:
    x1, y1, x2, y2 = box
    side = max(x2 - x1, y2 - y1)
    left, top = x1 - (side - (x2 - x1)) // 2, y1 - (side - (y2 - y1)) // 2
    return left, top, left + side, top + side


def _fill_crop(pixels: Pixels, mask: Plane, engine: Engine) -> Pixels:
    height, width = mask.shape
    if engine.long_side is None or max(height, width) <= engine.long_side:
        return engine.fill(pixels, mask)
    size = within(width, height, engine.long_side)
    # Any touched pixel counts as hole, else the removed thing's rim would be taken for surroundings.
    filled = engine.fill(resized(pixels, *size), resized_mask(mask, *size))
    return resized(filled, width, height)
