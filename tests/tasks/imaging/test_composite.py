from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.imaging.composite import composite, fill_alpha
from tasks.imaging.matte import composite_background
from tasks.imaging.picture import Pixels, Plane
from tests.factories.pictures import hole, photo, product_on_white

PHOTO, MASK = photo(1), hole()


def shifted(pixels: Pixels, by: Any) -> Pixels:
    return np.clip(pixels.astype(int) + np.asarray(by), 0, 255).astype(np.uint8)


@st.composite
def cases(draw: Any) -> tuple[Pixels, Pixels, Plane, float]:
    """Any picture, any answer, any mask, any feather."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    original, edited = (rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(2))
    mask = np.where(rng.random((height, width)) < share, 255, 0).astype(np.uint8)
    return original, edited, mask, draw(st.sampled_from([0.0, 1.0, 2.0, 7.5]))


@given(cases(), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_outside_the_mask_every_byte_is_the_originals(case: tuple[Pixels, Pixels, Plane, float], match: bool) -> None:
    original, edited, mask, feather_px = case

    result = composite(original, edited, mask, feather_px=feather_px, match_colour=match)
    behind = composite_background(original, edited, mask, matte_px=feather_px)

    for done in (result, behind):
        assert done.dtype == np.uint8
        assert np.array_equal(done[mask == 0], original[mask == 0])


@given(cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_without_feather_and_matching_the_inside_is_the_edit(case: tuple[Pixels, Pixels, Plane, float]) -> None:
    original, edited, mask, _ = case

    result = composite(original, edited, mask, feather_px=0, match_colour=False)

    assert np.array_equal(result[mask > 0], edited[mask > 0])


def test_the_seam_is_blended_inside_the_mask_only() -> None:
    edited = shifted(PHOTO, 10)

    result = composite(PHOTO, edited, MASK, feather_px=4, match_colour=False)

    rim = (MASK > 0) & (np.abs(result.astype(int) - edited).max(axis=2) > 0)
    assert rim.any()
    assert np.array_equal(result[MASK == 0], PHOTO[MASK == 0])
    assert int(np.abs(result.astype(int) - edited)[rim].max()) <= 10


def test_a_removed_thing_that_reaches_the_mask_leaves_no_ghost() -> None:
    original = np.full((60, 60, 3), 200, np.uint8)
    mask = hole(60, 60, share=0.2)
    original[mask > 0] = 20
    clean = np.full_like(original, 200)

    assert np.array_equal(composite(original, clean, mask, feather_px=3), clean)


@pytest.mark.parametrize("drift", [(14, -8, 10), (-20, -20, -20), (30, 0, 0)])
def test_a_drift_of_the_whole_picture_is_taken_back(drift: tuple[int, int, int]) -> None:
    wanted = photo(1).copy()
    wanted[MASK > 0] = np.clip(wanted[MASK > 0], 40, 200)
    answer = shifted(wanted, drift)

    result = composite(PHOTO, answer, MASK, feather_px=0)

    before = np.abs(answer.astype(int) - wanted)[MASK > 0].mean()
    after = np.abs(result.astype(int) - wanted)[MASK > 0].mean()
    assert after < before / 4


def test_a_drift_along_the_seam_alone_is_levelled() -> None:
    wall = np.random.default_rng(1).normal(120, 3, (120, 120, 1)).repeat(3, axis=2).astype(np.uint8)
    mask = hole(120, 120, share=0.15)
    answer = np.where(mask[..., None] > 0, shifted(wall, 12), wall).astype(np.uint8)

    result = composite(wall, answer, mask, feather_px=0)

    assert abs(float(result[mask > 0].mean()) - float(wall[mask > 0].mean())) < 2


def test_a_true_edit_is_not_recoloured() -> None:
    answer = PHOTO.copy()
    answer[MASK > 0] = photo(2)[MASK > 0]

    result = composite(PHOTO, answer, MASK, feather_px=0)

    assert np.array_equal(result[MASK > 0], answer[MASK > 0])


def test_each_hole_is_matched_by_itself() -> None:
    left, right = hole(share=0.02, at=(0.2, 0.5)), hole(share=0.02, at=(0.8, 0.5))
    mask = left | right
    wanted = np.full((128, 192, 3), 100, np.uint8)
    answer = wanted.copy()
    answer[:, :96] += 20
    answer[:, 96:] -= 20

    result = composite(wanted, answer, mask, feather_px=0)

    assert int(np.abs(result.astype(int) - 100).max()) <= 2


def test_a_new_background_leaves_no_rim_of_the_old_one() -> None:
    product, background = product_on_white()
    scene = np.full_like(product, 10)

    result = composite_background(product, scene, background, matte_px=2)

    band = (background > 0) & (np.abs(result.astype(int) - 10).max(axis=2) > 0)
    assert band.any()
    assert int(result[band].max()) < 255
    assert np.array_equal(result[background == 0], product[background == 0])


@pytest.mark.parametrize("mask", [np.zeros((20, 20), np.uint8), np.full((20, 20), 255, np.uint8)])
def test_nothing_and_everything_are_masks_too(mask: Plane) -> None:
    original, edited = photo(0, 20, 20), photo(1, 20, 20)

    for compose in (composite, composite_background):
        assert np.array_equal(compose(original, edited, mask), edited if mask.any() else original)


def test_transparency_in_a_hole_continues_that_around_it() -> None:
    alpha = np.full((60, 60), 255, np.uint8)
    alpha[:, :30] = 0
    mask = hole(60, 60, share=0.02, at=(0.2, 0.5)) | hole(60, 60, share=0.02, at=(0.8, 0.5))
    alpha[mask > 0] = 128

    filled = fill_alpha(alpha, mask)

    assert set(np.unique(filled[:, :28])) == {0}
    assert set(np.unique(filled[:, 32:])) == {255}
    assert np.array_equal(filled[mask == 0], alpha[mask == 0])
