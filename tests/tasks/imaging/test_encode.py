import io

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tasks.imaging.decode import decode_picture
from tasks.imaging.encode import encode_picture
from tasks.imaging.picture import Picture
from tests.factories.pictures import as_file, exif, jpeg, photo, png, png16, sixteen_bits, srgb_profile, stored_for

PHOTO = photo(0)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:creator="me"/></x:xmpmeta>'


def again(data: bytes, **options: object) -> tuple[bytes, Picture]:
    """Decode a file, write its pixels again in its own manner, decode that."""
    picture = decode_picture(data)
    encoded = encode_picture(picture.pixels, picture, alpha=picture.alpha, **options)  # type: ignore[arg-type]
    return encoded.data, decode_picture(encoded.data)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_lossless_files_come_back_in_their_format_with_every_pixel(form: str, mode: str) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}

    data, result = again(as_file(image, form, **options))

    opened = Image.open(io.BytesIO(data))
    assert opened.format == form
    assert opened.mode == ("RGB" if (form, mode) == ("WEBP", "L") else mode)
    assert np.array_equal(np.asarray(opened.convert(mode)), np.asarray(image))
    assert (result.alpha is not None) == (mode == "RGBA")


def test_grey_with_alpha_stays_so() -> None:
    image = Image.fromarray(PHOTO).convert("LA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))

    data, _ = again(png(image))

    assert Image.open(io.BytesIO(data)).mode == "LA"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(image))


def test_a_palette_becomes_full_colour_so_that_edits_are_not_posterised() -> None:
    data, _ = again(png(Image.fromarray(PHOTO).quantize(32)))

    assert Image.open(io.BytesIO(data)).mode == "RGB"


@pytest.mark.parametrize("form", ["GIF", "BMP", "PPM"])
def test_formats_that_hold_less_become_png(form: str) -> None:
    data, _ = again(as_file(PHOTO, form))

    assert Image.open(io.BytesIO(data)).format == "PNG"


def test_sixteen_bits_come_back_where_nothing_was_edited() -> None:
    picture = decode_picture(png16(PHOTO))
    edited = picture.pixels.copy()
    edited[:10] = (10, 20, 30)

    data = encode_picture(edited, picture).data

    result = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert result is not None
    assert result.dtype == np.uint16
    assert np.array_equal(result[10:, :, ::-1], sixteen_bits(PHOTO)[10:])
    assert np.array_equal(decode_picture(data).pixels, edited)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [55, 80, 95])
def test_a_jpeg_is_compressed_as_its_source_was(quality: int, subsampling: int) -> None:
    source = jpeg(PHOTO, quality, subsampling=subsampling)

    data, result = again(source)

    before, after = Image.open(io.BytesIO(source)), Image.open(io.BytesIO(data))
    assert after.quantization == before.quantization  # type: ignore[attr-defined]  # JPEGs have it
    assert result.source.jpeg is not None
    assert result.source.jpeg.subsampling == subsampling
    assert float(cv2.absdiff(decode_picture(source).pixels, result.pixels).mean()) < 1
    assert abs(len(data) / len(source) - 1) < 0.1


def test_a_grey_progressive_jpeg_stays_grey_and_progressive() -> None:
    data, _ = again(jpeg(Image.fromarray(PHOTO).convert("L"), 85, progressive=True))

    opened = Image.open(io.BytesIO(data))
    assert opened.mode == "L"
    assert opened.info.get("progressive")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_profile_and_metadata_are_kept_and_the_orientation_is_spent(form: str) -> None:
    stored = stored_for(PHOTO, 6)
    options = {"xmp": XMP} if form != "PNG" else {}
    source = as_file(stored, form, exif=exif(6), icc_profile=srgb_profile(), **options)

    data, result = again(source)

    opened = Image.open(io.BytesIO(data))
    assert opened.info["icc_profile"] == srgb_profile()
    assert opened.getexif()[0x010E] == "a description"
    assert opened.getexif().get(0x0112, 1) == 1
    assert opened.size == (192, 128)
    assert result.pixels.shape == PHOTO.shape
    if form != "PNG":
        assert b'tiff:Orientation="1"' in opened.info["xmp"]
        assert b'dc:creator="me"' in opened.info["xmp"]


def test_the_exif_thumbnail_goes_because_it_shows_what_was_removed() -> None:
    thumbnail = jpeg(photo(1, 32, 24))
    ifd0 = b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x03\x00\x00\x00" + (26).to_bytes(4, "little")
    at = 26 + 2 + 24 + 4
    ifd1 = (
        b"\x02\x00"
        + b"\x01\x02\x04\x00\x01\x00\x00\x00"
        + at.to_bytes(4, "little")
        + b"\x02\x02\x04\x00\x01\x00\x00\x00"
        + len(thumbnail).to_bytes(4, "little")
        + bytes(4)
    )
    block = b"Exif\x00\x00" + b"II*\x00\x08\x00\x00\x00" + ifd0 + ifd1 + thumbnail
    assert decode_picture(jpeg(PHOTO, exif=block)).source.orientation == 3

    data, _ = again(jpeg(PHOTO, exif=block))

    assert b"Exif\x00\x00" in data
    assert thumbnail[:64] not in data


def test_png_texts_resolution_and_gamma_are_carried_over() -> None:
    info = PngInfo()
    info.add_text("Copyright", "ACME")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    source = as_file(PHOTO, "PNG", pnginfo=info, dpi=(300, 300))

    data, _ = again(source)

    opened = Image.open(io.BytesIO(data))
    assert opened.info["Copyright"] == "ACME"
    assert round(opened.info["dpi"][0]) == 300
    assert b'tiff:Orientation="1"' in opened.info["xmp"] or 'tiff:Orientation="1"' in opened.info["xmp"]
    assert data.count(b"XML:com.adobe.xmp") == 1


def test_a_jpegs_comment_and_resolution_are_carried_over() -> None:
    data, _ = again(jpeg(PHOTO, comment=b"made by us", dpi=(240, 240)))

    opened = Image.open(io.BytesIO(data))
    assert opened.info["comment"] == b"made by us"
    assert opened.info["dpi"] == (240, 240)


def test_a_profile_of_another_colour_space_is_left_behind() -> None:
    grey_profile = srgb_profile()[:16] + b"GRAY" + srgb_profile()[20:]
    picture = decode_picture(png(PHOTO, icc_profile=grey_profile))
    assert picture.source.icc_profile == grey_profile

    data = encode_picture(picture.pixels, picture).data

    assert "icc_profile" not in Image.open(io.BytesIO(data)).info


@pytest.mark.parametrize(("name", "form"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_another_format_can_be_asked_for(name: str, form: str) -> None:
    for source in (jpeg(PHOTO, exif=exif(1), icc_profile=srgb_profile()), png(PHOTO, icc_profile=srgb_profile())):
        picture = decode_picture(source)

        encoded = encode_picture(picture.pixels, picture, output_format=name)  # type: ignore[arg-type]

        opened = Image.open(io.BytesIO(encoded.data))
        assert opened.format == form
        assert encoded.media_type == Image.MIME[form]
        assert opened.info["icc_profile"] == srgb_profile()


def test_transparency_is_shown_on_white_where_the_format_has_none() -> None:
    image = Image.fromarray(PHOTO)
    image.putalpha(0)
    picture = decode_picture(png(image))

    encoded = encode_picture(picture.pixels, picture, alpha=picture.alpha, output_format="jpeg")

    assert decode_picture(encoded.data).pixels.min() > 250
