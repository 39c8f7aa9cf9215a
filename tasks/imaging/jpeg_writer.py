"""JPEG files compressed as their source was: the same quantisation tables and subsampling.

OpenCV writes the usual case, byte for byte what Pillow writes of the same pixels in 15 % less time; Pillow takes any tables.
"""

import io
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from tasks.imaging.picture import JpegFacts, Pixels, Plane

NEW_JPEG_QUALITY: Final = 92
"""For a JPEG whose source was none: visually lossless at 4:4:4, a tenth of a PNG."""
_SAMPLING: Final = {
    0: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    1: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    2: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}
_UNITS_AT: Final = 13  # in a file that begins with a JFIF header: its density unit, then two 16-bit numbers
_PER_INCH: Final = b"\x01"


def write_jpeg(stored: Pixels | Plane, facts: JpegFacts | None, dpi: tuple[float, float] | None) -> bytes:
    """RGB or grey → a JPEG without metadata but its resolution."""
    if facts is not None and _is_usual(facts):
        quality = [cv2.IMWRITE_JPEG_QUALITY, facts.quality]
        data = imencode(
            ".jpg", _bgr(stored), [*quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[facts.subsampling]]
        )
        return _with_dpi(data, dpi) if dpi else data
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": NEW_JPEG_QUALITY, "subsampling": 0}
    if facts is not None:
        options = {"subsampling": max(0, facts.subsampling), "progressive": facts.progressive}
        options |= _compression(facts, grey=stored.ndim == 2)
    if dpi:
        options["dpi"] = tuple(round(value) for value in dpi)
    Image.fromarray(stored).save(out, "JPEG", **options)
    return out.getvalue()


def _is_usual(facts: JpegFacts) -> bool:
    """Sequential, with the tables that libjpeg itself would scale: most files that software has written."""
    if facts.progressive or facts.subsampling not in _SAMPLING:
        return False
    usual = _libjpeg_tables(facts.quality)
    return [facts.tables[key] for key in sorted(facts.tables)] == list(usual[: len(facts.tables)])


@cache
def _libjpeg_tables(quality: int) -> tuple[list[int], ...]:
    """Luminance and chrominance, as Pillow reads them from a file of this quality."""
    block = imencode(".jpg", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    with Image.open(io.BytesIO(block)) as header:
        tables: dict[int, Any] = getattr(header, "quantization", {})
    return tuple([int(value) for value in tables[key]] for key in sorted(tables))


def _compression(facts: JpegFacts, *, grey: bool) -> dict[str, Any]:
    """The source's own tables where they can be written again: one or two, of 8 bits; else its quality number."""
    tables = [facts.tables[key] for key in sorted(facts.tables)]
    writable = all(1 <= value <= 255 for table in tables for value in table)
    if writable and (grey or len(tables) <= 2):
        return {"qtables": tables[:1] if grey else tables}
    return {"quality": facts.quality}


def _with_dpi(data: bytes, dpi: tuple[float, float]) -> bytes:
    """The file with its JFIF density set, pixels per inch."""
    across, down = (round(value).to_bytes(2, "big") for value in dpi)
    return data[:_UNITS_AT] + _PER_INCH + across + down + data[_UNITS_AT + 5 :]


def _bgr(stored: Pixels | Plane) -> Any:
    return stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_RGB2BGR)


def imencode(suffix: str, array: Any, parameters: list[int] | None = None) -> bytes:
    """OpenCV's writer for this suffix. ValueError: it cannot."""
    done, data = cv2.imencode(suffix, array, parameters or [])
    if not done:
        raise ValueError(f"OpenCV could not write a {suffix} of {array.shape}")
    return bytes(data.data)
