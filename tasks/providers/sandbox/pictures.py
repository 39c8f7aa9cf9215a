"""Decoding and encoding. A picture is an array of 8-bit BGR or BGRA; a selection one of 8-bit grey, 0 or 255."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_ENCODING = {
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY],
    "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_STORED_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 0]  # half the time of the fastest compression
MAX_PIXELS = 100_000_000  # of a picture or mask; no vendor documents a bound
THRESHOLD = 128  # "Gray values are thresholded at 128" (seed 001)


class PictureError(Exception):
    """The bytes are not a picture that can be worked on; the message is for the client."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A picture and the format it came in: png, jpeg or webp."""

    pixels: Pixels
    format: str


def decode(data: bytes, what: str) -> Decoded:
    """JPEG, PNG or WebP as stored: an EXIF rotation is not applied. Raises PictureError, which names `what`."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as header:
            width, height = header.size
            name = str(header.format).lower()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise PictureError(f"{what} is not a JPEG, PNG or WebP image") from None
    if width * height > MAX_PIXELS:
        raise PictureError(f"{what} has {width}x{height} pixels; at most {MAX_PIXELS} are accepted")
    return Decoded(pixels=_eight_bit_colour(_decode_pixels(data, what)), format=name)


def _decode_pixels(data: bytes, what: str) -> npt.NDArray[np.generic]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise PictureError(f"{what} is damaged")
    return pixels


def _eight_bit_colour(pixels: npt.NDArray[np.generic]) -> Pixels:
    eight_bit = (pixels // 257 if pixels.dtype == np.uint16 else pixels).astype(np.uint8, copy=False)
    if eight_bit.ndim == 2:
        return np.asarray(cv2.cvtColor(eight_bit, cv2.COLOR_GRAY2BGR), np.uint8)
    if eight_bit.shape[2] == 2:  # grey with alpha
        grey, alpha = eight_bit[..., 0], eight_bit[..., 1]
        return np.dstack((grey, grey, grey, alpha))
    return eight_bit


def encode(pixels: Pixels, picture_format: str, *, quick: bool = False) -> bytes:
    """The file's bytes; JPEG has no transparency and loses it. `quick` leaves a PNG uncompressed."""
    colour = pixels[..., :3] if picture_format == "jpeg" else pixels
    options = _STORED_PNG if quick and picture_format == "png" else _ENCODING[picture_format]
    done, data = cv2.imencode(SUFFIXES[picture_format], np.ascontiguousarray(colour), options)
    if not done:
        raise PictureError("the result cannot be encoded")
    return data.tobytes()


def as_selection(mask: Decoded) -> Pixels:
    """White = remove: grey values from 128 up count as white; a transparent pixel counts as black."""
    grey = cv2.cvtColor(mask.pixels[..., :3].copy(), cv2.COLOR_BGR2GRAY)
    chosen = grey >= THRESHOLD
    if mask.pixels.shape[2] == 4:
        chosen &= mask.pixels[..., 3] >= THRESHOLD
    return chosen.astype(np.uint8) * 255
