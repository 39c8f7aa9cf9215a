"""GrabCut (Rother et al., SIGGRAPH 2004) around what a user pointed at, and which of its pieces are the object."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np

from manifests.error_codes import ErrorCode
from tasks.imaging.picture import Box, Pixels, Plane
from tasks.providers.errors import RejectedItemError

Point: TypeAlias = tuple[int, int]

_ITERATIONS: Final = 4
_ALIKE_LEVELS: Final = 22  # around a point's own colour: the first guess at the object


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What the user pointed at, in pixels of the shrunken picture."""

    wanted: list[Point]
    unwanted: list[Point]
    box: Box | None


def failed(reason: str) -> RejectedItemError:
    """SELECTION_FAILED, with the reason."""
    return RejectedItemError(f"points or box did not pick out an object: {reason}", code=ErrorCode.SELECTION_FAILED)


def alike(small: Pixels, wanted: list[Point]) -> Plane:
    """What hangs together with a wanted point and has its colour."""
    height, width = small.shape[:2]
    smooth = cv2.GaussianBlur(small, (0, 0), 2)
    reached = np.zeros((height + 2, width + 2), np.uint8)
    flags = 8 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    tolerance = (_ALIKE_LEVELS,) * 3
    for point in wanted:
        cv2.floodFill(smooth, reached, point, (0, 0, 0), tolerance, tolerance, flags)
    return reached[1:-1, 1:-1]


def with_points(seeds: Plane, prompt: Prompt) -> Plane:
    radius = dot_radius(seeds)
    for point in prompt.wanted:
        cv2.circle(seeds, point, radius, int(cv2.GC_FGD), -1)
    for point in prompt.unwanted:
        cv2.circle(seeds, point, radius, int(cv2.GC_BGD), -1)
    return seeds


def dot_radius(plane: Plane) -> int:
    """Pixels around a point that are as sure as the point itself."""
    return max(2, int(min(plane.shape)) // 100)


def grab(small: Pixels, seeds: Plane) -> Plane:
    foreground = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if foreground.all() or not foreground.any():
        raise failed("everything or nothing looks like it")
    cv2.setRNGSeed(1)  # GrabCut's k-means draws from OpenCV's generator, which each thread has for itself
    state = np.zeros((1, 65), np.float64)
    try:
        cv2.grabCut(small, seeds, (0, 0, 1, 1), state, state.copy(), _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error as error:
        raise failed("its colours are those of its surroundings") from error
    return np.where(np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)), 255, 0).astype(np.uint8)


def one_object(found: Plane, prompt: Prompt) -> Plane:
    """The pieces that hold a wanted point, or all but the specks; their inner holes closed; and none of the unwanted."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    if count < 2:
        raise failed("nothing in it differs from its surroundings")
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = {int(labels[y, x]) for x, y in prompt.wanted} - {0}
    keep = keep or {i + 1 for i, area in enumerate(areas) if area >= 0.1 * areas.max()}
    chosen = np.where(np.isin(labels, list(keep)), 255, 0).astype(np.uint8)
    outlines, _ = cv2.findContours(chosen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.asarray(cv2.drawContours(chosen, outlines, -1, 255, cv2.FILLED), dtype=np.uint8)
    if any(not solid[y, x] for x, y in prompt.wanted):
        raise failed("a point that should be on it is not")
    if any(solid[y, x] for x, y in prompt.unwanted):
        raise failed("a point that should not be on it is")
    return solid
