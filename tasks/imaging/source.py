"""What a file is like beside its pixels, read from its header: enough to write its edit in the same manner."""

from typing import Final

from PIL import Image, JpegImagePlugin

from tasks.imaging import metadata
from tasks.imaging.picture import JpegFacts, Source

_UPRIGHT: Final = 1


def read_source(
    data: bytes, header: Image.Image, chunks: metadata.Blocks, *, bits: int, notes: tuple[str, ...] = ()
) -> Source:
    """Everything worth keeping that is not a pixel. `chunks`: those of a PNG, else none."""
    info = header.info
    exif = _exif(info.get("exif"), chunks)
    several = header.format == "MPO"
    form = "JPEG" if several else str(header.format)
    if several:
        notes = (*notes, "first_of_several_frames")
    icc, xmp = info.get("icc_profile"), info.get("xmp")
    return Source(
        format=form,
        mode=header.mode,
        bits=bits,
        orientation=_orientation(header, exif),
        icc_profile=icc if isinstance(icc, bytes) else None,
        exif=metadata.normalise_exif(exif) if exif else None,
        # A gain map's XMP speaks of a second frame that is not delivered.
        xmp=metadata.normalise_xmp(xmp) if isinstance(xmp, bytes) and not several else None,
        extra=metadata.jpeg_extra(data) if form == "JPEG" else metadata.png_extra(chunks),
        dpi=_dpi(info.get("dpi")),
        jpeg=_jpeg_facts(header) if form == "JPEG" else None,
        lossless=form == "WEBP" and b"VP8L" in data[12:64],
        notes=notes,
    )


def _exif(block: object, chunks: metadata.Blocks) -> bytes | None:
    """What Pillow found before the pixels; a PNG may have it behind them."""
    if isinstance(block, bytes):
        return block
    return next((body for name, body in chunks if name == b"eXIf"), None)


def _orientation(header: Image.Image, exif: bytes | None) -> int:
    """1 to 8. Pillow has turned TIFFs already, and keeps an AVIF's rotation in its own EXIF object."""
    if header.format == "TIFF":
        return _UPRIGHT
    if header.format == "AVIF":
        try:
            value = header.getexif().get(metadata.ORIENTATION, _UPRIGHT)
        except Exception:  # noqa: BLE001 - a damaged EXIF block must not cost the picture
            value = _UPRIGHT
    else:
        value = metadata.exif_orientation(exif) if exif else _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def _dpi(value: object) -> tuple[float, float] | None:
    """Pillow gives a pair of numbers, or whatever the file said."""
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    try:
        x, y = float(value[0]), float(value[1])
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 10_000 and 1 <= y <= 10_000 else None


def _jpeg_facts(header: Image.Image) -> JpegFacts | None:
    tables = {int(k): [int(v) for v in table] for k, table in getattr(header, "quantization", {}).items()}
    if not tables or any(len(table) != 64 for table in tables.values()):
        return None
    return JpegFacts(
        quality=_quality(tables[min(tables)]),
        tables=tables,
        subsampling=JpegImagePlugin.get_sampling(header),
        progressive=bool(header.info.get("progressive")),
    )


# The luminance table of the JPEG standard (ITU-T T.81, annex K.1), summed: libjpeg scales it by the quality.
_STANDARD_LUMINANCE_SUM: Final = 3691


def _quality(luminance: list[int]) -> int:
    """Libjpeg's quality number that gives a table of about this sum."""
    scale = 100 * sum(luminance) / _STANDARD_LUMINANCE_SUM
    return round(min(100, max(1, (200 - scale) / 2 if scale <= 100 else 5000 / scale)))
