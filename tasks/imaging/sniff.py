"""What a file is by its content, never by its name: most "broken pictures" of a catalog are something else entirely."""

import re
from typing import Final

_MAGIC: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", "an HTML page"),
        (rb"\s*(<\?xml[^>]*>\s*)?(<!doctype[^>]*>\s*)?(<!--.*?-->\s*)*<svg\b", "an SVG drawing"),
        (rb"\s*(<\?xml[^>]*>\s*)?<Error\b", "an XML error message, such as storage services send"),
        (rb"\s*<\?xml", "an XML document"),
        (rb"\s*[{\[]\s*[\"{\[\]}\d]", "a JSON document"),
        (rb"%PDF-", "a PDF document"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document"),
        (rb"8BPS", "a Photoshop document"),
        (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
        (rb"\x1f\x8b", "gzip-compressed data"),
        (rb"7z\xbc\xaf\x27\x1c|Rar!", "an archive"),
        (rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", "a HEIC picture, which cannot be read here"),
        (rb"....ftyp(isom|iso2|mp4|M4V|qt  )", "a video"),
        (rb"RIFF....AVI |\x1a\x45\xdf\xa3", "a video"),
        (rb"MZ|\x7fELF", "a program"),
        (rb"version https://git-lfs", "a Git LFS pointer"),
        (rb"PAR1", "a Parquet file"),
    )
)

_PICTURES: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"RIFF....WEBP", "WEBP"),
        (rb"GIF8[79]a", "GIF"),
        (rb"II\*\x00|MM\x00\*", "TIFF"),
        (rb"....ftyp(avif|avis)|....ftypmif1.{0,24}avif", "AVIF"),
        (rb"BM", "BMP"),
        (rb"P[1-6][\s#]", "PPM"),
    )
)

_HEAD_BYTES: Final = 512


def picture_format(data: bytes) -> str | None:
    """JPEG, PNG, WEBP, GIF, TIFF, AVIF, BMP or PPM; None for anything else."""
    head = data[:_HEAD_BYTES]
    return next((name for pattern, name in _PICTURES if pattern.match(head)), None)


def describe(data: bytes) -> str:
    """What a file that is no picture looks like, for a message: `an HTML page`, `an empty file`, `unknown data`."""
    if not data:
        return "an empty file"
    head = data[:_HEAD_BYTES]
    if not head.strip(b"\x00"):
        return "nothing but zero bytes"
    known = next((name for pattern, name in _MAGIC if pattern.match(head.removeprefix(b"\xef\xbb\xbf"))), None)
    if known:
        return known
    printable = sum(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head)
    return "plain text" if printable == len(head) else "unknown data"


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a WebP's first chunk: Pillow allocates the canvas on opening, so bombs are measured before.

    Layout: https://developers.google.com/speed/webp/docs/riff_container
    """
    kind, body = data[12:16], data[20:50]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None
