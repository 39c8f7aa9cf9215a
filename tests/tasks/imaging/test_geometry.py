from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.imaging.decode import decode_picture
from tasks.imaging.holes import bounding_box, grow, hole_groups
from tasks.imaging.placement import Placement
from tasks.imaging.thumbnail import thumbnail
from tests.factories.pictures import hole, photo, png


@st.composite
def masks(draw: Any) -> Any:
    height, width = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    mask = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        mask[y : y + draw(st.integers(1, 60)), x : x + draw(st.integers(1, 60))] = 255
    return mask


@given(masks(), st.integers(0, 80))
@settings(max_examples=80, deadline=None)
def test_every_set_pixel_lies_in_a_group_and_no_group_is_empty(mask: Any, gap: int) -> None:
    groups = hole_groups(mask, gap=gap)

    covered = np.zeros_like(mask)
    for x1, y1, x2, y2 in groups:
        assert mask[y1:y2, x1:x2].any()
        covered[y1:y2, x1:x2] = 255
    assert not (mask & ~covered).any()


def test_near_holes_share_a_group_and_far_ones_do_not() -> None:
    near = hole(400, 100, share=0.01, at=(0.1, 0.5)) | hole(400, 100, share=0.01, at=(0.2, 0.5))
    far = near | hole(400, 100, share=0.01, at=(0.9, 0.5))

    assert len(hole_groups(near, gap=60)) == 1
    assert len(hole_groups(far, gap=60)) == 2


def test_thousands_of_specks_are_one_quick_group() -> None:
    specks = np.where(np.random.default_rng(0).random((900, 900)) < 0.02, 255, 0).astype(np.uint8)

    assert len(hole_groups(specks, gap=48)) == 1


def test_an_empty_mask_has_no_box() -> None:
    assert bounding_box(np.zeros((5, 5), np.uint8)) is None
    assert hole_groups(np.zeros((5, 5), np.uint8), gap=10) == []


def test_a_grown_box_stays_in_the_picture() -> None:
    assert grow((5, 5, 10, 10), 100, width=50, height=30) == (0, 0, 50, 30)


def test_a_crop_goes_out_and_comes_back_to_its_place() -> None:
    picture = photo(0)
    placement = Placement(box=(20, 10, 84, 58), width=64, height=48)

    assert np.array_equal(placement.cut(picture), picture[10:58, 20:84])
    back = placement.put_back(np.zeros((48, 64, 3), np.uint8), picture)
    assert not back[10:58, 20:84].any()
    back[10:58, 20:84] = picture[10:58, 20:84]
    assert np.array_equal(back, picture)


@given(st.integers(0, 99), st.integers(0, 79), st.integers(1, 300), st.integers(1, 300))
def test_points_and_boxes_travel_with_the_crop_and_stay_inside(x: int, y: int, width: int, height: int) -> None:
    placement = Placement(box=(10, 20, 90, 70), width=width, height=height)

    left, top = placement.point_out((x, y))
    box = placement.box_out((x, y, x + 1, y + 1))

    assert 0 <= left < width
    assert 0 <= top < height
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height


def test_a_shrunken_mask_still_covers_every_marked_pixel() -> None:
    mask = hole(300, 200, share=0.001)
    placement = Placement(box=(0, 0, 300, 200), width=60, height=40)

    small = placement.cut_mask(mask)

    assert not (mask & ~np.kron(small, np.ones((5, 5), np.uint8))).any()


def test_a_thumbnail_is_small_and_shows_transparency_on_white() -> None:
    cutout = np.dstack((photo(0, 400, 200), np.zeros((200, 400), np.uint8)))

    shown = decode_picture(thumbnail(decode_picture(png(cutout)), long_side=100))

    assert (shown.width, shown.height) == (100, 50)
    assert shown.pixels.min() > 250
    assert decode_picture(thumbnail(decode_picture(png(photo(0, 40, 20))), long_side=100)).width == 40
