"""Points or a box → the object's mask, by GrabCut (Rother et al., SIGGRAPH 2004), with checks that it found an object at all.

GrabCut needs to know what is surely background. A box says so. For points, windows around them are tried from small to
large, and the first that holds a whole object, one that does not run into the window's border, is taken.
"""

from math import pi
from typing import Final

import cv2
import numpy as np

from tasks.imaging.channels import largest_difference
from tasks.imaging.holes import grow
from tasks.imaging.picture import Box, Pixels, Plane
from tasks.imaging.resize import resized, within
from tasks.providers.errors import RejectedItemError
from tasks.providers.local.grabcut import Point, Prompt, alike, dot_radius, failed, grab, one_object, with_points

_LONG_SIDE: Final = 640  # GrabCut works on this: half a second, and objects worth removing are still many pixels wide

_LEAST_OF_BOX, _MOST_OF_BOX = 0.08, 0.97
"""Shares of a box that an object fills; outside of these GrabCut has lost it, or taken everything."""
_SPECK_OF_BOX: Final = 0.003  # of a box's area: what stands out and is smaller is grain
_WINDOW_SHARES: Final = (0.12, 0.2, 0.33, 0.5, 0.8)  # of the long side
_MOST_AT_BORDER: Final = 0.08  # of a window's border; an object that runs on has not been caught whole

_RIM_SHARE: Final = 0.012  # of the long side: grown by this, so that soft edges and their shadow line go too


def select_object(
    pixels: Pixels,
    *,
    points: tuple[Point, ...] = (),
    labels: tuple[int, ...] = (),
    box: Box | None = None,
) -> Plane:
    """The mask of what points (label 1 = on it, 0 = not) and box single out, not grown.

    What else in the box stands out from the surroundings is added: for removal, too much is better than a rest.

    Raises:
        RejectedItemError: SELECTION_FAILED, with the reason.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = within(width, height, _LONG_SIDE)
    small = resized(pixels, *size)
    prompt = _prompt(points, labels, box, scale, size)
    if prompt.box is None:
        found = _by_points(small, prompt)
    else:
        found = _standing_out(small, _by_box(small, prompt, prompt.box), prompt.box)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) >= 128, dtype=np.uint8) * 255


def with_rim(mask: Plane) -> Plane:
    """Grown a little, for removal: an object's soft edge left behind shows more than a few pixels of lost background."""
    return _grown(mask, max(2, round(_RIM_SHARE * max(mask.shape))))


def _grown(mask: Plane, radius: int) -> Plane:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, kernel), dtype=np.uint8)


def _prompt(
    points: tuple[Point, ...], labels: tuple[int, ...], box: Box | None, scale: float, size: tuple[int, int]
) -> Prompt:
    labelled = [
        (_scaled_point(p, scale, size), label) for p, label in zip(points, labels or (1,) * len(points), strict=False)
    ]
    wanted = [point for point, label in labelled if label]
    if box is None and not wanted:
        raise failed("no point is labelled 1 and there is no box")
    unwanted = [point for point, label in labelled if not label]
    return Prompt(wanted=wanted, unwanted=unwanted, box=None if box is None else _scaled_box(box, scale, size))


def _scaled_point(point: Point, scale: float, size: tuple[int, int]) -> Point:
    x, y = (min(int(value * scale), side - 1) for value, side in zip(point, size, strict=True))
    if x < 0 or y < 0:
        raise failed(f"point {point} lies outside the picture")
    return x, y


def _scaled_box(box: Box, scale: float, size: tuple[int, int]) -> Box:
    x1, y1 = (max(0, int(value * scale)) for value in box[:2])
    x2, y2 = (min(side, round(value * scale)) for value, side in zip(box[2:], size, strict=True))
    if x2 - x1 < 3 or y2 - y1 < 3:
        raise failed(f"box {box} is outside the picture, or next to nothing")
    return x1, y1, x2, y2


def _by_box(small: Pixels, prompt: Prompt, box: Box) -> Plane:
    x1, y1, x2, y2 = box
    seeds = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    seeds[y1:y2, x1:x2] = cv2.GC_PR_FGD
    found = one_object(grab(small, with_points(seeds, prompt)), prompt)
    share = cv2.countNonZero(found) / ((x2 - x1) * (y2 - y1))
    if not _LEAST_OF_BOX <= share <= _MOST_OF_BOX:
        raise failed(f"what was found fills {share:.1%} of the box")
    return found


def _by_points(small: Pixels, prompt: Prompt) -> Plane:
    height, width = small.shape[:2]
    xs, ys = zip(*prompt.wanted, strict=True)
    around = min(xs), min(ys), max(xs) + 1, max(ys) + 1
    reason = "no window around the points holds a whole object"
    for share in _WINDOW_SHARES:
        window = grow(around, round(share * max(height, width)), width=width, height=height)
        try:
            found = _in_window(small, prompt, window)
        except RejectedItemError:
            continue
        if cv2.countNonZero(found) < 3 * len(prompt.wanted) * dot_radius(found) ** 2 * pi:
            reason = "little more than the points themselves was found"
        elif _share_at_border(found, window, width, height) <= _MOST_AT_BORDER:
            return found
    raise failed(reason)


def _in_window(small: Pixels, prompt: Prompt, window: Box) -> Plane:
    x1, y1, x2, y2 = window
    seeds = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    inside = np.where(alike(small, prompt.wanted)[y1:y2, x1:x2] > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    seeds[y1:y2, x1:x2] = inside
    return one_object(grab(small, with_points(seeds, prompt)), prompt)


def _share_at_border(found: Plane, window: Box, width: int, height: int) -> float:
    """Of the window's border that lies inside the picture; at the picture's own border every object ends."""
    x1, y1, x2, y2 = window
    sides = [
        found[y1, x1:x2] if y1 > 0 else None,
        found[y2 - 1, x1:x2] if y2 < height else None,
        found[y1:y2, x1] if x1 > 0 else None,
        found[y1:y2, x2 - 1] if x2 < width else None,
    ]
    border = np.concatenate([side for side in sides if side is not None] or [np.full(1, 255, np.uint8)])
    return float((border > 0).mean())


def _standing_out(small: Pixels, found: Plane, box: Box) -> Plane:
    """What was found, and what else in the box differs from the surroundings continued into it: tips, straps, shadows."""
    height, width = found.shape
    x1, y1, x2, y2 = box
    hole = np.zeros_like(found)
    hole[y1:y2, x1:x2] = 255
    if hole.all():
        return found
    behind = np.asarray(cv2.inpaint(small, hole, 3, cv2.INPAINT_NS), dtype=np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), dtype=np.uint8)
    left, top, right, bottom = grow(box, 12, width=width, height=height)
    ring = np.zeros_like(found)
    ring[top:bottom, left:right] = 255
    ring = np.asarray(cv2.subtract(ring, hole), dtype=np.uint8)
    grain = largest_difference(small, np.asarray(cv2.GaussianBlur(small, (0, 0), 6), dtype=np.uint8))
    usual = float(np.percentile(grain[ring > 0], 75)) if ring.any() else 255.0
    differs = np.where(largest_difference(smooth, behind) > max(16.0, 2.5 * usual), hole, 0).astype(np.uint8)
    joined = np.asarray(cv2.morphologyEx(differs, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8) | found
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= _SPECK_OF_BOX * (x2 - x1) * (y2 - y1)
    keep[np.unique(labels[found > 0])] = True
    keep[0] = False
    return np.where(keep[labels], 255, 0).astype(np.uint8)
