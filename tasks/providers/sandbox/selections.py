"""Which pixels an edit concerns: from a mask file, points, a box, words, or a product's plain background."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tasks.providers.sandbox.pictures import Decoded, PictureError, Pixels, as_selection, decode

Select = Callable[[Decoded], Pixels]
"""Picture → selection of its size. May raise PictureError."""

PLAIN = 245  # from here up, in every channel, a pixel counts as white background


@dataclass(frozen=True, kw_only=True, slots=True)
class ByMask:
    """A mask file of the picture's own size."""

    data: bytes

    def __call__(self, picture: Decoded) -> Pixels:
        selection = as_selection(decode(self.data, "mask"))
        if selection.shape != picture.pixels.shape[:2]:
            raise PictureError("image and mask must have the same dimensions")
        return selection


@dataclass(frozen=True, kw_only=True, slots=True)
class ByPoints:
    """Stands in for segmentation: a disc about each foreground point, cut out about each background point."""

    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]  # one a point, 1 or 0

    def __call__(self, picture: Decoded) -> Pixels:
        height, width = picture.pixels.shape[:2]
        selection = np.zeros((height, width), np.uint8)
        radius = max(2, min(height, width) // 12)
        for wanted, value in ((1, 255), (0, 0)):
            for (x, y), label in zip(self.points, self.labels, strict=True):
                if not (0 <= x < width and 0 <= y < height):
                    raise PictureError(f"point [{x:g},{y:g}] lies outside the image")
                if label == wanted:
                    cv2.circle(selection, (int(x), int(y)), radius, value, thickness=-1)
        return selection


@dataclass(frozen=True, kw_only=True, slots=True)
class ByBox:
    """Stands in for segmentation: the box itself, x2 and y2 exclusive."""

    box: tuple[float, float, float, float]

    def __call__(self, picture: Decoded) -> Pixels:
        x1, y1, x2, y2 = (max(0, int(edge)) for edge in self.box)
        selection = np.zeros(picture.pixels.shape[:2], np.uint8)
        selection[y1:y2, x1:x2] = 255
        if not selection.any():
            raise PictureError("the box is empty or lies outside the image")
        return selection


class ByWords:
    """Stands in for a model that reads: whatever the words, an ellipse over the middle half of the picture."""

    def __call__(self, picture: Decoded) -> Pixels:
        height, width = picture.pixels.shape[:2]
        selection = np.zeros((height, width), np.uint8)
        axes = (max(1, width // 4), max(1, height // 4))
        cv2.ellipse(selection, (width // 2, height // 2), axes, 0, 0, 360, 255, thickness=-1)
        return selection


class PlainBackground:
    """The white that touches the picture's border; where there is hardly any, all but the middle ellipse."""

    def __call__(self, picture: Decoded) -> Pixels:
        white = (picture.pixels[..., :3] >= PLAIN).all(axis=2).astype(np.uint8)
        framed = np.pad(white, 1, constant_values=1)
        cv2.floodFill(framed, None, (0, 0), 2)  # the frame joins every white area that touches the border
        selection: Pixels = (framed[1:-1, 1:-1] == 2).astype(np.uint8) * 255
        if selection.mean() < 255 * 0.01:
            return np.bitwise_not(ByWords()(picture))
        return selection
