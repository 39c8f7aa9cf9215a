"""From a file to a mask of 0 and 255: white = edit. Each guess about an unusual file is named in `repairs`."""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging import pnm
from tasks.imaging.decode import DEFAULT_MAX_PIXELS, decode_picture, decode_plain_grey
from tasks.imaging.picture import Mask, Picture, PictureError, Plane, Role

THRESHOLD: Final = 128
"""Grey of 128 or more counts as white: Maskr's rule (seed 001), and what painters expect of an even split."""

_NEAR_BLACK, _NEAR_WHITE = 48, 208
_PHOTO_SHARE: Final = 0.2
"""A mask painted in black and white has greys at its edges only; a fifth of mid-greys means a photograph."""


def decode_mask(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Mask:
    """Decode a mask of any kind: grey, colour, palette, alpha, 1 to 16 bits, lossy edges.

    Raises:
        PictureError: not a picture, damaged, animated, too large.
    """
    if pnm.is_pnm(data):
        return _threshold(_grey_of_pnm(data, max_pixels), ())
    plain = decode_plain_grey(data, max_pixels=max_pixels, role=Role.MASK)
    if plain is not None:
        mask = _threshold(plain, ())
        return mask if mask.repairs else replace(mask, media_type="image/png")
    picture = decode_picture(data, max_pixels=max_pixels, role=Role.MASK)
    grey = _luminance(picture)
    if picture.alpha is None or not _varies(picture.alpha):
        return _threshold(grey, ())
    return _from_alpha(grey, picture.alpha)


def _grey_of_pnm(data: bytes, max_pixels: int) -> Plane:
    try:
        array = pnm.read_array(data)
    except ValueError as error:
        raise PictureError(Role.MASK.unreadable, f"the mask is a damaged PNM: {error}") from None
    if array.ndim == 3 or array.size == 0 or array.size > max_pixels:
        return _luminance(pnm.read(data, max_pixels=max_pixels, role=Role.MASK))
    return array


def _luminance(picture: Picture) -> Plane:
    if picture.source.grey:
        return np.ascontiguousarray(picture.pixels[..., 0])
    return np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _varies(plane: Plane) -> bool:
    low, high = cv2.minMaxLoc(plane)[:2]
    return bool(low != high)


def _histogram(plane: NDArray[np.uint8]) -> NDArray[np.int64]:
    counts = cv2.calcHist([plane], [0], None, [256], [0, 256])
    return np.rint(counts).astype(np.int64).ravel()


def _threshold(grey: Plane, repairs: tuple[str, ...]) -> Mask:
    """Split at 128; a file that knows two values, both dark (0 and 1, or a label's colour), is split between them."""
    if not cv2.inRange(grey, 1, 254).any():
        return Mask(values=np.ascontiguousarray(grey), repairs=repairs)
    counts = _histogram(grey)
    levels = np.flatnonzero(counts)
    if len(levels) == 2 and levels[0] == 0 and levels[1] < THRESHOLD:
        return Mask(values=_split(grey, int(levels[1])), repairs=(*repairs, "mask_levels_stretched"))
    return Mask(values=_split(grey, THRESHOLD), repairs=(*repairs, "mask_thresholded"))


def _split(grey: Plane, threshold: int) -> Plane:
    return np.asarray(cv2.threshold(grey, threshold - 1, 255, cv2.THRESH_BINARY)[1], dtype=np.uint8)


def _from_alpha(grey: Plane, alpha: Plane) -> Mask:
    """Three conventions are in use; which one, the visible part of the file tells.

    A photograph with a transparent hole: the hole is to be edited. One flat colour painted on nothing: the paint is
    the mask. Black and white with some transparency: white counts where it is opaque.
    """
    opaque = alpha >= THRESHOLD
    visible = grey[opaque]
    if visible.size == 0:
        return Mask(values=np.zeros_like(alpha), repairs=("mask_from_alpha",))
    mid = np.count_nonzero((visible > _NEAR_BLACK) & (visible < _NEAR_WHITE))
    if mid > _PHOTO_SHARE * visible.size and np.ptp(visible) > 2:
        return Mask(values=np.where(opaque, 0, 255).astype(np.uint8), repairs=("mask_from_transparent_hole",))
    if np.ptp(visible) <= 2:
        return Mask(values=np.where(opaque, 255, 0).astype(np.uint8), repairs=("mask_from_alpha",))
    return _threshold(np.where(opaque, grey, 0).astype(np.uint8), ("mask_from_alpha",))
