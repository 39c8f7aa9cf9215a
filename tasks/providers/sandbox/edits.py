"""The edits themselves: real ones, on real pictures, quick enough to rehearse a night in minutes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from tasks.providers.sandbox.damage import spoil
from tasks.providers.sandbox.faults import FaultKind
from tasks.providers.sandbox.pictures import MEDIA_TYPES, Decoded, Pixels, decode, encode
from tasks.providers.sandbox.selections import PlainBackground, Select

Engine = Literal["inpaint", "quick"]
LARGE_HOLE_PIXELS = 40_000  # larger holes are filled on a smaller copy, so that an edit stays under some 0.1 s
MARGIN = 16  # pixels of surroundings that inpainting sees


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One picture to be edited. Without `scene` the selection is removed; with it, the selection shows the scene."""

    image: bytes = field(repr=False)
    select: Select
    scene: "Scene | None" = None
    output_format: str = "png"  # png, jpeg, webp or source
    size: tuple[int, int] | None = None  # width, height of the result; None: the picture's own
    damage: FaultKind | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """A finished picture."""

    data: bytes = field(repr=False)
    media_type: str
    width: int  # pixels, of the picture received
    height: int
    output_width: int
    output_height: int


Scene = Callable[[int, int], Pixels]
"""(width, height) → BGR picture of that size."""


def edit(order: Order, *, engine: Engine) -> Edited:
    """Decode, select, edit, encode. CPU-bound: call it in a thread. Raises PictureError."""
    picture = decode(order.image, "image")
    result = _edited_pixels(picture, order, engine)
    height, width = picture.pixels.shape[:2]
    if order.size:
        result = np.asarray(cv2.resize(result, order.size, interpolation=cv2.INTER_AREA), np.uint8)
    output_format = picture.format if order.output_format == "source" else order.output_format
    if order.damage:
        result = spoil(result, picture.pixels, order.damage)
    data = encode(result, output_format, quick=engine == "quick")
    if order.damage is FaultKind.NOT_A_PICTURE:
        data = hashlib.sha512(data).digest() * 16
    elif order.damage is FaultKind.TRUNCATED_PICTURE:
        data = data[: len(data) // 2]
    return Edited(
        data=data,
        media_type=MEDIA_TYPES[output_format],
        width=width,
        height=height,
        output_width=result.shape[1],
        output_height=result.shape[0],
    )


def _edited_pixels(picture: Decoded, order: Order, engine: Engine) -> Pixels:
    selection = order.select(picture)
    if order.scene is None:
        fill = inpaint if engine == "inpaint" else flat_fill
        return fill(picture.pixels, selection)
    height, width = selection.shape
    return _pasted(picture.pixels, selection, order.scene(width, height))


def _pasted(pixels: Pixels, selection: Pixels, scene: Pixels) -> Pixels:
    result = pixels.copy()
    chosen = selection > 0
    result[chosen, :3] = scene[chosen]
    if result.shape[2] == 4:
        result[chosen, 3] = 255
    return result


def flat_fill(pixels: Pixels, selection: Pixels) -> Pixels:
    """The selection in the mean colour of what borders on it."""
    result = pixels.copy()
    if not selection.any():
        return result
    x, y, width, height = cv2.boundingRect(selection)
    rows, columns = slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1)
    hole = selection[rows, columns]
    border = cv2.dilate(hole, np.ones((3, 3), np.uint8)) > hole
    colour = cv2.mean(np.ascontiguousarray(pixels[rows, columns]), border.astype(np.uint8))
    result[rows, columns][hole > 0] = np.round(colour[: pixels.shape[2]]).astype(np.uint8)
    return result


def inpaint(pixels: Pixels, selection: Pixels) -> Pixels:
    """Telea's method about the selection's bounding box; nothing outside the selection changes."""
    if not selection.any():
        return pixels.copy()
    x, y, width, height = cv2.boundingRect(selection)
    rows = slice(max(0, y - MARGIN), y + height + MARGIN)
    columns = slice(max(0, x - MARGIN), x + width + MARGIN)
    hole = np.ascontiguousarray(selection[rows, columns])
    around = np.ascontiguousarray(pixels[rows, columns, :3])
    result = pixels.copy()
    result[rows, columns, :3][hole > 0] = _filled(around, hole)[hole > 0]
    return result


def _filled(around: Pixels, hole: Pixels) -> Pixels:
    shrink = (np.count_nonzero(hole) / LARGE_HOLE_PIXELS) ** 0.5
    if shrink <= 1:
        return np.asarray(cv2.inpaint(around, hole, 3, cv2.INPAINT_TELEA), np.uint8)
    height, width = hole.shape
    small = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small_hole = (cv2.resize(hole, small, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    small_around = cv2.resize(around, small, interpolation=cv2.INTER_AREA)
    small_fill = cv2.inpaint(small_around, small_hole, 3, cv2.INPAINT_TELEA)
    return np.asarray(cv2.resize(small_fill, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def scene_from(reference: Decoded) -> Scene:
    """The reference picture, scaled to cover and cut to size."""

    def scene(width: int, height: int) -> Pixels:
        reference_height, reference_width = reference.pixels.shape[:2]
        scale = max(width / reference_width, height / reference_height)
        size = (max(width, round(reference_width * scale)), max(height, round(reference_height * scale)))
        covering = cv2.resize(reference.pixels[..., :3].copy(), size, interpolation=cv2.INTER_AREA)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        return np.asarray(covering[top : top + height, left : left + width], np.uint8)

    return scene


def scene_in_words(words: str) -> Scene:
    """Stands in for a model that reads: a gradient between two colours that the words decide."""
    digest = hashlib.sha256(words.encode()).digest()
    colours = np.frombuffer(digest[:6], np.uint8).reshape(2, 1, 3).astype(np.float32)

    def scene(width: int, height: int) -> Pixels:
        down = np.linspace(0, 1, height, dtype=np.float32).reshape(height, 1, 1)
        gradient = colours[0] * (1 - down) + colours[1] * down
        return np.broadcast_to(gradient, (height, width, 3)).astype(np.uint8)

    return scene


PLAIN_BACKGROUND = PlainBackground()
