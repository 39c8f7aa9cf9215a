"""Pixels as they lie in memory, with a header of one line: how pictures travel inside this process.

Netpbm's binary formats (https://netpbm.sourceforge.net/doc/ppm.html): P6 is RGB, P5 grey, 8 bits a channel, no padding.
Writing one costs a copy and reading one nothing, where the fastest PNG costs 30 to 60 ms at 1080p; any viewer opens them.
"""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from manifests.error_codes import ErrorCode
from tasks.imaging.picture import Picture, PictureError, Role, Source

MEDIA_TYPE: Final = "image/x-portable-anymap"
_HEADER: Final = re.compile(rb"P([56])\n(\d{1,6}) (\d{1,6})\n255\n")


def is_pnm(data: bytes) -> bool:
    """Whether these bytes begin as `write` begins them (other Netpbm dialects are left to Pillow)."""
    return _HEADER.match(data[:32]) is not None


def write(pixels: NDArray[np.uint8]) -> bytes:
    """RGB or one plane → bytes."""
    height, width = pixels.shape[:2]
    kind = 6 if pixels.ndim == 3 else 5
    return b"P%d\n%d %d\n255\n" % (kind, width, height) + pixels.tobytes()


def read_array(data: bytes) -> NDArray[np.uint8]:
    """The array inside, sharing the bytes' memory and so read-only. ValueError: no such file, or cut short."""
    found = _HEADER.match(data[:32])
    if not found:
        raise ValueError("it is no binary PPM or PGM of 8 bits")
    kind, width, height = (int(part) for part in found.groups())
    channels = 3 if kind == 6 else 1
    if len(data) - found.end() < width * height * channels:
        raise ValueError("it is cut short")
    flat = np.frombuffer(data, np.uint8, count=width * height * channels, offset=found.end())
    return flat.reshape((height, width, 3) if channels == 3 else (height, width))


def read(data: bytes, *, max_pixels: int, role: Role) -> Picture:
    """As `decode_picture`, for these formats."""
    try:
        array = read_array(data)
    except ValueError as error:
        raise PictureError(role.unreadable, f"the {role} is a damaged PNM: {error}") from None
    if array.size == 0:
        raise PictureError(role.unreadable, f"the {role} has no pixels")
    if array.shape[0] * array.shape[1] > max_pixels:
        code = ErrorCode.IMAGE_TOO_LARGE if role is Role.IMAGE else role.unreadable
        raise PictureError(
            code, f"the {role} is {array.shape[1]}×{array.shape[0]}, more than {max_pixels / 1e6:g} megapixels"
        )
    grey = array.ndim == 2
    pixels = np.repeat(array[..., None], 3, axis=2) if grey else array
    return Picture(pixels=pixels, source=Source(format="PPM", mode="L" if grey else "RGB"))
