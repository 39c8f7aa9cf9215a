"""Real files, damaged at random: what disks, networks and other people's exports do to pictures."""

import random
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from PIL import Image

from tests.factories.pictures import as_file, exif, hole, jpeg, photo, png, png16, srgb_profile, stored_for

SIZE: Final = (96, 64)


@cache
def seeds() -> tuple[bytes, ...]:
    """One small sound file of every kind that is read, with metadata where the format has any."""
    pixels = photo(1, *SIZE)
    image = Image.fromarray(pixels)
    cut_out = image.copy()
    cut_out.putalpha(Image.fromarray(hole(*SIZE, share=0.4)))
    return (
        jpeg(pixels, exif=exif(6), icc_profile=srgb_profile(), comment=b"c"),
        jpeg(pixels, progressive=True, subsampling=0),
        jpeg(image.convert("L")),
        as_file(image.convert("CMYK"), "JPEG"),
        _several("MPO"),
        png(pixels, icc_profile=srgb_profile(), exif=exif(3)),
        png(cut_out),
        png(image.quantize(16), transparency=2),
        png(image.convert("1")),
        png(image.convert("LA")),
        png16(pixels),
        _several("PNG"),
        as_file(pixels, "WEBP", exif=exif(8)),
        as_file(cut_out, "WEBP", lossless=True),
        _several("WEBP"),
        _several("GIF"),
        as_file(image, "GIF"),
        as_file(image, "TIFF", compression="tiff_adobe_deflate"),
        as_file(image, "TIFF", compression="tiff_lzw"),
        _several("TIFF"),
        as_file(stored_for(pixels, 6), "TIFF"),
        as_file(image, "BMP"),
        as_file(image, "PPM"),
        as_file(image, "AVIF"),
        png(hole(*SIZE)),
        jpeg(hole(*SIZE), 60),
        np.random.default_rng(0).bytes(500),
        b"<!DOCTYPE html><html></html>",
        b"",
    )


def _several(form: str) -> bytes:
    """Three frames. The images are made anew: Pillow leaves its JPEG settings on those that it writes."""
    first, *rest = [Image.fromarray(photo(i, *SIZE)) for i in range(3)]
    return as_file(first, form, save_all=True, append_images=rest)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    del data[start : start + rng.choice((1, 2, 4, 100))]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 4, 40)))


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = data[start : start + rng.randint(1, 200)]


def _splice(data: bytearray, rng: random.Random) -> None:
    other = rng.choice(seeds())
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def _extreme(data: bytearray, rng: random.Random) -> None:
    """A length, a size or an offset, most often near the head, becomes very large, zero or negative."""
    width = rng.choice((1, 2, 4))
    if len(data) > width:
        at = rng.randrange(min(len(data) - width, rng.choice((40, 400, 10**9))))
        data[at : at + width] = rng.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * width


_DAMAGES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    _flip,
    _flip,
    _cut,
    _drop,
    _insert,
    _repeat,
    _splice,
    _extreme,
    _extreme,
)


def mutated(number: int) -> bytes:
    """The same number gives the same damaged file; one in twenty is left sound."""
    rng = random.Random(number)
    data = bytearray(rng.choice(seeds()))
    if rng.random() >= 0.05:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            rng.choice(_DAMAGES)(data, rng)
    return bytes(data)
