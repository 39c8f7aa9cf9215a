import io

import cv2
import numpy as np
import pytest
from PIL import Image

from manifests.error_codes import ErrorCode
from tasks.imaging import pnm
from tasks.imaging.masks import decode_mask
from tasks.imaging.picture import PictureError
from tests.factories.pictures import as_file, hole, jpeg, photo, png, stored_for

HOLE = hole()


def test_a_clean_mask_is_taken_as_it_is_and_may_be_sent_as_it_is() -> None:
    mask = decode_mask(png(HOLE))

    assert np.array_equal(mask.values, HOLE)
    assert mask.repairs == ()
    assert mask.media_type == "image/png"


@pytest.mark.parametrize(
    "data",
    [
        png(Image.fromarray(HOLE).convert("1")),
        png(Image.fromarray(HOLE).convert("RGB")),
        png(Image.fromarray(HOLE).convert("P")),
        as_file(HOLE, "TIFF"),
        as_file(HOLE, "BMP"),
        as_file(HOLE, "GIF"),
        png(HOLE.astype(np.uint16) * 257),
        pnm.write(HOLE),
    ],
    ids=["bilevel", "rgb", "palette", "tiff", "bmp", "gif", "16 bits", "pnm"],
)
def test_the_way_of_storing_does_not_matter(data: bytes) -> None:
    mask = decode_mask(data)

    assert np.array_equal(mask.values, HOLE)
    assert mask.repairs == ()
    assert mask.media_type is None


@pytest.mark.parametrize(("level", "white"), [(127, False), (128, True)])
def test_grey_is_split_at_128(level: int, white: bool) -> None:
    grey = np.full((20, 20), level, np.uint8)
    grey[0, 0], grey[0, 1] = 0, 255

    mask = decode_mask(png(grey))

    assert bool(mask.values[10, 10]) is white
    assert mask.repairs == ("mask_thresholded",)


def test_the_soft_edges_of_a_jpeg_are_made_hard() -> None:
    mask = decode_mask(jpeg(HOLE, 60))

    assert mask.repairs == ("mask_thresholded",)
    assert set(np.unique(mask.values)) == {0, 255}
    assert np.count_nonzero(mask.values != HOLE) < 0.02 * HOLE.size


@pytest.mark.parametrize("value", [1, 2, 100])
def test_a_mask_of_two_dark_values_marks_the_lighter(value: int) -> None:
    mask = decode_mask(png((HOLE // 255) * np.uint8(value)))

    assert np.array_equal(mask.values, HOLE)
    assert mask.repairs == ("mask_levels_stretched",)


def test_a_label_colour_of_a_palette_marks() -> None:
    labels = Image.fromarray(HOLE // 255, "P")
    labels.putpalette([0, 0, 0, 128, 0, 0])

    assert np.array_equal(decode_mask(png(labels)).values, HOLE)


def test_paint_on_a_transparent_layer_is_the_mask() -> None:
    for colour in ((255, 255, 255), (0, 0, 0), (255, 0, 0)):
        layer = np.zeros((*HOLE.shape, 4), np.uint8)
        layer[HOLE > 0] = (*colour, 255)
        layer[HOLE == 0, :3] = colour

        mask = decode_mask(png(layer))

        assert np.array_equal(mask.values, HOLE), colour
        assert mask.repairs == ("mask_from_alpha",)


def test_a_photograph_with_a_transparent_hole_marks_the_hole() -> None:
    mask = decode_mask(png(np.dstack((photo(1), 255 - HOLE))))

    assert np.array_equal(mask.values, HOLE)
    assert mask.repairs == ("mask_from_transparent_hole",)


def test_white_counts_only_where_it_is_opaque() -> None:
    alpha = np.full_like(HOLE, 255)
    alpha[:, :60] = 0
    whole = np.where(np.arange(192) < 120, 255, 0).astype(np.uint8) * np.ones((128, 1), np.uint8)

    mask = decode_mask(png(np.dstack((whole, whole, whole, alpha))))

    assert np.array_equal(mask.values[0] > 0, (np.arange(192) >= 60) & (np.arange(192) < 120))


def test_an_entirely_transparent_mask_marks_nothing() -> None:
    layer = np.full((20, 20, 4), 255, np.uint8)
    layer[..., 3] = 0
    layer[0, 0, 3] = 1

    assert not decode_mask(png(layer)).values.any()


def test_a_mask_is_turned_upright_like_a_picture() -> None:
    block = Image.Exif()
    block[0x0112] = 6

    mask = decode_mask(as_file(stored_for(cv2.cvtColor(HOLE, cv2.COLOR_GRAY2RGB), 6), "PNG", exif=block))

    assert np.array_equal(mask.values, HOLE)


@pytest.mark.parametrize("data", [b"<html>", png(HOLE)[:100], b"", pnm.write(HOLE)[:-1]])
def test_what_is_no_mask_is_refused_as_a_mask(data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        decode_mask(data)

    assert caught.value.code is ErrorCode.MASK_UNREADABLE


def test_a_colour_pnm_is_read_by_its_lightness() -> None:
    assert np.array_equal(decode_mask(pnm.write(cv2.cvtColor(HOLE, cv2.COLOR_GRAY2RGB))).values, HOLE)


def test_a_pnm_opens_in_any_viewer() -> None:
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pnm.write(HOLE)))), HOLE)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pnm.write(photo(0))))), photo(0))
