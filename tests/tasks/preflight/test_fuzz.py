"""No file may crash preflight or the gate: whatever is in it, the answer is a value. The long run is a benchmark."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.items import Item, Operation
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.preflight import Fitted, Preflight, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.quality import deliver, judge
from tests.factories.mutations import SIZE, mutated, seeds
from tests.factories.pictures import hole, jpeg, photo, png

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on the damage
SETTINGS = PreflightSettings(max_image_pixels=2_000_000)
REMOVAL = Item(item_id="i", image_uri="image", mask_uri="mask")
REPLACEMENT = Item(
    item_id="i", image_uri="image", mask_uri="mask", reference_uri="reference", operation=Operation.BACKGROUND_REPLACE
)
GOOD_IMAGE, GOOD_MASK = jpeg(photo(1, *SIZE)), png(hole(*SIZE))


def sound(found: Preflight) -> None:
    """What every answer of preflight must be, and what must be possible with it."""
    assert found.accepted == (found.picture is not None)
    if not found.accepted:
        assert found.reason
        assert str(found.code).split("_")[0] in {"image", "mask", "reference", "selection"}
        return
    fitted = fit_to_provider(found, Capabilities(offers=(), max_image_pixels=3_000, max_side=200), SETTINGS)
    if isinstance(fitted, Fitted):
        assert fitted.image.width * fitted.image.height <= 3_000
        verdict = judge(found, fitted, fitted.image.data, QualitySettings())
        if verdict.composed is not None:
            assert found.picture is not None
            keep = verdict.composed.region == 0
            assert np.array_equal(verdict.composed.pixels[keep], found.picture.pixels[keep])
            assert deliver(found, verdict).data


@pytest.mark.parametrize("number", range(0, 600, 100))
def test_damaged_files_of_every_kind_get_an_answer(number: int) -> None:
    for n in range(number, number + 100):
        data = mutated(n)

        sound(check_item(REMOVAL, data, GOOD_MASK, None, SETTINGS))
        sound(check_item(REMOVAL, GOOD_IMAGE, data, None, SETTINGS))
        sound(check_item(REPLACEMENT, GOOD_IMAGE, GOOD_MASK, data, SETTINGS))


@pytest.mark.parametrize("number", range(0, 200, 100))
def test_damaged_answers_get_a_verdict(number: int) -> None:
    found = check_item(REMOVAL, GOOD_IMAGE, GOOD_MASK, None, SETTINGS)
    fitted = fit_to_provider(found, Capabilities(offers=()), SETTINGS)
    assert isinstance(fitted, Fitted)
    for n in range(number, number + 100):
        verdict = judge(found, fitted, mutated(n), QualitySettings())

        assert verdict.accepted or verdict.reason


@given(st.one_of(st.binary(max_size=300), st.tuples(st.sampled_from(seeds()), st.binary(max_size=40)).map(b"".join)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_bytes_get_an_answer(data: bytes) -> None:
    sound(check_item(REMOVAL, data, GOOD_MASK, None, SETTINGS))
    sound(check_item(REMOVAL, GOOD_IMAGE, data, None, SETTINGS))


@given(
    st.lists(st.tuples(st.integers(-9, 120), st.integers(-9, 90)), max_size=3),
    st.one_of(st.none(), st.tuples(*[st.integers(-50, 150)] * 4)),
)
@settings(max_examples=80, deadline=None)
def test_any_points_and_box_get_an_answer(points: list[tuple[int, int]], box: tuple[int, int, int, int] | None) -> None:
    item = Item(item_id="i", image_uri="image", points=tuple(points), box=box)

    sound(check_item(item, GOOD_IMAGE, None, None, SETTINGS))
