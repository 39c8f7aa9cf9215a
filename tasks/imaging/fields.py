"""Slow changes of light and colour: smooth fields, computed small."""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.picture import Plane

Floats: TypeAlias = NDArray[np.float32]

_FIELD_SIDE: Final = 128  # a smooth field needs no more
_SURE: Final = 8.0  # a cell an eighth full of known pixels is known
_NEIGHBOURS: Final = np.array([[1, 4, 1], [4, 0, 4], [1, 4, 1]], np.float32) / 20
_RELAXATIONS: Final = 300  # from push-pull's start, enough for holes half as wide as the field
_SMOOTH_CELLS: Final = 2.0  # of the small field: levels out the grain of single cells


def continued(weighted: Floats, weight: Floats) -> Floats:
    """A field continued smoothly from where it is known to everywhere else: push-pull over a pyramid (Gortler et al., 1996).

    Args:
        weighted: height × width × 3, the field times its weight.
        weight: height × width, 0 = unknown, 1 = known.
    """
    height, width = weight.shape
    step = -(-max(height, width) // _FIELD_SIDE)
    levels = [(_cells(weighted, step), _cells(weight, step))]
    while max(levels[-1][1].shape) > 1:
        levels.append((_shrunk(levels[-1][0], 0.5), _shrunk(levels[-1][1], 0.5)))
    field = np.zeros((1, 1, 3), np.float32)
    for total, count in reversed(levels):
        known = np.clip(count * _SURE, 0, 1)[..., None]
        coarse = np.asarray(cv2.resize(field, (count.shape[1], count.shape[0]), interpolation=cv2.INTER_LINEAR))
        here = total / np.maximum(count, 1e-6)[..., None]
        field = (known * here + (1 - known) * coarse.reshape(total.shape)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(field, (0, 0), _SMOOTH_CELLS), dtype=np.float32)
    size = smooth.shape[1] * step, smooth.shape[0] * step
    large = cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.ascontiguousarray(large, dtype=np.float32)


def _cells(values: Floats, step: int) -> Floats:
    """Means of step × step; beyond the border nothing is known. Whole steps are four times as fast as fractions."""
    down, right = -values.shape[0] % step, -values.shape[1] % step
    padded = cv2.copyMakeBorder(values, 0, down, 0, right, cv2.BORDER_CONSTANT) if down or right else values
    size = padded.shape[1] // step, padded.shape[0] // step
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _shrunk(values: Floats, scale: float) -> Floats:
    height, width = values.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def membrane(values: Floats, known: Plane) -> Floats:
    """The smoothest surface through the slow part of what is known: `continued`, relaxed until it is harmonic.

    Args:
        values: height × width × 3.
        known: height × width, 255 = known.
    """
    height, width = known.shape
    weight = (known > 0).astype(np.float32)
    scale = min(1.0, _FIELD_SIDE / max(height, width))
    field = _shrunk(continued(values * weight[..., None], weight), scale)
    fixed = (_shrunk(weight, scale) * _SURE >= 1)[..., None]
    held = field.copy()
    for _ in range(_RELAXATIONS):
        field = np.where(fixed, held, cv2.filter2D(field, -1, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE))
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
