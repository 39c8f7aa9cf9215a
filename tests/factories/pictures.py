"""Small real photographs, masks on them, and files of every format made from them."""

import io
from functools import cache
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageCms

from tasks.imaging.picture import Pixels, Plane

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # in scikit-image: NASA, S. van der Walt, R. Michon, SpaceX


@cache
def _original(name: str) -> Pixels:
    return np.ascontiguousarray(getattr(skimage.data, name)()[..., :3])


def photo(index: int = 0, width: int = 192, height: int = 128) -> Pixels:
    """A photograph of this size; the same index gives the same pixels, others another photograph or part of one."""
    pixels = _original(PHOTOGRAPHS[index % len(PHOTOGRAPHS)])
    if index // len(PHOTOGRAPHS) % 2:
        pixels = pixels[:, ::-1]
    part = pixels[: pixels.shape[0] - (index * 7) % 80, : pixels.shape[1] - (index * 11) % 80]
    return np.ascontiguousarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA))


def product_on_white(index: int = 0, width: int = 192, height: int = 128) -> tuple[Pixels, Plane]:
    """A round product on studio white, and the mask of its background (255)."""
    background = np.full((height, width), 255, np.uint8)
    cv2.ellipse(background, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 0, -1)
    return np.where(background[..., None] > 0, np.uint8(255), photo(index, width, height)), background


def hole(width: int = 192, height: int = 128, *, share: float = 0.05, at: tuple[float, float] = (0.5, 0.5)) -> Plane:
    """A mask with one elliptic hole of about this share of the picture."""
    radius = np.sqrt(share * width * height / np.pi)
    mask = np.zeros((height, width), np.uint8)
    centre = round(at[0] * width), round(at[1] * height)
    cv2.ellipse(mask, centre, (max(1, round(radius * 1.2)), max(1, round(radius / 1.2))), 0, 0, 360, 255, -1)
    return mask


def as_file(pixels: Any, form: str, *, mode: str | None = None, **options: Any) -> bytes:
    """An array or Pillow image as a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    (image.convert(mode) if mode else image).save(out, form, **options)
    return out.getvalue()


def jpeg(pixels: Any, quality: int = 90, **options: Any) -> bytes:
    return as_file(pixels, "JPEG", quality=quality, **options)


def png(pixels: Any, **options: Any) -> bytes:
    return as_file(pixels, "PNG", **options)


def exif(orientation: int, *, description: str = "a description") -> bytes:
    """An EXIF block with this orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = description
    return block.tobytes()


def stored_for(pixels: Pixels, orientation: int) -> Pixels:
    """What a camera stores so that it is displayed as `pixels` under this EXIF orientation."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    image = Image.fromarray(pixels)
    return np.asarray(image if method is None else image.transpose(method))


@cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def sixteen_bits(pixels: Pixels) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """16-bit values whose low bytes are not derivable from the high ones."""
    low = np.arange(pixels.size, dtype=np.uint16).reshape(pixels.shape) * 37 % 256
    return (pixels.astype(np.uint16) << 8) | low


def png16(pixels: Pixels) -> bytes:
    return bytes(cv2.imencode(".png", sixteen_bits(pixels)[..., ::-1])[1].data)
