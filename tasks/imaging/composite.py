"""Put an edit into its original so that the original's own pixels are never touched: the mask is a lock, not a hint."""

from typing import Final

import cv2
import numpy as np

from tasks.imaging.colour_match import MARGIN_PX, RING_PX, Fields, corrected, known_field, seam_step
from tasks.imaging.fields import Floats
from tasks.imaging.holes import bounding_box, grow, hole_groups
from tasks.imaging.picture import Box, Pixels, Plane

_BLEND_BELOW, _CUT_ABOVE = 16.0, 48.0
"""Levels of 255. Original and edit this alike are blended across the seam; this unalike, the removed thing itself reaches
the mask's edge, and blending would leave its ghost: there the edit is cut in hard."""


def composite(
    original: Pixels,
    edited: Pixels,
    mask: Plane,
    *,
    feather_px: float = 2.0,
    match_colour: bool = True,
    fields: Fields | None = None,
) -> Pixels:
    """The original, with `edited` where the mask is set; outside the mask equal to the original in every byte.

    Args:
        original: height × width × 3.
        edited: the same size, the provider's result.
        mask: the same size, 255 = edit.
        feather_px: width of the blend at the seam, pixels, all of it inside the mask; 0 = none.
        match_colour: bring drifted colours back to the surroundings.
        fields: drift that was found for these very pictures before.
    """
    out = original.copy()
    height, width = mask.shape
    for box in hole_groups(mask, gap=2 * RING_PX):
        x1, y1, x2, y2 = within = grow(box, MARGIN_PX, width=width, height=height)
        part = np.s_[y1:y2, x1:x2]
        before, after, hole = (np.ascontiguousarray(whole[part]) for whole in (original, edited, mask))
        target = after
        if match_colour:
            field = known_field({} if fields is None else fields, within, before, after, hole)
            target = _corrected(before, after, field, hole)
        _blend(out[part], before, target, _only(hole, box, (x1, y1)), hole, feather_px)
    return out


def _only(mask: Plane, box: Box, origin: tuple[int, int]) -> Plane:
    """The mask inside this group's own box; what a neighbour's box holds is the neighbour's."""
    own = np.zeros_like(mask)
    x1, y1, x2, y2 = (value - origin[i % 2] for i, value in enumerate(box))
    own[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
    return own


def _corrected(original: Pixels, edited: Pixels, field: Floats | None, mask: Plane) -> Pixels:
    step = seam_step(original, edited, field, mask)
    if step is not None:
        field = np.broadcast_to(step, edited.shape) if field is None else field + step
    return edited if field is None else corrected(edited, field)


def _blend(out: Pixels, original: Pixels, target: Pixels, own: Plane, mask: Plane, feather_px: float) -> None:
    """Write the edit into `out` where `own` is set."""
    cv2.copyTo(target, own, out)
    if feather_px <= 0:
        return
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 3))
    band = cv2.bitwise_and(own, cv2.inRange(depth, 0.0, feather_px))
    rows, columns = np.nonzero(band)
    near, far = original[rows, columns].astype(np.float32), target[rows, columns].astype(np.float32)
    unlike = np.abs(near - far).max(axis=1, initial=0)
    ramp = depth[rows, columns] / (feather_px + 1)
    weight = np.maximum(ramp, np.clip((unlike - _BLEND_BELOW) / (_CUT_ABOVE - _BLEND_BELOW), 0, 1))
    out[rows, columns] = np.rint(near + weight[:, None] * (far - near)).astype(np.uint8)


def fill_alpha(alpha: Plane, mask: Plane) -> Plane:
    """The transparency of what is put in a hole: continued from around it. Outside the mask unchanged."""
    low, high = cv2.minMaxLoc(alpha)[:2]
    box = bounding_box(mask)
    if low == high or box is None:
        return alpha
    height, width = mask.shape
    x1, y1, x2, y2 = grow(box, _ALPHA_MARGIN_PX, width=width, height=height)
    part = np.s_[y1:y2, x1:x2]
    out = alpha.copy()
    filled = cv2.inpaint(np.ascontiguousarray(alpha[part]), np.ascontiguousarray(mask[part]), 3, cv2.INPAINT_TELEA)
    out[part] = np.where(mask[part] > 0, filled, alpha[part])
    return out


_ALPHA_MARGIN_PX: Final = 8
