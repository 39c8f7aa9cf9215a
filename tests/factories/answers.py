"""What providers return on good days and bad: each kind a function of the sent pixels, the mask and a good fill.

GOOD answers must be accepted, BAD ones refused; what lies between (a mild drift) is good, because the composite undoes it.
"""

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np

from tasks.imaging.picture import Pixels, Plane
from tests.factories.pictures import as_file, jpeg, photo, png

Answer = Callable[[Pixels, Plane, Pixels], bytes]


def _shifted(pixels: Pixels, by: Any) -> Pixels:
    return np.clip(pixels.astype(np.int16) + np.asarray(by, np.int16), 0, 255).astype(np.uint8)


def _gamma(pixels: Pixels, exponent: float) -> Pixels:
    table = np.clip(255 * (np.arange(256) / 255) ** exponent, 0, 255).astype(np.uint8)
    return table[pixels]


def _sheer(pixels: Pixels) -> Pixels:
    """A drift that grows from left to right, as a relit picture has."""
    ramp = np.linspace(-10, 10, pixels.shape[1])[None, :, None]
    return np.clip(pixels + ramp, 0, 255).astype(np.uint8)


def _resized(pixels: Pixels, across: float, down: float) -> Pixels:
    size = max(1, round(pixels.shape[1] * across)), max(1, round(pixels.shape[0] * down))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _moved(pixels: Pixels, share: float) -> Pixels:
    rows, columns = (max(2, round(side * share)) for side in pixels.shape[:2])
    return np.ascontiguousarray(np.pad(pixels, ((rows, 0), (columns, 0), (0, 0)), mode="edge")[:-rows, :-columns])


def _placeholder(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    page = np.full_like(pixels, 204)
    cv2.line(page, (0, 0), (width, height), (160, 160, 160), max(1, width // 100))
    cv2.line(page, (width, 0), (0, height), (160, 160, 160), max(1, width // 100))
    cv2.putText(page, "no image", (width // 5, height // 2), cv2.FONT_HERSHEY_SIMPLEX, width / 400, (96, 96, 96), 2)
    return page


def _tinted(pixels: Pixels) -> Pixels:
    """The sandbox's shifted colour: red moved by 24 levels, down where it is high and up where it is low."""
    red = pixels[..., 0].astype(np.int16)
    moved = np.where(red > 127, red - 24, red + 24).astype(np.uint8)
    return np.dstack((moved, pixels[..., 1], pixels[..., 2]))


def _painted_over(pixels: Pixels, mask: Plane) -> Pixels:
    return np.where(mask[..., None] > 0, np.array([255, 0, 255], np.uint8), pixels).astype(np.uint8)


GOOD: Final[dict[str, Answer]] = {
    "lossless": lambda _sent, _mask, good: png(good),
    "jpeg 95": lambda _sent, _mask, good: jpeg(good, 95),
    "jpeg 75": lambda _sent, _mask, good: jpeg(good, 75),
    "webp": lambda _sent, _mask, good: as_file(good, "WEBP", quality=80),
    "shifted a little": lambda _sent, _mask, good: png(_shifted(good, (8, -5, 6))),
    "gamma": lambda _sent, _mask, good: jpeg(_gamma(good, 1.08), 90),
    "relit": lambda _sent, _mask, good: jpeg(_sheer(good), 90),
    "twice as large": lambda _sent, _mask, good: jpeg(_resized(good, 2, 2), 90),
    "slightly soft": lambda _sent, _mask, good: jpeg(np.asarray(cv2.GaussianBlur(good, (0, 0), 0.7), np.uint8), 90),
    "with alpha": lambda _sent, _mask, good: png(np.dstack((good, np.full(good.shape[:2], 255, np.uint8)))),
}

BAD: Final[dict[str, Answer]] = {
    "nothing": lambda _sent, _mask, _good: b"",
    "html": lambda _sent, _mask, _good: b"<!DOCTYPE html><title>expired</title>",
    "xml": lambda _sent, _mask, _good: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "truncated png": lambda _sent, _mask, good: png(good)[: len(png(good)) // 2],
    "truncated jpeg": lambda _sent, _mask, good: jpeg(good)[: len(jpeg(good)) * 2 // 3],
    "white": lambda sent, _mask, _good: png(np.full_like(sent, 255)),
    "black": lambda sent, _mask, _good: jpeg(np.zeros_like(sent)),
    "echo": lambda sent, _mask, _good: png(sent),
    "echo recompressed": lambda sent, _mask, _good: jpeg(sent, 60),
    "echo shifted": lambda sent, _mask, _good: png(_shifted(sent, (6, 6, 6))),
    "placeholder": lambda sent, _mask, _good: png(_placeholder(sent)),
    "another picture": lambda sent, _mask, _good: jpeg(photo(int(sent[0, 0, 0]) % 4 + 4, sent.shape[1], sent.shape[0])),
    "half the size": lambda _sent, _mask, good: png(_resized(good, 0.5, 0.5)),
    "square": lambda _sent, _mask, good: png(_resized(good, 1, 1.5)),
    "moved": lambda _sent, _mask, good: png(_moved(good, 0.02)),
    "tinted": lambda _sent, _mask, good: png(_tinted(good)),
    "bleached": lambda _sent, _mask, good: png(_shifted(good, (60, 60, 60))),
    "negative": lambda _sent, _mask, good: png(255 - good),
    "marked, not removed": lambda sent, mask, _good: png(_painted_over(sent, mask)),
    "hole left transparent": lambda _sent, mask, good: png(np.dstack((good, 255 - mask))),
    "mirrored": lambda _sent, _mask, good: png(np.ascontiguousarray(good[:, ::-1])),
    "upside down": lambda _sent, _mask, good: png(np.ascontiguousarray(good[::-1])),
}
