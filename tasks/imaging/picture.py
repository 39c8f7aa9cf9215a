"""The values that pixels travel in: a picture as displayed, a mask of 0 and 255, and why a file is neither."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from manifests.error_codes import ErrorCode

Pixels: TypeAlias = NDArray[np.uint8]
"""Height × width × 3, RGB."""
Plane: TypeAlias = NDArray[np.uint8]
"""Height × width: a mask (0 or 255), an alpha plane or a grey picture."""
Box: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels; x2 and y2 exclusive."""


class Role(StrEnum):
    """Which file of a row it is: the word used in messages, and which error codes apply."""

    IMAGE = "image"
    MASK = "mask"
    REFERENCE = "reference"
    OUTPUT = "output"

    @property
    def unreadable(self) -> ErrorCode:
        """The code for a file of this role that cannot be used."""
        return {
            Role.IMAGE: ErrorCode.IMAGE_UNREADABLE,
            Role.MASK: ErrorCode.MASK_UNREADABLE,
            Role.REFERENCE: ErrorCode.REFERENCE_UNREADABLE,
            Role.OUTPUT: ErrorCode.OUTPUT_UNREADABLE,
        }[self]


class PictureError(Exception):
    """A file cannot be used as a picture. `message` is one sentence for people."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegFacts:
    """How a JPEG was compressed, so that it can be compressed the same way again."""

    quality: int  # 1 to 100, estimated from the tables
    tables: dict[int, list[int]]  # quantisation tables, zigzag undone, as Pillow gives and takes them
    subsampling: int  # Pillow's: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0; -1 = other
    progressive: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a picture's file was like, beside its pixels: enough to write its edit in the same manner."""

    format: str  # JPEG, PNG, WEBP, TIFF, AVIF, BMP, GIF, PPM
    mode: str  # as stored, in Pillow's words: L, LA, P, RGB, RGBA, CMYK, I;16, 1 …
    bits: int = 8  # per channel, as stored
    orientation: int = 1  # EXIF 1 to 8; already applied to the pixels
    icc_profile: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)  # TIFF block, orientation 1, no thumbnail
    xmp: bytes | None = field(default=None, repr=False)
    extra: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)  # JPEG segments or PNG chunks to carry over
    dpi: tuple[float, float] | None = None
    jpeg: JpegFacts | None = field(default=None, repr=False)
    lossless: bool = False  # meaningful for WebP, which can be either
    notes: tuple[str, ...] = ()  # what reading it changed: cmyk_to_rgb, …

    @property
    def grey(self) -> bool:
        """Stored without colour."""
        return self.mode in {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A decoded picture as people see it: EXIF orientation applied, 8 bits a channel, RGB. Arrays are read-only."""

    pixels: Pixels = field(repr=False)
    alpha: Plane | None = field(default=None, repr=False)
    deep: NDArray[np.uint16] | None = field(default=None, repr=False)  # height × width × 3, when stored with 16 bits
    source: Source

    def __post_init__(self) -> None:
        """A frozen value must not be changed through its arrays either; threads share them."""
        for array in (self.pixels, self.alpha, self.deep):
            if array is not None:
                array.flags.writeable = False

    @property
    def width(self) -> int:
        """Pixels, as displayed."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels, as displayed."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mask:
    """Where to edit: 255 = edit, 0 = keep. The array is read-only."""

    values: Plane = field(repr=False)
    media_type: str | None = None  # set when any reader sees these very values in the file's own bytes
    repairs: tuple[str, ...] = ()  # how it was made from the file: mask_thresholded, mask_from_alpha, …

    def __post_init__(self) -> None:
        self.values.flags.writeable = False

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.values.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.values.shape[0])


def as_pixels(array: NDArray[Any]) -> Pixels:
    """What OpenCV returns is typed loosely; this is where it becomes ours. Contiguous, uint8."""
    return np.ascontiguousarray(array, dtype=np.uint8)
