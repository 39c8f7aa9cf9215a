"""Where the part that was sent lies in the full picture, and the way back."""

from dataclasses import dataclass

import numpy as np

from tasks.imaging.picture import Box, Pixels, Plane
from tasks.imaging.resize import resized, resized_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A box of the full picture, sent as `width` × `height` pixels."""

    box: Box  # full-picture pixels
    width: int  # pixels, as sent
    height: int  # pixels, as sent

    @classmethod
    def whole(cls, width: int, height: int) -> "Placement":
        """Everything, at its own size."""
        return cls(box=(0, 0, width, height), width=width, height=height)

    @property
    def scaled(self) -> bool:
        """Whether it was sent at another size than it has."""
        x1, y1, x2, y2 = self.box
        return (self.width, self.height) != (x2 - x1, y2 - y1)

    def covers(self, width: int, height: int) -> bool:
        """Whether it is the whole of a picture of this size."""
        return self.box == (0, 0, width, height)

    def point_out(self, point: tuple[int, int]) -> tuple[int, int]:
        """A point of the full picture, in pixels as sent; kept inside."""
        x1, y1, x2, y2 = self.box
        x = (point[0] - x1) * self.width // (x2 - x1)
        y = (point[1] - y1) * self.height // (y2 - y1)
        return min(max(x, 0), self.width - 1), min(max(y, 0), self.height - 1)

    def box_out(self, box: Box) -> Box:
        """A box of the full picture, in pixels as sent; kept inside, never empty."""
        left, top = self.point_out((box[0], box[1]))
        right, bottom = self.point_out((box[2] - 1, box[3] - 1))
        return left, top, right + 1, bottom + 1

    def cut(self, pixels: Pixels) -> Pixels:
        """What is sent of these full-size pixels."""
        x1, y1, x2, y2 = self.box
        return np.ascontiguousarray(resized(pixels[y1:y2, x1:x2], self.width, self.height))

    def cut_mask(self, mask: Plane) -> Plane:
        """What is sent of this full-size mask; a pixel is white when any of those that it stands for is."""
        x1, y1, x2, y2 = self.box
        part = np.ascontiguousarray(mask[y1:y2, x1:x2])
        return resized_mask(part, self.width, self.height)

    def put_back(self, result: Pixels, original: Pixels) -> Pixels:
        """The original with the result where the sent part was."""
        x1, y1, x2, y2 = self.box
        part = resized(result, x2 - x1, y2 - y1)
        if self.covers(original.shape[1], original.shape[0]):
            return part
        out = original.copy()
        out[y1:y2, x1:x2] = part
        return out
