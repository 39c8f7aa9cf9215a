from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from manifests.schemas import OUTCOME_SCHEMA
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.config.providers import LocalSettings
from tasks.imaging import pnm
from tasks.imaging.decode import decode_picture
from tasks.imaging.picture import Pixels, Plane
from tasks.preflight import Fitted, Preflight, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.providers.local.engines import load_engine
from tasks.providers.local.fill import fill_holes
from tasks.quality import Verdict, deliver, judge
from tests.factories.answers import BAD, GOOD
from tests.factories.pictures import hole, jpeg, photo, png, product_on_white

SETTINGS = QualitySettings()
SIZE = (240, 160)
ITEM = Item(item_id="i", image_uri="image", mask_uri="mask")
ENGINE = load_engine(LocalSettings(engine="telea"))
CODES = {
    "nothing": ErrorCode.OUTPUT_UNREADABLE,
    "html": ErrorCode.OUTPUT_UNREADABLE,
    "xml": ErrorCode.OUTPUT_UNREADABLE,
    "truncated png": ErrorCode.OUTPUT_UNREADABLE,
    "truncated jpeg": ErrorCode.OUTPUT_UNREADABLE,
    "white": ErrorCode.OUTPUT_BLANK,
    "black": ErrorCode.OUTPUT_BLANK,
    "echo": ErrorCode.OUTPUT_UNCHANGED,
    "echo recompressed": ErrorCode.OUTPUT_UNCHANGED,
    "echo shifted": ErrorCode.OUTPUT_UNCHANGED,
    "half the size": ErrorCode.OUTPUT_WRONG_SIZE,
    "square": ErrorCode.OUTPUT_WRONG_SIZE,
    "tinted": ErrorCode.OUTPUT_DRIFTED,
    "bleached": ErrorCode.OUTPUT_DRIFTED,
    "placeholder": ErrorCode.OUTPUT_POOR,
    "another picture": ErrorCode.OUTPUT_POOR,
    "negative": ErrorCode.OUTPUT_POOR,
    "marked, not removed": ErrorCode.OUTPUT_POOR,
    "hole left transparent": ErrorCode.OUTPUT_POOR,
}


def sent(index: int, **limits: Any) -> tuple[Preflight, Fitted]:
    """A photograph with something bright in the hole, as a provider gets it."""
    picture, mask = photo(index, *SIZE), hole(*SIZE, at=(0.4 + index % 3 / 10, 0.5))
    thing = cv2.erode(mask, np.ones((5, 5), np.uint8))
    picture[thing > 0] = (250, 220, 40) if index % 2 else (20, 40, 90)
    preflight = check_item(ITEM, jpeg(picture, 92), png(mask), None, PreflightSettings(context_px=16))
    fitted = fit_to_provider(preflight, Capabilities(offers=(), **limits), PreflightSettings(context_px=16))
    assert isinstance(fitted, Fitted), fitted
    return preflight, fitted


def filled(fitted: Fitted) -> Pixels:
    assert fitted.sent_mask is not None
    return fill_holes(fitted.sent, fitted.sent_mask, ENGINE)


def region_of(fitted: Fitted) -> Plane:
    assert fitted.sent_mask is not None
    return fitted.sent_mask


def verdict_on(kind: str, index: int) -> tuple[Preflight, Verdict]:
    preflight, fitted = sent(index)
    answer = {**GOOD, **BAD}[kind](fitted.sent, region_of(fitted), filled(fitted))
    return preflight, judge(preflight, fitted, answer, SETTINGS)


@pytest.mark.parametrize("kind", GOOD)
def test_good_answers_are_accepted_and_the_product_is_not_touched(kind: str) -> None:
    for index in range(4):
        preflight, verdict = verdict_on(kind, index)

        assert verdict.accepted, verdict.reason
        assert verdict.composed is not None
        assert preflight.picture is not None
        assert preflight.mask is not None
        keep = preflight.mask.values == 0
        assert np.array_equal(verdict.composed.pixels[keep], preflight.picture.pixels[keep])
        assert not np.array_equal(verdict.composed.pixels, preflight.picture.pixels)


@pytest.mark.parametrize("kind", BAD)
def test_bad_answers_are_refused_with_code_and_sentence(kind: str) -> None:
    for index in range(4):
        _, verdict = verdict_on(kind, index)

        assert not verdict.accepted
        assert verdict.reason
        assert verdict.code is CODES.get(kind, verdict.code)
        assert str(verdict.code).startswith("output_")


def test_every_metric_is_a_column_of_the_results() -> None:
    _, verdict = verdict_on("jpeg 75", 0)

    assert verdict.metrics
    assert {f"quality_{name}" for name in verdict.metrics} <= set(OUTCOME_SCHEMA.names)
    assert all(type(value) is float for value in verdict.metrics.values())


def test_untouched_surroundings_measure_zero() -> None:
    _, verdict = verdict_on("lossless", 1)

    assert verdict.metrics["outside_max_delta"] == 0
    assert verdict.metrics["outside_mean_delta"] == 0
    assert verdict.metrics["inside_change"] > 5


def test_raw_pixels_of_the_local_engine_are_judged_alike() -> None:
    preflight, fitted = sent(0)
    good = filled(fitted)

    raw = judge(preflight, fitted, pnm.write(good), SETTINGS, trusted=True)

    assert raw.accepted
    assert raw.composed is not None
    keep = region_of(fitted) == 0
    assert np.array_equal(raw.composed.pixels[keep], fitted.sent[keep])


def test_an_answer_of_another_size_but_the_same_shape_is_rescaled_and_says_so() -> None:
    _, verdict = verdict_on("twice as large", 0)

    assert verdict.repairs == ("output_rescaled",)


def test_an_answer_to_a_crop_comes_back_to_its_place_at_full_resolution() -> None:
    preflight, fitted = sent(0, max_image_pixels=9_000)
    assert not fitted.placement.covers(*SIZE)

    verdict = judge(preflight, fitted, png(filled(fitted)), SETTINGS)

    assert verdict.accepted
    assert verdict.composed is not None
    assert preflight.picture is not None
    assert verdict.composed.pixels.shape == preflight.picture.pixels.shape
    keep = verdict.composed.region == 0
    assert np.array_equal(verdict.composed.pixels[keep], preflight.picture.pixels[keep])


def test_the_providers_own_flag_is_believed_and_nothing_is_composed() -> None:
    preflight, fitted = sent(0)

    verdict = judge(preflight, fitted, png(filled(fitted)), SETTINGS, nsfw=True)

    assert verdict.code is ErrorCode.OUTPUT_NSFW
    assert verdict.composed is None


def test_of_refused_answers_the_most_like_the_original_ranks_first() -> None:
    ranks = [verdict_on(kind, 0)[1].rank for kind in ("tinted", "bleached", "placeholder", "html")]

    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] == float("-inf")


def test_a_sky_with_nothing_in_the_hole_may_come_back_as_it_was() -> None:
    ramp = np.linspace(90, 120, 160)[:, None, None]
    sky = np.broadcast_to(ramp, (160, 240, 3)).astype(np.uint8)
    preflight = check_item(ITEM, png(sky), png(hole(*SIZE)), None, PreflightSettings())
    fitted = fit_to_provider(preflight, Capabilities(offers=()), PreflightSettings())
    assert isinstance(fitted, Fitted)

    assert judge(preflight, fitted, png(sky), SETTINGS).accepted


@pytest.mark.parametrize(
    ("kind", "strict"),
    [
        ("shifted a little", {"max_outside_mean_delta": 2.0}),
        (
            "twice as large",
            {"size_aspect_tolerance": 0.0, "size_min_scale": 1.0, "max_seam": 0.0, "min_sharpness": 9.0},
        ),
        ("lossless", {"min_sharpness": 9.0}),
    ],
)
def test_every_threshold_is_configuration(kind: str, strict: dict[str, float]) -> None:
    preflight, fitted = sent(0)
    answer = GOOD[kind](fitted.sent, region_of(fitted), filled(fitted))

    assert not judge(preflight, fitted, answer, QualitySettings(**strict)).accepted  # type: ignore[arg-type]


def without_mask(**selection: Any) -> tuple[Preflight, Fitted]:
    preflight, _ = sent(1)
    item = replace(ITEM, mask_uri=None, **selection)
    alone = check_item(item, preflight.image_bytes, None, None, PreflightSettings())
    fitted = fit_to_provider(alone, Capabilities(offers=()), PreflightSettings())
    assert isinstance(fitted, Fitted)
    return alone, fitted


@pytest.mark.parametrize("selection", [{"object_name": "thing"}, {"points": ((120, 80),)}, {"box": (70, 40, 170, 120)}])
def test_without_a_mask_the_answer_itself_shows_where_it_was_edited(selection: dict[str, Any]) -> None:
    preflight, fitted = without_mask(**selection)
    _, masked = sent(1)
    good = filled(masked)

    verdict = judge(preflight, fitted, jpeg(good, 90), SETTINGS)

    assert verdict.accepted, verdict.reason
    assert verdict.composed is not None
    region = verdict.composed.region > 0
    thing = cv2.erode(region_of(masked), np.ones((5, 5), np.uint8)) > 0
    assert np.count_nonzero(region & thing) > 0.95 * np.count_nonzero(thing)
    assert region.mean() < 0.15
    assert np.array_equal(verdict.composed.pixels[~region], fitted.sent[~region])


def test_without_a_mask_an_echo_is_still_an_echo() -> None:
    preflight, fitted = without_mask(object_name="thing")

    assert judge(preflight, fitted, jpeg(fitted.sent, 80), SETTINGS).code is ErrorCode.OUTPUT_UNCHANGED


def replaced(product: Pixels, background: Plane, data: bytes, answer: Pixels) -> tuple[Preflight, Verdict]:
    item = replace(ITEM, operation=Operation.BACKGROUND_REPLACE, reference_uri="r")
    preflight = check_item(item, data, png(background), jpeg(photo(2)), PreflightSettings())
    fitted = fit_to_provider(preflight, Capabilities(offers=()), PreflightSettings())
    assert isinstance(fitted, Fitted)
    return preflight, judge(preflight, fitted, png(answer), SETTINGS)


def test_a_new_background_leaves_the_subject_untouched() -> None:
    product, background = product_on_white(0, *SIZE)
    answer = np.where(background[..., None] > 0, photo(3, *SIZE), np.clip(product.astype(int) + 5, 0, 255))

    preflight, verdict = replaced(product, background, png(product), answer.astype(np.uint8))

    assert verdict.accepted, verdict.reason
    assert verdict.composed is not None
    keep = background == 0
    assert np.array_equal(verdict.composed.pixels[keep], product[keep])
    assert verdict.composed.pixels[0, 0].tolist() == photo(3, *SIZE)[0, 0].tolist()
    assert deliver(preflight, verdict).media_type == "image/png"


def test_a_cut_out_gets_an_opaque_background() -> None:
    product, background = product_on_white(0, *SIZE)
    soft = cv2.GaussianBlur(255 - background, (0, 0), 2)
    data = png(np.dstack((product, soft)))
    answer = np.where(background[..., None] > 0, photo(3, *SIZE), product).astype(np.uint8)

    preflight, verdict = replaced(product, np.where(soft < 128, 255, 0).astype(np.uint8), data, answer)

    assert verdict.accepted, verdict.reason
    delivered = decode_picture(deliver(preflight, verdict).data)
    assert delivered.alpha is None
    assert verdict.composed is not None
    opaque = (soft == 255) & (background == 0)
    assert np.array_equal(verdict.composed.pixels[opaque], product[opaque])


def test_a_hole_in_a_cut_out_keeps_the_source_transparency_outside() -> None:
    picture = photo(1, *SIZE)
    mask = hole(*SIZE)
    picture[mask > 0] = (250, 220, 40)
    alpha = np.full(mask.shape, 255, np.uint8)
    alpha[:, :60] = 0
    preflight = check_item(ITEM, png(np.dstack((picture, alpha))), png(mask), None, PreflightSettings())
    fitted = fit_to_provider(preflight, Capabilities(offers=()), PreflightSettings())
    assert isinstance(fitted, Fitted)

    verdict = judge(preflight, fitted, png(filled(fitted)), SETTINGS)
    delivered = decode_picture(deliver(preflight, verdict).data)

    assert delivered.alpha is not None
    assert np.array_equal(delivered.alpha, alpha)
    assert np.array_equal(delivered.pixels[mask == 0], picture[mask == 0])


@pytest.mark.parametrize(
    ("name", "media_type"), [("source", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp")]
)
def test_what_is_delivered_is_in_the_manner_of_the_source_or_as_asked(name: Any, media_type: str) -> None:
    preflight, verdict = verdict_on("lossless", 0)

    encoded = deliver(preflight, verdict, name)

    assert encoded.media_type == media_type
    assert (encoded.width, encoded.height) == SIZE
    if name == "png":
        assert verdict.composed is not None
        assert np.array_equal(decode_picture(encoded.data).pixels, verdict.composed.pixels)


def test_nothing_composed_is_nothing_to_deliver() -> None:
    preflight, verdict = verdict_on("html", 0)

    with pytest.raises(ValueError, match="nothing to deliver"):
        deliver(preflight, verdict)


@pytest.mark.parametrize("quality", [40, 60])
@pytest.mark.parametrize(("index", "share", "at"), [(3, 0.0177, (0.342, 0.681)), (11, 0.0216, (0.4996, 0.5609))])
def test_an_echo_that_is_stored_worse_inside_than_outside_is_still_an_echo(
    index: int, share: float, at: tuple[float, float], quality: int
) -> None:
    """A plain night sky around a busy hole: compression changes the hole alone, by as much as a faint edit would."""
    picture, mask = photo(index, 480, 320), hole(480, 320, share=share, at=at)
    checked = check_item(ITEM, png(picture), png(mask), None, PreflightSettings())
    fitted = fit_to_provider(checked, Capabilities(offers=()), PreflightSettings())
    assert isinstance(fitted, Fitted), fitted

    assert judge(checked, fitted, jpeg(picture, quality), SETTINGS).code is ErrorCode.OUTPUT_UNCHANGED
