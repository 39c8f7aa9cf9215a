from dataclasses import replace

import numpy as np
import pytest

from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from tasks.config.imaging import PreflightSettings
from tasks.preflight import Preflight, check_item
from tests.factories.dirty_pictures import ALL, DOOMED, HEALTHY, REPAIRABLE, DirtyRow, dirty_rows
from tests.factories.pictures import exif, hole, jpeg, photo, png, product_on_white, stored_for

SETTINGS = PreflightSettings()
PHOTO, HOLE = photo(1), hole()
ITEM = Item(item_id="i", image_uri="image", mask_uri="mask")


def checked(row: DirtyRow, settings: PreflightSettings = SETTINGS) -> Preflight:
    return check_item(row.item, row.image, row.mask, row.reference, settings)


@pytest.mark.parametrize("kind", HEALTHY)
def test_healthy_rows_pass_untouched(kind: str) -> None:
    for n in range(3):
        found = checked(HEALTHY[kind](n))

        assert found.accepted, found.reason
        assert found.repairs == ()
        assert found.picture is not None
        assert found.mask is not None
        assert (found.mask.width, found.mask.height) == (found.picture.width, found.picture.height)


@pytest.mark.parametrize("kind", REPAIRABLE)
def test_what_is_safe_to_repair_is_repaired_and_recorded(kind: str) -> None:
    for n in range(4):
        row = REPAIRABLE[kind](n)

        found = checked(row)

        assert found.accepted, found.reason
        assert row.repairs <= set(found.repairs)


@pytest.mark.parametrize("kind", DOOMED)
def test_doomed_rows_are_rejected_with_code_and_sentence(kind: str) -> None:
    for n in range(4):
        row = DOOMED[kind](n)

        found = checked(row)

        assert found.code is row.code
        assert found.reason
        assert found.picture is None


@pytest.mark.parametrize("kind", ["half_sized_mask", "mask_of_the_unrotated_photo", "mask_in_alpha", "palette_mask"])
def test_a_repaired_mask_marks_what_was_meant(kind: str) -> None:
    for n in range(4):
        found = checked(REPAIRABLE[kind](n))
        meant = checked(HEALTHY["plain_jpeg"](n))
        assert found.mask is not None
        assert meant.mask is not None

        both = np.count_nonzero(found.mask.values & meant.mask.values)
        either = np.count_nonzero(found.mask.values | meant.mask.values)
        assert both / either > 0.9


def test_inverted_masks_are_turned_over_only_when_told_to() -> None:
    row = DOOMED["inverted_mask"](0)

    found = checked(row, PreflightSettings(invert_masks=True))

    assert found.accepted
    assert "mask_inverted" in found.repairs
    assert found.mask is not None
    assert np.count_nonzero(found.mask.values) < 0.2 * found.mask.values.size


def test_a_mask_from_the_border_inwards_is_not_called_inverted() -> None:
    mask = np.zeros((128, 192), np.uint8)
    mask[:60] = 255

    assert check_item(ITEM, jpeg(PHOTO), png(mask), None, SETTINGS).accepted


@pytest.mark.parametrize(
    ("changes", "image", "code"),
    [
        ({"max_image_bytes": 1000}, jpeg(PHOTO), ErrorCode.IMAGE_TOO_LARGE),
        ({"max_image_pixels": 1000}, jpeg(PHOTO), ErrorCode.IMAGE_TOO_LARGE),
        ({"min_side": 500}, jpeg(PHOTO), ErrorCode.IMAGE_UNREADABLE),
        ({"max_mask_share": 0.01}, jpeg(PHOTO), ErrorCode.MASK_COVERS_TOO_MUCH),
        ({"min_mask_pixels": 10_000}, jpeg(PHOTO), ErrorCode.MASK_EMPTY),
    ],
)
def test_every_threshold_is_configuration(changes: dict[str, float], image: bytes, code: ErrorCode) -> None:
    assert check_item(ITEM, image, png(HOLE), None, SETTINGS).accepted

    found = check_item(ITEM, image, png(HOLE), None, PreflightSettings(**changes))  # type: ignore[arg-type]

    assert found.code is code


def test_a_mask_on_plain_ground_is_not_worth_a_credit() -> None:
    product, _ = product_on_white(0)
    corner = hole(share=0.01, at=(0.1, 0.1))

    found = check_item(ITEM, jpeg(product, 95), png(corner), None, SETTINGS)

    assert found.code is ErrorCode.MASK_EMPTY
    assert "nothing on it to remove" in str(found.reason)
    product[corner > 0] = 250
    product[12, 18] = 200
    assert check_item(ITEM, png(product), png(corner), None, SETTINGS).accepted


def test_a_background_covers_most_of_a_picture_and_may() -> None:
    row = HEALTHY["new_background"](0)

    assert checked(row, PreflightSettings(max_mask_share=0.1)).accepted


def test_the_white_inside_a_product_is_the_products() -> None:
    product, background = product_on_white(0)
    product[60:68, 90:102] = 255
    item = replace(HEALTHY["new_background"](0).item, mask_uri=None)

    found = check_item(item, png(product), None, jpeg(PHOTO), SETTINGS)

    assert found.accepted
    assert found.mask is not None
    assert not found.mask.values[60:68, 90:102].any()
    assert np.count_nonzero(found.mask.values != background) < 0.01 * background.size


def test_a_cut_outs_transparency_is_its_background() -> None:
    product, background = product_on_white(0)
    item = replace(HEALTHY["new_background"](0).item, mask_uri=None)

    found = check_item(item, png(np.dstack((product, 255 - background))), None, jpeg(PHOTO), SETTINGS)

    assert found.repairs == ("mask_from_transparency",)
    assert found.mask is not None
    assert np.array_equal(found.mask.values, background)


def test_a_new_background_may_be_in_words() -> None:
    row = HEALTHY["new_background"](0)
    item = replace(row.item, reference_uri=None, prompt="a marble counter")

    assert check_item(item, row.image, row.mask, None, SETTINGS).accepted


@pytest.mark.parametrize("selector", [{"points": ((10, 10),)}, {"box": (5, 5, 50, 50)}, {"object_name": "strap"}])
def test_a_row_may_select_otherwise_than_by_mask(selector: dict[str, object]) -> None:
    item = replace(ITEM, mask_uri=None, **selector)  # type: ignore[arg-type]

    found = check_item(item, jpeg(PHOTO), None, None, SETTINGS)

    assert found.accepted
    assert found.mask is None


def test_a_box_is_cut_off_at_the_pictures_border() -> None:
    item = replace(ITEM, mask_uri=None, box=(-20, 10, 500, 90))

    found = check_item(item, jpeg(PHOTO), None, None, SETTINGS)

    assert found.item.box == (0, 10, 192, 90)
    assert found.repairs == ("box_clipped",)


def test_points_are_those_of_the_picture_as_displayed() -> None:
    image = jpeg(stored_for(PHOTO, 6), exif=exif(6))
    wide = replace(ITEM, mask_uri=None, points=((180, 20),))
    tall = replace(ITEM, mask_uri=None, points=((20, 180),))

    assert check_item(wide, image, None, None, SETTINGS).accepted
    assert check_item(tall, image, None, None, SETTINGS).code is ErrorCode.SELECTION_FAILED


def test_a_catalog_holds_every_kind_and_its_share_of_doomed_rows() -> None:
    rows = dirty_rows(160)

    assert {row.kind for row in rows} == set(ALL)
    assert sum(row.code is not None for row in rows) == 40
    assert len({row.item.item_id for row in rows}) == 160


def test_background_rows_without_any_selection_are_missing_their_mask() -> None:
    item = replace(ITEM, mask_uri=None, operation=Operation.BACKGROUND_REPLACE, reference_uri="r")

    assert check_item(item, jpeg(PHOTO), None, jpeg(PHOTO), SETTINGS).code is ErrorCode.MASK_MISSING
