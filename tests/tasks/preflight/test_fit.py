from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from tasks.config.imaging import PreflightSettings
from tasks.imaging import pnm
from tasks.imaging.decode import decode_picture
from tasks.imaging.masks import decode_mask
from tasks.preflight import Fitted, Preflight, Unfit, check_item, fit_to_provider, unchanged
from tasks.providers.base import Capabilities
from tests.factories.pictures import as_file, exif, hole, jpeg, photo, png, png16, product_on_white, stored_for

SETTINGS = PreflightSettings(context_px=16)
PHOTO, HOLE = photo(1), hole()
ITEM = Item(item_id="i", image_uri="s3://b/image.jpg", mask_uri="s3://b/mask.png")
ANY = Capabilities(offers=())


def accepted(
    image: bytes, mask: bytes | None = None, *, item: Item = ITEM, reference: bytes | None = None
) -> Preflight:
    found = check_item(item, image, png(HOLE) if mask is None else mask, reference, SETTINGS)
    assert found.accepted, found.reason
    return found


def fitted(preflight: Preflight, **limits: Any) -> Fitted:
    """What a provider gets. Where that is the row's own files, the short way there must find the same."""
    capabilities = Capabilities(offers=(), **limits)
    found = fit_to_provider(preflight, capabilities, SETTINGS)
    assert isinstance(found, Fitted), found
    short = unchanged(preflight, capabilities, SETTINGS)
    own = [found.image.data is preflight.image_bytes, found.mask is None or found.mask.data is preflight.mask_bytes]
    assert (short is not None) == (all(own) and found.reference is None)
    for name in ("item", "image", "mask", "points", "box", "placement", "repairs") if short else ():
        assert getattr(short, name) == getattr(found, name)
    return found


@pytest.mark.parametrize(
    ("image", "media_type"),
    [(jpeg(PHOTO), "image/jpeg"), (png(PHOTO), "image/png"), (as_file(PHOTO, "WEBP"), "image/webp")],
)
def test_what_a_provider_takes_goes_as_it_is_with_its_address(image: bytes, media_type: str) -> None:
    sent = fitted(accepted(image))

    assert sent.image.data == image
    assert sent.image.media_type == media_type
    assert sent.image.source_uri == "s3://b/image.jpg"
    assert sent.mask is not None
    assert sent.mask.data == png(HOLE)
    assert sent.mask.source_uri == "s3://b/mask.png"
    assert sent.repairs == ()


def with_alpha() -> bytes:
    image = Image.fromarray(PHOTO)
    image.putalpha(128)
    return png(image)


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        (as_file(PHOTO, "TIFF"), "image/png"),
        (as_file(PHOTO, "BMP"), "image/png"),
        (png16(PHOTO), "image/png"),
        (with_alpha(), "image/png"),
        (jpeg(stored_for(PHOTO, 6), exif=exif(6)), "image/jpeg"),
        (as_file(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"), "image/jpeg"),
    ],
    ids=["tiff", "bmp", "16 bits", "alpha", "rotated", "cmyk"],
)
def test_what_a_provider_could_see_differently_is_converted(image: bytes, media_type: str) -> None:
    preflight = accepted(image)

    sent = fitted(preflight)

    assert sent.image.media_type == media_type
    assert sent.image.source_uri is None
    assert f"sent_as_{media_type[6:]}" in sent.repairs
    seen = decode_picture(sent.image.data)
    assert seen.alpha is None
    assert seen.source.orientation == 1
    assert float(np.abs(seen.pixels.astype(int) - sent.sent).mean()) < 3
    assert (sent.image.width, sent.image.height) == (seen.width, seen.height) == (192, 128)


def test_a_mask_that_was_repaired_is_sent_as_understood() -> None:
    sent = fitted(accepted(jpeg(PHOTO), jpeg(HOLE, 60)))

    assert sent.mask is not None
    assert sent.mask.source_uri is None
    assert sent.sent_mask is not None
    assert np.array_equal(decode_mask(sent.mask.data).values, sent.sent_mask)
    assert Image.MIME["PNG"] == sent.mask.media_type


def test_the_local_engine_gets_raw_pixels() -> None:
    sent = fitted(accepted(jpeg(PHOTO)), media_types=frozenset({"image/jpeg", pnm.MEDIA_TYPE}))

    assert sent.image.media_type == pnm.MEDIA_TYPE
    assert sent.image.suffix == ".pnm"
    assert np.array_equal(pnm.read_array(sent.image.data), sent.sent)
    assert sent.repairs == ()


def test_beyond_the_pixels_the_hole_is_sent_with_its_surroundings_at_full_resolution() -> None:
    mask = hole(600, 400, share=0.01, at=(0.8, 0.3))
    preflight = accepted(png(photo(0, 600, 400)), png(mask))

    sent = fitted(preflight, max_image_pixels=100_000)

    x1, y1, x2, y2 = sent.placement.box
    assert not sent.placement.scaled
    assert (x2 - x1) * (y2 - y1) <= 100_000
    assert np.array_equal(sent.sent, photo(0, 600, 400)[y1:y2, x1:x2])
    assert sent.sent_mask is not None
    assert np.count_nonzero(sent.sent_mask) == np.count_nonzero(mask)
    assert "sent_crop" in sent.repairs


def test_far_apart_holes_go_in_one_call_scaled_down() -> None:
    mask = hole(600, 400, share=0.005, at=(0.1, 0.1)) | hole(600, 400, share=0.005, at=(0.9, 0.9))
    preflight = accepted(png(photo(0, 600, 400)), png(mask))

    sent = fitted(preflight, max_image_pixels=60_000)

    assert sent.placement.scaled
    assert sent.image.width * sent.image.height <= 60_000
    assert "sent_scaled" in sent.repairs
    assert sent.sent_mask is not None
    assert np.count_nonzero(sent.sent_mask[:60, :90]) > 0
    assert np.count_nonzero(sent.sent_mask[-60:, -90:]) > 0


def test_a_background_goes_whole_scaled_down() -> None:
    product, background = product_on_white(0)
    item = replace(ITEM, operation=Operation.BACKGROUND_REPLACE, reference_uri="s3://b/scene.jpg")
    preflight = accepted(png(product), png(background), item=item, reference=jpeg(photo(2, 900, 300)))

    sent = fitted(preflight, max_side=96)

    assert (sent.image.width, sent.image.height) == (96, 64)
    assert sent.reference is not None
    assert max(sent.reference.width, sent.reference.height) <= 96
    assert sent.reference.source_uri is None


def test_a_reference_that_fits_goes_as_it_is() -> None:
    product, background = product_on_white(0)
    item = replace(ITEM, operation=Operation.BACKGROUND_REPLACE, reference_uri="s3://b/scene.jpg")
    scene = jpeg(photo(2, 300, 200))

    sent = fitted(accepted(png(product), png(background), item=item, reference=scene))

    assert sent.reference is not None
    assert sent.reference.data == scene
    assert sent.reference.source_uri == "s3://b/scene.jpg"


def test_under_a_byte_limit_compression_comes_first() -> None:
    image = png(PHOTO)

    sent = fitted(accepted(image), max_image_bytes=len(image) // 2)

    assert len(sent.image.data) <= len(image) // 2
    assert sent.image.media_type == "image/jpeg"
    assert not sent.placement.scaled


def test_and_scaling_second() -> None:
    image = jpeg(PHOTO, 95)

    sent = fitted(accepted(image), max_image_bytes=len(jpeg(PHOTO, 80)) * 2 // 3)

    assert sent.placement.scaled
    assert len(sent.image.data) <= len(jpeg(PHOTO, 80)) * 2 // 3


def test_a_small_picture_is_enlarged_to_a_providers_least_side() -> None:
    sent = fitted(accepted(jpeg(PHOTO)), min_side=256)

    assert min(sent.image.width, sent.image.height) == 256
    assert sent.sent_mask is not None
    assert sent.sent_mask.shape == (sent.image.height, sent.image.width)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_image_bytes": 100}, ErrorCode.IMAGE_TOO_LARGE),
        ({"max_side": 10}, ErrorCode.IMAGE_TOO_LARGE),
        ({"max_image_pixels": 50}, ErrorCode.IMAGE_TOO_LARGE),
        ({"min_side": 5000}, ErrorCode.PROVIDER_REJECTED),
        ({"min_side": 200, "max_image_pixels": 40_000}, ErrorCode.PROVIDER_REJECTED),
        ({"media_types": frozenset({"image/x-unheard-of"})}, ErrorCode.IMAGE_TOO_LARGE),
    ],
)
def test_what_cannot_be_brought_within_limits_is_unfit_with_the_reason(limits: dict[str, Any], code: ErrorCode) -> None:
    found = fit_to_provider(accepted(jpeg(PHOTO)), Capabilities(offers=(), **limits), SETTINGS)

    assert isinstance(found, Unfit)
    assert found.code is code
    assert "provider" in found.reason


def test_points_and_box_are_those_of_what_is_sent() -> None:
    item = replace(ITEM, mask_uri=None, points=((100, 60),), labels=(1,), box=(80, 40, 120, 80))
    preflight = check_item(item, jpeg(PHOTO), None, None, SETTINGS)

    sent = fitted(preflight, max_image_pixels=10_000)

    x1, y1, x2, y2 = sent.placement.box
    assert (x2 - x1, y2 - y1) == (sent.image.width, sent.image.height)
    assert sent.points == ((100 - x1, 60 - y1),)
    assert sent.box == (80 - x1, 40 - y1, 120 - x1, 80 - y1)


def test_the_request_says_what_the_item_says() -> None:
    item = replace(ITEM, prompt="p", object_name="o")

    request = fitted(accepted(jpeg(PHOTO), item=item)).request("key", callback_url="https://c")

    assert (request.attempt_key, request.item_id, request.prompt, request.object_name) == ("key", "i", "p", "o")
    assert request.callback_url == "https://c"
    assert request.mask is not None


def test_a_rejected_row_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="was rejected"):
        fit_to_provider(check_item(ITEM, b"", None, None, SETTINGS), ANY, SETTINGS)


@given(
    st.integers(30, 400),
    st.integers(30, 400),
    st.floats(0.001, 0.5),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.one_of(st.none(), st.integers(400, 200_000)),
    st.one_of(st.none(), st.integers(16, 500)),
    st.one_of(st.none(), st.integers(1, 300)),
    st.one_of(st.none(), st.integers(500, 100_000)),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_sent_keeps_every_limit_or_is_unfit(
    width: int,
    height: int,
    share: float,
    at: tuple[float, float],
    max_pixels: int | None,
    max_side: int | None,
    min_side: int | None,
    max_bytes: int | None,
) -> None:
    preflight = check_item(
        ITEM, png(photo(0, width, height)), png(hole(width, height, share=share, at=at)), None, SETTINGS
    )
    if not preflight.accepted:
        return
    limits = Capabilities(
        offers=(), max_image_pixels=max_pixels, max_side=max_side, min_side=min_side, max_image_bytes=max_bytes
    )

    sent = fit_to_provider(preflight, limits, SETTINGS)

    if isinstance(sent, Unfit):
        assert sent.reason
        return
    assert sent.image.width * sent.image.height <= (max_pixels or 10**9)
    assert max(sent.image.width, sent.image.height) <= (max_side or 10**9)
    assert min(sent.image.width, sent.image.height) >= (min_side or 1)
    assert len(sent.image.data) <= (max_bytes or 10**9)
    assert sent.sent.shape[:2] == (sent.image.height, sent.image.width)
    assert sent.sent_mask is not None
    assert sent.sent_mask.shape == sent.sent.shape[:2]
    assert sent.sent_mask.any()
