"""Pictures and masks at another size: averaged when they shrink, smooth when they grow."""

import cv2
import numpy as np

from tasks.imaging.picture import Pixels, Plane


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture at this size; itself when it has it."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), dtype=np.uint8)


def resized_mask(mask: Plane, width: int, height: int) -> Plane:
    """The mask at this size; a pixel is white when any of those that it stands for is, however small the mask becomes."""
    if mask.shape == (height, width):
        return mask
    if width >= mask.shape[1] and height >= mask.shape[0]:
        return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    # Averages of bytes would round a lone pixel away.
    share = np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA))
    return np.where(share > 0, 255, 0).astype(np.uint8)


def within(width: int, height: int, long_side: int) -> tuple[int, int]:
    """The size with its longer side at most `long_side`, its shape kept; never enlarged, never empty."""
    scale = min(1.0, long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
