import asyncio
from dataclasses import replace

import cv2
import numpy as np
import pytest

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import LocalSettings
from tasks.imaging import pnm
from tasks.providers.base import Asset, EditRequest, Provider, Submission
from tasks.providers.errors import JobFailedError, RejectedItemError
from tasks.providers.local import LocalProvider
from tests.factories.pictures import hole, jpeg, photo, png, product_on_white

PHOTO, HOLE = photo(1), hole()


def asset(data: bytes, media_type: str = "image/png") -> Asset:
    return Asset(data=data, media_type=media_type, width=192, height=128)


def request(**changes: object) -> EditRequest:
    removal = EditRequest(
        attempt_key="a",
        item_id="i",
        operation=Operation.OBJECT_REMOVAL,
        image=asset(png(PHOTO)),
        mask=asset(png(HOLE)),
    )
    return replace(removal, **changes)  # type: ignore[arg-type]  # the tests name real fields


def answer(wanted: EditRequest, engine: str = "ns") -> bytes:
    """What the provider returns, asked the way the driver asks it."""

    async def ask() -> bytes:
        provider: Provider = LocalProvider(LocalSettings(engine=engine, workers=2))  # type: ignore[arg-type]
        sent: list[str] = []

        async def on_sent() -> None:
            sent.append("sent")

        submission = await provider.submit(await provider.prepare(wanted), on_sent=on_sent)
        output = await provider.fetch_output(submission)
        assert sent == ["sent"]
        assert submission.result is not None
        assert submission.result.cost_usd == 0
        await provider.aclose()
        return output

    return asyncio.run(ask())


def test_an_object_is_removed_by_its_mask() -> None:
    result = pnm.read_array(answer(request()))

    assert np.array_equal(result[HOLE == 0], PHOTO[HOLE == 0])
    assert np.abs(result.astype(int) - PHOTO)[HOLE > 0].mean() > 2


def test_raw_pixels_and_files_give_the_same_answer() -> None:
    raw = request(image=asset(pnm.write(PHOTO), pnm.MEDIA_TYPE), mask=asset(pnm.write(HOLE), pnm.MEDIA_TYPE))

    assert answer(raw) == answer(request())


def disc_on_wood() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]  # a picture and a mask
    scene, disc = photo(2).copy(), np.zeros((128, 192), np.uint8)
    scene[:] = (150, 110, 70)
    scene += np.random.default_rng(0).integers(0, 12, scene.shape, dtype=np.uint8)
    cv2.circle(disc, (90, 60), 20, 255, -1)
    scene[disc > 0] = (30, 60, 200)
    return scene, disc


@pytest.mark.parametrize(
    "selection",
    [
        {"box": (60, 30, 122, 92)},
        {"points": ((90, 60),)},
        {"points": ((85, 55), (95, 65), (20, 20)), "labels": (1, 1, 0)},
        {"points": ((90, 60),), "box": (60, 30, 122, 92)},
    ],
)
def test_an_object_is_removed_by_points_or_box(selection: dict[str, object]) -> None:
    scene, disc = disc_on_wood()

    result = pnm.read_array(answer(request(image=asset(png(scene)), mask=None, **selection)))

    assert result[disc > 0][:, 2].max() < 120, "some blue is left"
    far = cv2.dilate(disc, np.ones((25, 25), np.uint8)) == 0
    assert np.array_equal(result[far], scene[far])


@pytest.mark.parametrize(
    "selection",
    [
        {"points": ((20, 20),)},
        {"points": ((90, 60), (91, 61)), "labels": (1, 0)},
        {"points": ((90, 60),), "labels": (0,)},
        {"box": (10, 5, 12, 7)},
        {"box": (-5, -5, -1, -1)},
    ],
    ids=["on the ground", "contradicting", "nothing wanted", "tiny box", "box outside"],
)
def test_a_selection_that_finds_no_object_is_rejected_with_the_reason(selection: dict[str, object]) -> None:
    scene, _ = disc_on_wood()

    with pytest.raises(RejectedItemError, match="did not pick out an object") as caught:
        answer(request(image=asset(png(scene)), mask=None, **selection))

    assert caught.value.code is ErrorCode.SELECTION_FAILED


def test_an_even_picture_holds_no_object() -> None:
    plain = np.full((128, 192, 3), 90, np.uint8)

    with pytest.raises(RejectedItemError):
        answer(request(image=asset(png(plain)), mask=None, box=(20, 20, 80, 80)))


def test_a_background_is_replaced_and_the_subject_stays() -> None:
    product, background = product_on_white(0)
    scene = photo(3, 300, 100)

    result = pnm.read_array(
        answer(
            request(
                operation=Operation.BACKGROUND_REPLACE,
                image=asset(png(product)),
                mask=asset(png(background)),
                reference=asset(jpeg(scene), "image/jpeg"),
            )
        )
    )

    subject = cv2.erode(255 - background, np.ones((7, 7), np.uint8)) > 0
    corners = result[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.array_equal(result[subject], product[subject])
    assert corners.max() < 250, "the old white shows"


def test_a_reference_of_any_shape_covers_the_picture() -> None:
    product, background = product_on_white(0)
    for size in ((20, 300), (300, 20), (1, 1), (192, 128)):
        wanted = request(
            operation=Operation.BACKGROUND_REPLACE,
            image=asset(png(product)),
            mask=asset(png(background)),
            reference=asset(png(np.full((size[1], size[0], 3), 40, np.uint8))),
        )

        assert pnm.read_array(answer(wanted))[0, 0].max() < 100


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mask": None}, ErrorCode.MASK_MISSING),
        ({"mask": asset(png(hole(100, 100)))}, ErrorCode.MASK_SIZE_MISMATCH),
        ({"mask": asset(png(np.full((128, 192), 255, np.uint8)))}, ErrorCode.MASK_FULL),
        ({"mask": asset(b"<html>")}, ErrorCode.MASK_UNREADABLE),
        ({"image": asset(b"<html>")}, ErrorCode.IMAGE_UNREADABLE),
        ({"operation": Operation.BACKGROUND_REPLACE}, ErrorCode.REFERENCE_MISSING),
        ({"operation": Operation.BACKGROUND_REPLACE, "reference": asset(b"")}, ErrorCode.REFERENCE_UNREADABLE),
    ],
)
def test_what_cannot_be_edited_is_rejected(changes: dict[str, object], code: ErrorCode) -> None:
    with pytest.raises(RejectedItemError) as caught:
        answer(request(**changes))

    assert caught.value.code is code


def test_a_batch_answers_each_in_order_and_one_bad_pair_sinks_no_other() -> None:
    async def ask() -> list[object]:
        provider = LocalProvider(LocalSettings(engine="ns"))

        async def on_sent() -> None: ...

        wanted = [request(), request(mask=None), request(image=asset(png(photo(2))))]
        answers = await provider.submit_batch(wanted, on_sent=on_sent)
        await provider.aclose()
        return list(answers)

    first, second, third = asyncio.run(ask())

    assert isinstance(first, Submission)
    assert isinstance(second, RejectedItemError)
    assert isinstance(third, Submission)
    assert first != third


def test_it_keeps_no_jobs_and_no_account() -> None:
    async def ask() -> None:
        provider = LocalProvider(LocalSettings(engine="ns"))
        assert await provider.find("a") is None
        assert await provider.balance() is None
        with pytest.raises(JobFailedError):
            await provider.poll("job")
        with pytest.raises(JobFailedError):
            await provider.fetch_output(Submission(remote_id=None))

    asyncio.run(ask())


def test_what_it_offers_is_what_it_does() -> None:
    capabilities = LocalProvider(LocalSettings(engine="ns")).capabilities

    assert capabilities.local
    for selectors in ({"mask"}, {"points"}, {"box"}):
        assert capabilities.offer(Operation.OBJECT_REMOVAL, frozenset(selectors))
        assert not capabilities.offer(Operation.BACKGROUND_REPLACE, frozenset(selectors))
    assert capabilities.offer(Operation.BACKGROUND_REPLACE, frozenset({"mask", "reference"}))
    assert not capabilities.offer(Operation.BACKGROUND_REPLACE, frozenset({"box", "reference"}))
    assert not capabilities.offer(Operation.OBJECT_REMOVAL, frozenset({"text"}))
