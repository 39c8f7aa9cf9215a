"""Pictures for pages: small, re-encoded, bounded in bytes, pixels and time; what cannot be shown says why."""

import base64
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageOps

from tasks.report.places import open_place

T = TypeVar("T")

_PROTOCOLS: Final = frozenset({"file", "local", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
_WEB: Final = frozenset({"http", "https"})

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
_ORIENTATION: Final = 0x0112  # EXIF tag; 5 to 8 lie on their side
_SIMPLIFY_SHARE: Final = 0.003  # of an outline's length: a path of a few hundred bytes
_RIMS: Final = 24  # the largest islands of a mask; a speckled one would fill the page


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """What a page may spend on one picture."""

    long_side: int = 640  # pixels, of the thumbnail
    webp_quality: int = 78
    max_bytes: int = 64_000_000  # of the file
    max_pixels: int = 120_000_000  # of the file
    read_timeout_s: float = 20
    web: bool = True  # False: http(s) addresses are not fetched


@dataclass(frozen=True, kw_only=True, slots=True)
class Thumbnail:
    """A picture small enough to be shown, or the reason why there is none."""

    data: bytes = b""  # WebP
    width: int = 0  # pixels
    height: int = 0  # pixels
    source_width: int = 0  # pixels, of the file as displayed
    source_height: int = 0
    missing: str = ""  # for people: not found, took too long, not a picture …

    @property
    def data_url(self) -> str:
        """For an `src` that needs no network."""
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """The rim of what was selected, as an SVG path in a box of `width` × `height`."""

    path: str
    width: int
    height: int
    centre_percent: int = 50  # of the width: where a slider best starts


class PictureUnavailableError(Exception):
    """There is nothing to show; the message is the reason for people."""


def thumbnail(uri: str | None, limits: PictureLimits) -> Thumbnail:
    """Read, orient, scale and re-encode one picture. Never raises for a bad or missing picture."""
    try:
        picture, size = decoded(read_bounded(uri, limits), limits)
    except PictureUnavailableError as reason:
        return Thumbnail(missing=str(reason))
    return encoded(picture, size, limits)


def encoded(picture: Image.Image, source_size: tuple[int, int], limits: PictureLimits) -> Thumbnail:
    """Scale and encode a decoded picture."""
    small = picture.copy()
    small.thumbnail((limits.long_side, limits.long_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=limits.webp_quality, method=2)
    return Thumbnail(
        data=buffer.getvalue(),
        width=small.width,
        height=small.height,
        source_width=source_size[0],
        source_height=source_size[1],
    )


def decoded(data: bytes, limits: PictureLimits) -> tuple[Image.Image, tuple[int, int]]:
    """Encoded picture → RGB, upright, at least twice the thumbnail's size; and the file's own size as displayed.

    Raises:
        PictureUnavailableError: it is no picture, or larger than allowed.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            width, height = opened.size
            if width * height > limits.max_pixels:
                raise PictureUnavailableError(f"too large to show: {width} × {height}")
            if opened.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            opened.draft("RGB", (limits.long_side * 2, limits.long_side * 2))
            return _rgb(ImageOps.exif_transpose(opened)), (width, height)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError):
        raise PictureUnavailableError("not a readable picture") from None


def _rgb(picture: Image.Image) -> Image.Image:
    """Any mode on white, 16 bits to 8."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def mask_outline(uri: str, limits: PictureLimits) -> Outline | None:
    """The rims of a mask file's white parts; None when it cannot be read."""
    try:
        mask = decoded(read_bounded(uri, limits), limits)[0].convert("L")
    except PictureUnavailableError:
        return None
    mask.thumbnail((limits.long_side, limits.long_side), Image.Resampling.BILINEAR)
    marked = (np.asarray(mask) >= 128).astype(np.uint8)
    rims, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(rims, key=cv2.contourArea, reverse=True)[:_RIMS]
    columns = np.flatnonzero(marked.any(axis=0))
    centre = 50 if not len(columns) else round(100 * (columns[0] + columns[-1]) / 2 / mask.width)
    return Outline(path="".join(map(_path, largest)), width=mask.width, height=mask.height, centre_percent=centre)


def prompt_outline(
    box: Sequence[int] | None, points: Sequence[Sequence[int]] | None, source_size: tuple[int, int]
) -> Outline | None:
    """A box prompt as a rectangle, else point prompts as crosses; coordinates are pixels of the picture."""
    width, height = source_size
    if not (width and height):
        return None
    if box and len(box) == 4:
        left, top, right, bottom = map(int, box)
        return Outline(
            path=f"M{left} {top}L{right} {top}L{right} {bottom}L{left} {bottom}Z", width=width, height=height
        )
    arm = max(width, height) // 50
    crosses = [
        f"M{int(p[0]) - arm} {int(p[1])}h{2 * arm}M{int(p[0])} {int(p[1]) - arm}v{2 * arm}"
        for p in (points or ())[:_RIMS]
        if len(p) == 2
    ]
    return Outline(path="".join(crosses), width=width, height=height) if crosses else None


def _path(rim: cv2.typing.MatLike) -> str:
    points = cv2.approxPolyDP(rim, _SIMPLIFY_SHARE * cv2.arcLength(rim, True), True).reshape(-1, 2)
    return "M" + "L".join(f"{x} {y}" for x, y in points) + "Z"


def read_bounded(uri: str | None, limits: PictureLimits) -> bytes:
    """A file's bytes within the limits of size and time.

    Raises:
        PictureUnavailableError: none given, not found, not readable, too large, or too slow.
    """
    if not uri:
        raise PictureUnavailableError("no picture")
    _check_address(uri, web=limits.web)
    return within(limits.read_timeout_s, lambda: _read(uri, limits.max_bytes))


def _check_address(uri: str, *, web: bool) -> None:
    """Rows come from elsewhere: only plain files, object stores and, when wanted, the web; no chained or exotic protocols."""
    protocol = uri.split("://", 1)[0].lower() if "://" in uri else "file"
    if "::" in uri or protocol not in _PROTOCOLS | _WEB:
        raise PictureUnavailableError("an address of a kind that is not shown")
    if protocol in _WEB and not web:
        raise PictureUnavailableError("on the web, and not fetched: start with --web-pictures")


def _read(uri: str, max_bytes: int) -> bytes:
    try:
        fs, path = open_place(uri)
        with fs.open(path, "rb") as file:
            data: bytes = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise PictureUnavailableError("not found") from None
    except PermissionError:
        raise PictureUnavailableError("no permission") from None
    except Exception:  # noqa: BLE001 - each backend raises its own kinds, and a page must not fall for one picture
        raise PictureUnavailableError("could not be read") from None
    if len(data) > max_bytes:
        raise PictureUnavailableError("too large to show")
    return data


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or `PictureUnavailableError` when it takes longer; a stuck read is left behind, never waited for."""
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True, name="picture-read").start()
    if not done.wait(seconds):
        raise PictureUnavailableError("took too long to read")
    if errors:
        raise errors[0]
    return results[0]
