"""Maskr's wire, by the seed's own words."""

import asyncio

import numpy as np
import pytest

from tasks.providers.sandbox.config import MaskrConfig, SandboxConfig
from tests.tasks.providers.sandbox.harness import (
    BEARER,
    BOX,
    HEIGHT,
    MASK,
    OBJECT_REMOVAL,
    PAIR,
    PHOTO,
    WIDTH,
    as_file,
    as_pixels,
    inside,
    pairs,
    scene,
    selection,
)


def test_single_answer_has_every_field_of_the_documented_example():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.remove_object()).json()

            assert answer["status"] == "completed"
            assert answer["error"] is None
            result = answer["result"]
            assert result["job_id"] == answer["job_id"]
            assert result["status"] == "completed"
            assert result["input_filename"] == "photo.png"
            assert result["processing_time_ms"] >= 0
            assert (result["original_width"], result["original_height"]) == (WIDTH, HEIGHT)
            assert (result["output_width"], result["output_height"]) == (WIDTH, HEIGHT)
            assert result["credits_used"] == 3
            assert set(result) == {
                *("job_id", "status", "input_filename", "output_url", "processing_time_ms", "error"),
                *("original_width", "original_height", "output_width", "output_height", "credits_used"),
            }

    asyncio.run(run())


@pytest.mark.parametrize("engine", ["inpaint", "quick"])
def test_the_edit_is_real(engine):
    """The red thing is gone, what takes its place fits the surroundings, and nothing else changed."""

    async def run():
        async with inside(SandboxConfig(engine=engine)) as sandbox:
            answer = (await sandbox.remove_object()).json()
            edited = as_pixels((await sandbox.get(answer["result"]["output_url"])).content)

            untouched = selection() == 0
            assert (edited[untouched] == scene()[untouched]).all()
            x1, y1, x2, y2 = BOX
            clean = scene().astype(int)
            clean[y1:y2, x1:x2] = (40 + (x1 + x2) // 2, 60 + (y1 + y2) // 2, 120)
            assert np.abs(edited[y1:y2, x1:x2].astype(int) - clean[y1:y2, x1:x2]).max() < 40

    asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "inside_it", "outside_it"),
    [
        ({"points": "[[12,12]]", "labels": "[1]"}, (14, 14), (22, 12)),
        ({"points": "[[12,12]]"}, (14, 14), (22, 12)),
        ({"points": "[[12,12],[16,12]]", "labels": "[1,0]"}, (9, 14), (14, 14)),
        ({"box": "[36,22,60,42]"}, (37, 23), (60, 42)),
    ],
)
def test_points_or_a_box_take_the_place_of_a_mask(query, inside_it, outside_it):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.remove_object(params=query, files={"image": PAIR["image"]})
            edited = as_pixels((await sandbox.get(answer.json()["result"]["output_url"])).content)

            changed = (edited != scene()).any(axis=2)
            assert changed[inside_it[1], inside_it[0]]
            assert not changed[outside_it[1], outside_it[0]]

    asyncio.run(run())


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic a-key"}])
def test_without_a_key_the_answer_is_401(headers):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.remove_object(headers=headers)

            assert (answer.status_code, answer.json()) == (401, {"detail": "Missing or invalid API key"})

    asyncio.run(run())


def test_only_configured_keys_are_taken_when_the_vendor_is_not_open():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(open=False, keys={"ours": 3}))
        async with inside(config) as sandbox:
            assert (await sandbox.remove_object()).status_code == 401
            ours = {"Authorization": "Bearer ours"}
            assert (await sandbox.remove_object(headers=ours)).status_code == 200
            assert (await sandbox.remove_object(headers=ours)).status_code == 402

    asyncio.run(run())


@pytest.mark.parametrize(
    ("files", "query", "where"),
    [
        ({"mask": PAIR["mask"]}, {}, ["body", "image"]),
        ({"image": PAIR["image"]}, {}, ["body", "mask"]),
        ({"image": PAIR["image"]}, {"points": "[[1,2"}, ["query", "points"]),
        ({"image": PAIR["image"]}, {"points": "[[NaN,2]]"}, ["query", "points"]),
        ({"image": PAIR["image"]}, {"points": "[1,2]"}, ["query", "points"]),
        ({"image": PAIR["image"]}, {"points": "[[1,2]]", "labels": "[1,1]"}, ["query", "labels"]),
        ({"image": PAIR["image"]}, {"box": "[1,2,3]"}, ["query", "box"]),
    ],
)
def test_a_missing_or_broken_field_is_422_in_the_documented_shape(files, query, where):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.remove_object(files=files, params=query)

            assert answer.status_code == 422
            (fault,) = answer.json()["detail"]
            assert fault["loc"] == where
            assert set(fault) == {"loc", "msg", "type"}
            assert (await sandbox.bill())["charges"] == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "files",
    [
        {"image": ("a.png", b"no picture"), "mask": PAIR["mask"]},
        {"image": ("a.png", PHOTO[: len(PHOTO) // 3]), "mask": PAIR["mask"]},
        {"image": PAIR["image"], "mask": ("m.png", as_file(selection()[:, :-1]))},
    ],
)
def test_a_picture_that_cannot_be_worked_on_is_400_and_not_charged(files):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.remove_object(files=files)

            assert answer.status_code == 400
            assert isinstance(answer.json()["detail"], str)
            assert (await sandbox.bill())["charges"] == 0

    asyncio.run(run())


def test_a_file_over_the_bound_is_413():
    async def run():
        async with inside(SandboxConfig(maskr=MaskrConfig(max_file_bytes=len(PHOTO) - 1))) as sandbox:
            assert (await sandbox.remove_object()).status_code == 413
            batch = await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(2), headers=BEARER)
            assert batch.status_code == 413

    asyncio.run(run())


def test_a_batch_answers_for_every_pair_in_order():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(50), headers=BEARER)).json()

            assert (answer["status"], answer["total_files"], answer["completed"]) == ("completed", 50, 50)
            assert (answer["failed"], answer["total_credits_used"], answer["error"]) == (0, 150, None)
            assert [result["input_filename"] for result in answer["results"]] == [f"photo-{n}.png" for n in range(50)]
            assert len({result["output_url"] for result in answer["results"]}) == 50

    asyncio.run(run())


@pytest.mark.parametrize("files", [pairs(3)[:-1], pairs(51), [("masks", ("m.png", MASK))]])
def test_a_batch_of_the_wrong_numbers_is_400(files):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=files, headers=BEARER)

            assert answer.status_code == 400

    asyncio.run(run())


def test_a_bad_pair_does_not_sink_its_neighbours():
    async def run():
        async with inside() as sandbox:
            files = pairs(3)
            files[1] = ("images", ("photo-1.png", b"no picture", "image/png"))
            answer = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=files, headers=BEARER)).json()

            assert [result["status"] for result in answer["results"]] == ["completed", "failed", "completed"]
            assert answer["results"][1]["error"]
            assert (answer["completed"], answer["failed"], answer["total_credits_used"]) == (2, 1, 6)
            assert (await sandbox.bill())["credits"] == "6"

    asyncio.run(run())


def test_credits_that_run_out_mid_batch_leave_the_rest_failed():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(credits=8))
        async with inside(config) as sandbox:
            answer = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(4), headers=BEARER)).json()

            assert [result["status"] for result in answer["results"]] == ["completed"] * 2 + ["failed"] * 2
            assert answer["results"][3]["error"] == "Insufficient credits"
            assert answer["total_credits_used"] == 6
            again = await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(4), headers=BEARER)
            assert (again.status_code, again.json()) == (402, {"detail": "Insufficient credits"})

    asyncio.run(run())


def test_sixty_singles_and_thirty_batches_a_minute_and_no_more():
    async def run():
        async with inside() as sandbox:
            singles = [(await sandbox.remove_object()).status_code for _ in range(61)]
            assert singles == [200] * 60 + [429]
            one = pairs(1)
            batches = [await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=one, headers=BEARER) for _ in range(31)]
            assert [answer.status_code for answer in batches] == [200] * 30 + [429]
            assert batches[-1].headers["Retry-After"] == "60"
            assert batches[-1].json() == {"detail": "Rate limit exceeded"}

            sandbox.clock.passed_s += 60
            assert (await sandbox.remove_object()).status_code == 200

    asyncio.run(run())
