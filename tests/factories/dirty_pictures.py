"""A dirty catalog's rows with the truth about each: what preflight must find, or that it must let the row through.

One function a kind; each makes a fresh row from a number, so that a catalog of any size has no two rows alike.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
from PIL import Image

from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from tests.factories.pictures import as_file, exif, hole, jpeg, photo, png, png16, product_on_white, stored_for

SIZE: Final = (192, 128)
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class DirtyRow:
    """One row's files and what is true of it."""

    kind: str
    item: Item
    image: bytes = field(repr=False)
    mask: bytes | None = field(default=None, repr=False)
    reference: bytes | None = field(default=None, repr=False)
    suffix: str = ".jpg"  # of the image's name, which may lie about the content
    code: ErrorCode | None = None  # expected rejection; None: expected to be accepted
    repairs: frozenset[str] = frozenset()  # expected among the repairs of an accepted row


Maker = Callable[[int], DirtyRow]
HEALTHY: dict[str, Maker] = {}
REPAIRABLE: dict[str, Maker] = {}
DOOMED: dict[str, Maker] = {}


def _kind(registry: dict[str, Maker]) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        registry[maker.__name__] = maker
        return maker

    return register


def _hole(n: int) -> np.ndarray:  # type: ignore[type-arg]  # a mask
    rng = random.Random(n)
    return hole(*SIZE, share=rng.uniform(0.02, 0.12), at=(rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.65)))


def _row(kind: str, n: int, **changes: object) -> DirtyRow:
    item = Item(item_id=f"{kind}-{n:05d}", image_uri="image", mask_uri="mask")
    row = DirtyRow(kind=kind, item=item, image=jpeg(photo(n, *SIZE)), mask=png(_hole(n)))
    return replace(row, **changes)  # type: ignore[arg-type]  # makers name real fields


def _on_white(kind: str, n: int, **changes: object) -> DirtyRow:
    product, background = product_on_white(n, *SIZE)
    item = Item(
        item_id=f"{kind}-{n:05d}",
        image_uri="image",
        mask_uri="mask",
        reference_uri="reference",
        operation=Operation.BACKGROUND_REPLACE,
    )
    scene = jpeg(photo(n + 1, 240, 200))
    row = DirtyRow(kind=kind, item=item, image=png(product), mask=png(background), reference=scene, suffix=".png")
    return replace(row, **changes)  # type: ignore[arg-type]  # makers name real fields


# Healthy: nothing to say about them


@_kind(HEALTHY)
def plain_jpeg(n: int) -> DirtyRow:
    return _row("plain_jpeg", n)


@_kind(HEALTHY)
def plain_png(n: int) -> DirtyRow:
    return _row("plain_png", n, image=png(photo(n, *SIZE)), suffix=".png")


@_kind(HEALTHY)
def plain_webp(n: int) -> DirtyRow:
    return _row("plain_webp", n, image=as_file(photo(n, *SIZE), "WEBP", quality=88), suffix=".webp")


@_kind(HEALTHY)
def grey_photo(n: int) -> DirtyRow:
    return _row("grey_photo", n, image=jpeg(Image.fromarray(photo(n, *SIZE)).convert("L")))


@_kind(HEALTHY)
def rotated_photo_with_rotated_mask(n: int) -> DirtyRow:
    stored = stored_for(photo(n, *SIZE), 6)
    return _row("rotated_photo_with_rotated_mask", n, image=jpeg(stored, exif=exif(6)))


@_kind(HEALTHY)
def new_background(n: int) -> DirtyRow:
    return _on_white("new_background", n)


@_kind(HEALTHY)
def deep_png(n: int) -> DirtyRow:
    return _row("deep_png", n, image=png16(photo(n, *SIZE)), suffix=".png")


@_kind(HEALTHY)
def wrong_suffix(n: int) -> DirtyRow:
    return _row("wrong_suffix", n, image=png(photo(n, *SIZE)), suffix=".jpg")


# Repairable: accepted, and the repair is recorded


@_kind(REPAIRABLE)
def jpeg_mask(n: int) -> DirtyRow:
    return _row("jpeg_mask", n, mask=jpeg(_hole(n), 70), repairs=frozenset({"mask_thresholded"}))


@_kind(REPAIRABLE)
def half_sized_mask(n: int) -> DirtyRow:
    small = cv2.resize(_hole(n), (96, 64), interpolation=cv2.INTER_NEAREST)
    return _row("half_sized_mask", n, mask=png(small), repairs=frozenset({"mask_resized"}))


@_kind(REPAIRABLE)
def mask_of_the_unrotated_photo(n: int) -> DirtyRow:
    orientation = (5, 6, 7, 8)[n % 4]
    image = jpeg(stored_for(photo(n, *SIZE), orientation), exif=exif(orientation))
    mask = stored_for(cv2.cvtColor(_hole(n), cv2.COLOR_GRAY2RGB), orientation)[..., 0]
    repairs = frozenset({"mask_rotated"})
    return _row("mask_of_the_unrotated_photo", n, image=image, mask=png(mask), repairs=repairs)


@_kind(REPAIRABLE)
def mask_in_alpha(n: int) -> DirtyRow:
    mask = _hole(n)
    layer = np.dstack((np.full((*mask.shape, 3), 255, np.uint8), mask))
    return _row("mask_in_alpha", n, mask=png(layer), repairs=frozenset({"mask_from_alpha"}))


@_kind(REPAIRABLE)
def mask_as_transparent_hole(n: int) -> DirtyRow:
    layer = np.dstack((photo(n, *SIZE), 255 - _hole(n)))
    return _row("mask_as_transparent_hole", n, mask=png(layer), repairs=frozenset({"mask_from_transparent_hole"}))


@_kind(REPAIRABLE)
def mask_of_zeros_and_ones(n: int) -> DirtyRow:
    return _row("mask_of_zeros_and_ones", n, mask=png(_hole(n) // 255), repairs=frozenset({"mask_levels_stretched"}))


@_kind(REPAIRABLE)
def palette_mask(n: int) -> DirtyRow:
    labels = Image.fromarray(_hole(n) // 255, "P")
    labels.putpalette([0, 0, 0, 128, 0, 0])
    return _row("palette_mask", n, mask=png(labels), repairs=frozenset({"mask_levels_stretched"}))


@_kind(REPAIRABLE)
def cmyk_photo(n: int) -> DirtyRow:
    image = as_file(Image.fromarray(photo(n, *SIZE)).convert("CMYK"), "JPEG", quality=92)
    return _row("cmyk_photo", n, image=image, repairs=frozenset({"cmyk_to_rgb"}))


@_kind(REPAIRABLE)
def product_on_white_without_mask(n: int) -> DirtyRow:
    row = _on_white("product_on_white_without_mask", n, mask=None, repairs=frozenset({"mask_from_white_background"}))
    return replace(row, item=replace(row.item, mask_uri=None))


# Doomed: a provider would charge for them, and nothing good could come back


@_kind(DOOMED)
def empty_file(n: int) -> DirtyRow:
    return _row("empty_file", n, image=b"", code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def html_as_jpg(n: int) -> DirtyRow:
    page = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found %d</body></html>" % n
    return _row("html_as_jpg", n, image=page, code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def truncated_jpeg(n: int) -> DirtyRow:
    data = jpeg(photo(n, *SIZE))
    cut = len(data) * random.Random(n).randint(20, 95) // 100
    return _row("truncated_jpeg", n, image=data[:cut], code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def truncated_png(n: int) -> DirtyRow:
    data = png(photo(n, *SIZE))
    cut = len(data) * random.Random(n).randint(5, 99) // 100
    return _row("truncated_png", n, image=data[:cut], suffix=".png", code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def damaged_png(n: int) -> DirtyRow:
    data = bytearray(png(photo(n, *SIZE)))
    data[random.Random(n).randint(len(data) // 4, len(data) - 40)] ^= 0x55
    return _row("damaged_png", n, image=bytes(data), suffix=".png", code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def animated_gif(n: int) -> DirtyRow:
    frames = [Image.fromarray(photo(n + i, *SIZE)) for i in range(3)]
    data = as_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    return _row("animated_gif", n, image=data, suffix=".gif", code=ErrorCode.IMAGE_ANIMATED)


@_kind(DOOMED)
def animated_webp(n: int) -> DirtyRow:
    frames = [Image.fromarray(photo(n + i, 64, 64)) for i in range(2)]
    data = as_file(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    return _row("animated_webp", n, image=data, suffix=".webp", code=ErrorCode.IMAGE_ANIMATED)


@_kind(DOOMED)
def many_paged_tiff(n: int) -> DirtyRow:
    frames = [Image.fromarray(photo(n + i, *SIZE)) for i in range(2)]
    data = as_file(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    return _row("many_paged_tiff", n, image=data, suffix=".tif", code=ErrorCode.IMAGE_ANIMATED)


@_kind(DOOMED)
def decompression_bomb(n: int) -> DirtyRow:
    side = 20_000 + n
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    data = PNG_SIGNATURE + b"".join(_chunk(*part) for part in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")))
    return _row("decompression_bomb", n, image=data, suffix=".png", code=ErrorCode.IMAGE_TOO_LARGE)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@_kind(DOOMED)
def tracking_pixel(n: int) -> DirtyRow:
    return _row("tracking_pixel", n, image=as_file(photo(n, 1, 1), "GIF"), code=ErrorCode.IMAGE_UNREADABLE)


@_kind(DOOMED)
def heic_photo(n: int) -> DirtyRow:
    return _row(
        "heic_photo",
        n,
        image=b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64 + n % 8),
        code=ErrorCode.IMAGE_UNREADABLE,
    )


@_kind(DOOMED)
def no_mask(n: int) -> DirtyRow:
    row = _row("no_mask", n, mask=None, code=ErrorCode.MASK_MISSING)
    return replace(row, item=replace(row.item, mask_uri=None))


@_kind(DOOMED)
def html_as_mask(n: int) -> DirtyRow:
    return _row("html_as_mask", n, mask=b"<html>%d</html>" % n, code=ErrorCode.MASK_UNREADABLE)


@_kind(DOOMED)
def truncated_mask(n: int) -> DirtyRow:
    return _row("truncated_mask", n, mask=png(_hole(n))[:-20], code=ErrorCode.MASK_UNREADABLE)


@_kind(DOOMED)
def mask_of_another_shape(n: int) -> DirtyRow:
    return _row("mask_of_another_shape", n, mask=png(hole(192, 140 + n % 7)), code=ErrorCode.MASK_SIZE_MISMATCH)


@_kind(DOOMED)
def sideways_mask(n: int) -> DirtyRow:
    turned = np.ascontiguousarray(np.rot90(_hole(n)))
    return _row("sideways_mask", n, mask=png(turned), code=ErrorCode.MASK_SIZE_MISMATCH)


@_kind(DOOMED)
def black_mask(n: int) -> DirtyRow:
    return _row("black_mask", n, mask=png(np.zeros(SIZE[::-1], np.uint8)), code=ErrorCode.MASK_EMPTY)


@_kind(DOOMED)
def nearly_black_mask(n: int) -> DirtyRow:
    return _row("nearly_black_mask", n, mask=jpeg(_hole(n) // 4, 80), code=ErrorCode.MASK_EMPTY)


@_kind(DOOMED)
def white_mask(n: int) -> DirtyRow:
    return _row("white_mask", n, mask=png(np.full(SIZE[::-1], 255, np.uint8)), code=ErrorCode.MASK_FULL)


@_kind(DOOMED)
def mask_over_most(n: int) -> DirtyRow:
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, : 130 + n % 40] = 255
    return _row("mask_over_most", n, mask=png(mask), code=ErrorCode.MASK_COVERS_TOO_MUCH)


@_kind(DOOMED)
def inverted_mask(n: int) -> DirtyRow:
    return _row("inverted_mask", n, mask=png(255 - _hole(n)), code=ErrorCode.MASK_INVERTED)


@_kind(DOOMED)
def inverted_background_mask(n: int) -> DirtyRow:
    background = product_on_white(n, *SIZE)[1]
    return _on_white("inverted_background_mask", n, mask=png(255 - background), code=ErrorCode.MASK_INVERTED)


@_kind(DOOMED)
def no_reference(n: int) -> DirtyRow:
    row = _on_white("no_reference", n, reference=None, code=ErrorCode.REFERENCE_MISSING)
    return replace(row, item=replace(row.item, reference_uri=None))


@_kind(DOOMED)
def broken_reference(n: int) -> DirtyRow:
    scene = jpeg(photo(n, *SIZE))
    return _on_white("broken_reference", n, reference=scene[: len(scene) // 3], code=ErrorCode.REFERENCE_UNREADABLE)


@_kind(DOOMED)
def busy_background_without_mask(n: int) -> DirtyRow:
    row = _on_white(
        "busy_background_without_mask", n, image=jpeg(photo(n, *SIZE)), mask=None, code=ErrorCode.MASK_MISSING
    )
    return replace(row, item=replace(row.item, mask_uri=None))


@_kind(DOOMED)
def point_outside(n: int) -> DirtyRow:
    row = _row("point_outside", n, mask=None, code=ErrorCode.SELECTION_FAILED)
    return replace(row, item=replace(row.item, mask_uri=None, points=((SIZE[0] + n % 50, 10),)))


ALL: Final[dict[str, Maker]] = {**HEALTHY, **REPAIRABLE, **DOOMED}


def dirty_rows(count: int, *, share: float = 0.25, seed: int = 0) -> list[DirtyRow]:
    """A catalog: `share` of the rows doomed, all kinds in turn, shuffled; one in eight of the others needs a repair."""
    rng = random.Random(seed)
    doomed = round(count * share)
    repairable = (count - doomed) // 8
    wanted = [
        *(list(DOOMED)[i % len(DOOMED)] for i in range(doomed)),
        *(list(REPAIRABLE)[i % len(REPAIRABLE)] for i in range(repairable)),
        *(list(HEALTHY)[i % len(HEALTHY)] for i in range(count - doomed - repairable)),
    ]
    rng.shuffle(wanted)
    return [ALL[kind](n) for n, kind in enumerate(wanted)]
