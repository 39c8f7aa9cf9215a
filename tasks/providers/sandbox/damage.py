"""Results as they come back from a vendor on a bad day."""

from collections.abc import Callable

import cv2
import numpy as np

from tasks.providers.sandbox.faults import FaultKind
from tasks.providers.sandbox.pictures import Pixels

COLOUR_SHIFT = 24  # of 255, in the red channel
DRIFT_GAMMA = 0.96  # of red; blue gets its inverse
DRIFT_RAMP = 6.0  # of 255, darker on the left, lighter on the right
POSITION_SHIFT = 0.02  # of the width and height, at least one pixel


def spoil(result: Pixels, original: Pixels, kind: FaultKind) -> Pixels:
    """The result as this fault leaves it; kinds that spoil the file instead of its pixels leave them alone."""
    if kind is FaultKind.UNCHANGED:
        return original.copy()
    return _SPOILERS[kind](result) if kind in _SPOILERS else result


def _blank(result: Pixels) -> Pixels:
    return np.full_like(result, 255)


def _halved(result: Pixels) -> Pixels:
    height, width = result.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(result, size, interpolation=cv2.INTER_AREA), np.uint8)


def _drifted(result: Pixels) -> Pixels:
    """As a generative model returns a picture: warmer, and lit a little differently from one side to the other."""
    drifted = result.copy()
    levels = np.arange(256) / 255
    for channel, gamma in ((2, DRIFT_GAMMA), (0, 1 / DRIFT_GAMMA)):
        drifted[..., channel] = np.round(255 * levels**gamma).astype(np.uint8)[result[..., channel]]
    ramp = np.linspace(-DRIFT_RAMP, DRIFT_RAMP, result.shape[1])[None, :, None]
    drifted[..., :3] = np.clip(np.round(drifted[..., :3] + ramp), 0, 255).astype(np.uint8)
    return drifted


def _tinted(result: Pixels) -> Pixels:
    tinted = result.copy()
    red = tinted[..., 2].astype(np.int16)
    tinted[..., 2] = np.where(red > 127, red - COLOUR_SHIFT, red + COLOUR_SHIFT).astype(np.uint8)
    return tinted


def _moved(result: Pixels) -> Pixels:
    height, width = result.shape[:2]
    rows, columns = max(1, round(height * POSITION_SHIFT)), max(1, round(width * POSITION_SHIFT))
    return np.pad(result, ((rows, 0), (columns, 0), (0, 0)), mode="edge")[:height, :width]


def _placeholder(result: Pixels) -> Pixels:
    """Grey, crossed out, with words: what a content delivery network shows instead of a picture."""
    height, width, channels = result.shape
    picture = np.full((height, width, channels), 255, np.uint8)
    picture[..., :3] = 204
    for start, end in (((0, 0), (width, height)), ((width, 0), (0, height))):
        cv2.line(picture, start, end, (160, 160, 160, 255), thickness=max(1, width // 100))
    scale = max(0.3, width / 400)
    cv2.putText(picture, "no image", (width // 5, height // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, (96, 96, 96, 255), 2)
    return picture


_SPOILERS: dict[FaultKind, Callable[[Pixels], Pixels]] = {
    FaultKind.BLANK: _blank,
    FaultKind.WRONG_SIZE: _halved,
    FaultKind.COLOUR_DRIFT: _drifted,
    FaultKind.SHIFTED_COLOUR: _tinted,
    FaultKind.SHIFTED_POSITION: _moved,
    FaultKind.PLACEHOLDER: _placeholder,
}
