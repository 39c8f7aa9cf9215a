"""What a file carries beside its pixels, read and written as raw blocks so that nothing is lost by interpretation.

EXIF is a TIFF block (Exif 2.32, §4.6): its orientation becomes 1, because the pixels are turned, and its thumbnail goes,
because it still shows what was removed.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

Blocks: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""PNG chunks or JPEG segments: name or marker, and body."""

_ORDERS: Final = {b"II*\x00": "<", b"MM\x00*": ">"}
ORIENTATION: Final = 0x0112
_THUMBNAIL_OFFSET: Final = 0x0201
_THUMBNAIL_LENGTH: Final = 0x0202
_XMP_ORIENTATION: Final = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PNG_CARRIED: Final = frozenset({b"sRGB", b"gAMA", b"cHRM", b"cICP", b"pHYs", b"tEXt", b"zTXt", b"iTXt"})
_XMP_KEYWORD: Final = b"XML:com.adobe.xmp"

_SOI: Final = b"\xff\xd8"
_ICC_HEADER: Final = b"ICC_PROFILE\x00"
_ICC_PART_BYTES: Final = 65519  # what a segment holds after its header
_EXIF_HEADER: Final = b"Exif\x00\x00"
_XMP_HEADER: Final = b"http://ns.adobe.com/xap/1.0/\x00"
_SEGMENT_BYTES: Final = 65533


def exif_orientation(exif: bytes) -> int:
    """1 to 8 as the block says; 1 when it does not, or is damaged."""
    block = bytearray(exif.removeprefix(_EXIF_HEADER))
    order = _ORDERS.get(bytes(block[:4]))
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        found = (
            struct.unpack_from(order + "H", block, at + 8)[0]
            for tag, at in _entries(block, order, first)
            if tag == ORIENTATION
        )
        return int(next(found, 1))
    except struct.error:
        return 1


def normalise_exif(exif: bytes) -> bytes | None:
    """The TIFF block with orientation 1 and without thumbnail; None when it is no TIFF block."""
    block = bytearray(exif.removeprefix(_EXIF_HEADER))
    order = _ORDERS.get(bytes(block[:4]))
    if order is None:
        return None
    try:
        _normalise(block, order)
    except struct.error:  # offsets that point outside: a damaged block is worth nothing to anyone
        return None
    return bytes(block)


def _normalise(block: bytearray, order: str) -> None:
    (first,) = struct.unpack_from(order + "I", block, 4)
    end = _ifd_end(block, order, first)
    for tag, at in _entries(block, order, first):
        if tag == ORIENTATION:
            struct.pack_into(order + "H", block, at + 8, 1)
    (second,) = struct.unpack_from(order + "I", block, end)
    if second:
        found = {tag: struct.unpack_from(order + "I", block, at + 8)[0] for tag, at in _entries(block, order, second)}
        start, length = found.get(_THUMBNAIL_OFFSET, 0), found.get(_THUMBNAIL_LENGTH, 0)
        if start and start + length <= len(block):
            block[start : start + length] = bytes(length)
        struct.pack_into(order + "I", block, end, 0)


def _ifd_end(block: bytearray, order: str, ifd: int) -> int:
    (count,) = struct.unpack_from(order + "H", block, ifd)
    return int(ifd + 2 + 12 * count)


def _entries(block: bytearray, order: str, ifd: int) -> Iterator[tuple[int, int]]:
    for at in range(ifd + 2, _ifd_end(block, order, ifd), 12):
        yield struct.unpack_from(order + "H", block, at)[0], at


def normalise_xmp(xmp: bytes) -> bytes:
    """The same packet, saying orientation 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk, checked. ValueError says what is wrong: cut short, or a checksum."""
    view, at = memoryview(data), len(PNG_SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise ValueError("it ends before its end mark")
        length = int.from_bytes(view[at : at + 4], "big")
        name, stop = bytes(view[at + 4 : at + 8]), at + 8 + length
        if stop + 4 > len(data):
            raise ValueError("it is cut short")
        if zlib.crc32(view[at + 4 : stop]) != int.from_bytes(view[stop : stop + 4], "big"):
            raise ValueError(f"its {name.decode('latin-1')} chunk fails its checksum")
        yield name, bytes(view[at + 8 : stop]) if name != b"IDAT" else b""
        if name == b"IEND":
            return
        at = stop + 4


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk, ready to be written."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(
    data: bytes,
    *,
    icc_profile: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    extra: Blocks,
) -> bytes:
    """A PNG with these blocks put before its pixels."""
    blocks = [png_chunk(name, body) for name, body in extra]
    if icc_profile:
        blocks.insert(0, png_chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(icc_profile, 6)))
    if exif:
        blocks.append(png_chunk(b"eXIf", exif))
    if xmp:
        blocks.append(png_chunk(b"iTXt", _XMP_KEYWORD + b"\x00\x00\x00\x00\x00" + xmp))
    after_header = len(PNG_SIGNATURE) + 25
    return data[:after_header] + b"".join(blocks) + data[after_header:] if blocks else data


def png_extra(chunks: Blocks) -> Blocks:
    """The chunks that are carried over as they are: colour, resolution, texts (the XMP packet travels by itself)."""
    return tuple((n, b) for n, b in chunks if n in PNG_CARRIED and not b.startswith(_XMP_KEYWORD))


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment before the first scan. Stops quietly where the file does."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA or marker in range(0xD0, 0xDA):
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def jpeg_extra(data: bytes) -> Blocks:
    """Segments carried over as they are: comments (COM) and IPTC (APP13)."""
    return tuple((bytes([m]), body) for m, body in jpeg_segments(data) if m in {0xED, 0xFE})


def jpeg_with(
    data: bytes,
    *,
    icc_profile: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    extra: Blocks,
) -> bytes:
    """A JPEG with these blocks put after its JFIF header; a block too large for a segment is left out."""
    blocks = [(0xE1, _EXIF_HEADER + exif)] if exif else []
    if xmp:
        blocks.append((0xE1, _XMP_HEADER + xmp))
    if icc_profile:
        parts = [icc_profile[i : i + _ICC_PART_BYTES] for i in range(0, len(icc_profile), _ICC_PART_BYTES)]
        if len(parts) <= 255:
            blocks += [(0xE2, _ICC_HEADER + bytes([i, len(parts)]) + part) for i, part in enumerate(parts, 1)]
    blocks += [(marker[0], body) for marker, body in extra]
    written = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in blocks
        if len(body) <= _SEGMENT_BYTES
    )
    at = len(_SOI)
    if data[at : at + 2] == b"\xff\xe0":
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:at] + written + data[at:]
