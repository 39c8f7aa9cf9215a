"""From pixels to a file in the manner of the source: its format, its compression, its colour profile, its metadata.

JPEG is written with the source's own quantisation tables, which is as near as a second compression can come: blocks that
were not edited fall back onto nearly the same coefficients.
"""

import io
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.imaging import metadata
from tasks.imaging.jpeg_writer import imencode, write_jpeg
from tasks.imaging.picture import Picture, Pixels, Plane, Source
from tasks.imaging.transparency import blend_on_white

OutputFormat: TypeAlias = Literal["source", "jpeg", "png", "webp"]

MEDIA_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
SUFFIXES: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/tiff": ".tif",
    "image/avif": ".avif",
}

NEW_WEBP_QUALITY: Final = 90
"""WebP files do not state their quality; 90 does not show and costs a third more bytes than the usual 80."""
_WEBP_EFFORT: Final = 2  # of 0 to 6; measured at 1080p: half the time of Pillow's 4 for about 3 % more bytes
_AVIF_QUALITY: Final = 85
_AVIF_SPEED: Final = 8  # of 0 to 10; 6, the default, takes most of a second at 1080p


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """A finished file."""

    data: bytes = field(repr=False)
    media_type: str
    suffix: str  # with its dot
    width: int  # pixels
    height: int  # pixels


def encode_picture(
    pixels: Pixels, like: Picture, *, alpha: Plane | None = None, output_format: OutputFormat = "source"
) -> Encoded:
    """Write `pixels` (and `alpha`) as a file in the manner of `like`'s source, or in another format.

    Formats that could not hold the result without loss of colour or transparency (GIF, BMP, PPM; JPEG for a picture with
    alpha when it was asked for by name: flattened on white) become PNG. Grey stays grey where the format allows.
    """
    form = _format(like.source, output_format)
    if form == "JPEG" and alpha is not None:
        pixels, alpha = blend_on_white(pixels, alpha), None
    data = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "AVIF": _avif}[form](pixels, alpha, like)
    media_type = MEDIA_TYPES[form]
    height, width = pixels.shape[:2]
    return Encoded(data=data, media_type=media_type, suffix=SUFFIXES[media_type], width=width, height=height)


def encode_jpeg(pixels: Pixels | Plane, *, quality: int) -> bytes:
    """Plain JPEG without metadata; RGB or grey."""
    shown = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(pixels: Pixels | Plane, *, alpha: Plane | None = None) -> bytes:
    """Plain PNG without metadata; RGB, RGB with alpha, or one plane."""
    return imencode(".png", _bgr(pixels, alpha))


def encode_webp(pixels: Pixels, *, quality: int) -> bytes:
    """Plain lossy WebP without metadata."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=quality, method=_WEBP_EFFORT)
    return out.getvalue()


def _bgr(pixels: NDArray[Any], alpha: NDArray[Any] | None) -> NDArray[Any]:
    """OpenCV's channel order; a plane stays a plane."""
    if alpha is not None:
        colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        return np.dstack((colour[..., ::-1], alpha))
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def _format(source: Source, output_format: OutputFormat) -> str:
    if output_format != "source":
        return output_format.upper()
    return source.format if source.format in MEDIA_TYPES else "PNG"


def _stored(pixels: Pixels, like: Picture) -> Pixels | Plane:
    """One plane when the source had no colour, else RGB."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8) if like.source.grey else pixels


def _profile(source: Source, *, grey: bool) -> bytes | None:
    """The source's profile, where it fits the channels that are written (ICC.1:2022, §7.2.6: the colour space)."""
    profile = source.icc_profile
    wanted = b"GRAY" if grey else b"RGB "
    return profile if profile and profile[16:20] == wanted else None


def _jpeg(pixels: Pixels, _alpha: Plane | None, like: Picture) -> bytes:
    stored, source = _stored(pixels, like), like.source
    return metadata.jpeg_with(
        write_jpeg(stored, source.jpeg, source.dpi),
        icc_profile=_profile(source, grey=stored.ndim == 2),
        exif=source.exif,
        xmp=source.xmp,
        extra=source.extra if source.format == "JPEG" else (),
    )


def _png(pixels: Pixels, alpha: Plane | None, like: Picture) -> bytes:
    stored, source = _stored(pixels, like), like.source
    if stored.ndim == 2 and alpha is not None:
        out = io.BytesIO()
        Image.merge("LA", (Image.fromarray(stored), Image.fromarray(alpha))).save(out, "PNG", compress_level=1)
        data = out.getvalue()
    elif like.deep is not None:
        data = imencode(".png", _deep_bgr(pixels, alpha, like))
    else:
        data = encode_png(stored, alpha=alpha)
    profile = _profile(source, grey=stored.ndim == 2)
    extra = source.extra if source.format == "PNG" else ()
    return metadata.png_with(data, icc_profile=profile, exif=source.exif, xmp=source.xmp, extra=extra)


def _deep_bgr(pixels: Pixels, alpha: Plane | None, like: Picture) -> NDArray[np.uint16]:
    """16 bits: the source's own where nothing was edited, the edit's 8 bits widened elsewhere."""
    assert like.deep is not None  # noqa: S101 - the caller asked
    wide = pixels.astype(np.uint16) * 257
    kept = np.where(pixels == like.pixels, like.deep, wide) if pixels.shape == like.pixels.shape else wide
    if like.source.grey and alpha is None:
        return np.ascontiguousarray(kept[..., 0])
    return np.ascontiguousarray(_bgr(kept, None if alpha is None else alpha.astype(np.uint16) * 257))


def _blocks(source: Source, *, grey: bool) -> dict[str, Any]:
    """Metadata as Pillow's writers take it."""
    blocks = {"icc_profile": _profile(source, grey=grey), "exif": source.exif, "xmp": source.xmp}
    return {name: block for name, block in blocks.items() if block}


def _with_alpha(stored: Pixels | Plane, alpha: Plane | None) -> Image.Image:
    image = Image.fromarray(stored)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def _webp(pixels: Pixels, alpha: Plane | None, like: Picture) -> bytes:
    out = io.BytesIO()
    lossless = like.source.format == "WEBP" and like.source.lossless
    how: dict[str, Any] = {"lossless": True, "quality": 0, "exact": True} if lossless else {"quality": NEW_WEBP_QUALITY}
    _with_alpha(pixels, alpha).save(out, "WEBP", method=_WEBP_EFFORT, **how, **_blocks(like.source, grey=False))
    return out.getvalue()


def _tiff(pixels: Pixels, alpha: Plane | None, like: Picture) -> bytes:
    out, stored = io.BytesIO(), _stored(pixels, like)
    blocks = _blocks(like.source, grey=stored.ndim == 2) | ({"dpi": like.source.dpi} if like.source.dpi else {})
    blocks.pop("xmp", None)  # Pillow writes none into TIFF
    _with_alpha(stored, alpha).save(out, "TIFF", compression="tiff_adobe_deflate", **blocks)
    return out.getvalue()


def _avif(pixels: Pixels, alpha: Plane | None, like: Picture) -> bytes:
    out = io.BytesIO()
    blocks = _blocks(like.source, grey=False)
    _with_alpha(pixels, alpha).save(out, "AVIF", quality=_AVIF_QUALITY, speed=_AVIF_SPEED, **blocks)
    return out.getvalue()
