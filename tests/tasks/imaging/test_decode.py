import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from manifests.error_codes import ErrorCode
from tasks.imaging import pnm
from tasks.imaging.decode import decode_picture
from tasks.imaging.metadata import PNG_SIGNATURE, png_chunk
from tasks.imaging.picture import PictureError, Role
from tests.factories.pictures import as_file, exif, jpeg, photo, png, png16, sixteen_bits, stored_for

PHOTO = photo(0)


def refusal(data: bytes, **options: object) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decode_picture(data, **options)  # type: ignore[arg-type]  # the tests pass max_pixels and role
    return caught.value


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (png(PHOTO), 0),
        (as_file(PHOTO, "WEBP", lossless=True), 0),
        (as_file(PHOTO, "TIFF"), 0),
        (as_file(PHOTO, "BMP"), 0),
        (as_file(PHOTO, "PPM"), 0),
        (pnm.write(PHOTO), 0),
        (png16(PHOTO), 1),
        (jpeg(PHOTO, 97, subsampling=0), 2),
        (as_file(PHOTO, "WEBP", quality=97), 5),
        (as_file(PHOTO, "AVIF", quality=95), 5),
    ],
    ids=["png", "webp", "tiff", "bmp", "ppm", "pnm", "png16", "jpeg", "lossy webp", "avif"],
)
def test_every_format_gives_the_pixels_that_were_stored(data: bytes, most: float) -> None:
    picture = decode_picture(data)

    assert (picture.width, picture.height) == (192, 128)
    assert float(cv2.absdiff(picture.pixels, PHOTO).mean()) <= most


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_opencv_and_pillow_agree_on_every_pixel(form: str) -> None:
    data = as_file(PHOTO, form)

    assert np.array_equal(decode_picture(data).pixels, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_come_upright_as_displayed(orientation: int, form: str) -> None:
    stored = stored_for(PHOTO, orientation)
    block = Image.Exif()
    block[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}

    picture = decode_picture(as_file(stored, form, exif=block, **options))

    assert picture.pixels.shape == PHOTO.shape
    assert float(cv2.absdiff(picture.pixels, PHOTO).mean()) < 3


def test_grey_palette_and_bilevel_pictures_become_rgb_and_are_remembered() -> None:
    grey = Image.fromarray(PHOTO).convert("L")
    for image, mode in ((grey, "L"), (grey.convert("1"), "1"), (Image.fromarray(PHOTO).quantize(16), "P")):
        picture = decode_picture(png(image))

        assert picture.source.mode == mode
        assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_kept_beside_the_colours(form: str) -> None:
    image = Image.fromarray(PHOTO)
    alpha = Image.linear_gradient("L").resize(image.size)
    image.putalpha(alpha)

    picture = decode_picture(as_file(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {})))

    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.asarray(alpha))
    assert np.array_equal(picture.pixels, PHOTO)


def test_a_palette_with_a_transparent_colour_has_alpha() -> None:
    image = Image.fromarray(PHOTO).quantize(8)

    picture = decode_picture(png(image, transparency=3))

    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, np.asarray(image) == 3)


def test_sixteen_bits_are_kept() -> None:
    picture = decode_picture(png16(PHOTO))

    assert picture.deep is not None
    assert np.array_equal(picture.deep, sixteen_bits(PHOTO))
    assert picture.source.bits == 16


def test_cmyk_becomes_rgb_and_says_so() -> None:
    picture = decode_picture(as_file(Image.fromarray(PHOTO).convert("CMYK"), "JPEG", quality=95))

    assert picture.source.notes == ("cmyk_to_rgb",)
    assert float(cv2.absdiff(picture.pixels, PHOTO).mean()) < 6


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
def test_a_jpegs_quality_is_recognised(quality: int) -> None:
    facts = decode_picture(jpeg(PHOTO, quality, subsampling=1)).source.jpeg

    assert facts is not None
    assert abs(facts.quality - quality) <= 1
    assert facts.subsampling == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"\x00" * 900, "zero bytes"),
        (b"<!DOCTYPE html><html><body>404", "an HTML page"),
        (b"\n\n <html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "storage services"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing"),
        (b'{"error": "expired"}', "a JSON document"),
        (b"%PDF-1.7", "a PDF document"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "HEIC"),
        (b"Not found", "plain text"),
        (b"\x93\x01\x02\x03" * 40, "unknown data"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    error = refusal(data)

    assert error.code is ErrorCode.IMAGE_UNREADABLE
    assert words in error.message


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(form: str, share: float) -> None:
    data = as_file(PHOTO, form)

    assert refusal(data[: int(len(data) * share)]).code is ErrorCode.IMAGE_UNREADABLE


def test_a_png_with_a_wrong_checksum_is_refused_by_name() -> None:
    data = bytearray(png(PHOTO))
    data[len(data) // 2] ^= 0xFF

    assert "checksum" in refusal(bytes(data)).message


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_are_refused(form: str) -> None:
    frames = [Image.fromarray(photo(i, 32, 32)) for i in range(3)]

    error = refusal(as_file(frames[0], form, save_all=True, append_images=frames[1:]))

    assert error.code is ErrorCode.IMAGE_ANIMATED
    assert "3 frames" in error.message


def test_a_phones_jpeg_with_a_second_picture_inside_is_its_first_picture() -> None:
    frames = [Image.fromarray(photo(i)) for i in range(2)]

    picture = decode_picture(as_file(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95))

    assert picture.source.format == "JPEG"
    assert picture.source.notes == ("first_of_several_frames",)
    assert float(cv2.absdiff(picture.pixels, photo(0)).mean()) < 4


def png_bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        PNG_SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )


def webp_bomb(kind: bytes) -> bytes:
    """A WebP whose header claims 16,383 × 16,383 pixels, in each of the three kinds of header."""
    options = {b"VP8 ": {}, b"VP8L": {"lossless": True}, b"VP8X": {"exif": exif(1)}}[kind]
    data = bytearray(as_file(PHOTO, "WEBP", **options))
    assert data[12:16] == kind
    at, size = {
        b"VP8 ": (26, b"\xff\x3f\xff\x3f"),
        b"VP8L": (21, b"\xff\xff\xff\x0f"),
        b"VP8X": (24, b"\xfe\x3f\x00" * 2),
    }[kind]
    data[at : at + len(size)] = size
    return bytes(data)


@pytest.mark.parametrize("data", [png_bomb(60_000), *map(webp_bomb, (b"VP8 ", b"VP8L", b"VP8X"))])
def test_bombs_are_refused_from_their_header(data: bytes) -> None:
    assert refusal(data).code is ErrorCode.IMAGE_TOO_LARGE


def test_the_limit_in_pixels_is_the_callers() -> None:
    error = refusal(png(PHOTO), max_pixels=192 * 128 - 1)

    assert error.code is ErrorCode.IMAGE_TOO_LARGE
    assert "192×128" in error.message


@pytest.mark.parametrize("role", [Role.MASK, Role.REFERENCE, Role.OUTPUT])
def test_the_error_code_is_that_of_the_files_role(role: Role) -> None:
    animated = as_file(Image.fromarray(PHOTO), "GIF", save_all=True, append_images=[Image.fromarray(photo(1))])

    for data in (b"<html>", animated, png_bomb(60_000)):
        error = refusal(data, role=role)
        assert error.code is role.unreadable
        assert role.value in error.message


def test_a_jpeg_whose_data_end_early_under_an_end_mark_is_refused() -> None:
    data = jpeg(PHOTO, 90)

    error = refusal(data[: len(data) // 2] + b"\xff\xd9")

    assert error.code is ErrorCode.IMAGE_UNREADABLE
    assert "rows are missing" in error.message


def test_a_grey_picture_is_not_taken_for_missing_data() -> None:
    assert decode_picture(jpeg(np.full((64, 64, 3), 128, np.uint8))).height == 64


@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # Pillow's remark on the damage; silenced in the product, not by pytest
def test_damaged_metadata_does_not_cost_the_picture() -> None:
    data = jpeg(PHOTO, exif=exif(6))
    at = data.index(b"Exif\x00\x00") + 10
    damaged = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]

    picture = decode_picture(damaged)

    assert picture.source.orientation == 1
    assert picture.width == 192


def test_a_pictures_arrays_cannot_be_written_to() -> None:
    picture = decode_picture(png(PHOTO))

    with pytest.raises(ValueError, match="read-only"):
        picture.pixels[0, 0] = 0
