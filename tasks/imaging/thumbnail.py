"""Small copies for pages and reports."""

from tasks.imaging.encode import encode_jpeg
from tasks.imaging.picture import Picture, Pixels
from tasks.imaging.resize import resized, within
from tasks.imaging.transparency import on_white


def thumbnail(picture: Picture, *, long_side: int = 320, quality: int = 82) -> bytes:
    """A JPEG whose longer side is at most `long_side` pixels; transparency is shown on white, metadata is left behind."""
    return encode_jpeg(shrink(on_white(picture), long_side), quality=quality)


def shrink(pixels: Pixels, long_side: int) -> Pixels:
    """The same picture, its longer side at most `long_side` pixels. Never enlarges."""
    height, width = pixels.shape[:2]
    return resized(pixels, *within(width, height, long_side))
