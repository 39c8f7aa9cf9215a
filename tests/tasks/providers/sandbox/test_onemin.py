"""1min.ai's wire, by the seed's own words."""

import asyncio

import numpy as np
import pytest

from tasks.providers.sandbox.config import OneMinConfig, SandboxConfig
from tests.tasks.providers.sandbox.harness import (
    BOX,
    HEIGHT,
    KEY,
    MASK_URI,
    PHOTO,
    PHOTO_URI,
    WIDTH,
    as_file,
    as_pixels,
    inside,
    scene,
    selection,
)

API_KEY = {"API-KEY": KEY}


def test_the_answer_has_every_field_of_the_documented_example():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.erase()).json()

            assert set(answer) == {"aiRecord"}
            record = answer["aiRecord"]
            assert (record["model"], record["type"], record["status"]) == ("recraft", "IMAGE_OBJECT_REMOVER", "SUCCESS")
            assert record["createdAt"].endswith("Z")
            assert set(record["teamUser"]) >= {"teamId", "userId", "creditLimit", "usedCredit", "role"}
            detail = record["aiRecordDetail"]
            assert set(detail) == {"promptObject", "resultObject", "responseObject"}
            assert detail["resultObject"][0].startswith("images/")
            assert detail["resultObject"][0] in record["temporaryUrl"]

            picture = as_pixels((await sandbox.get(record["temporaryUrl"])).content)
            untouched = selection() == 0
            assert (picture[untouched] == scene()[untouched]).all()
            assert (picture != scene()).any()

    asyncio.run(run())


def test_usage_grows_with_every_call():
    async def run():
        async with inside() as sandbox:
            records = [(await sandbox.erase()).json()["aiRecord"] for _ in range(2)]

            assert [record["teamUser"]["usedCredit"] for record in records] == [1000, 2000]
            assert (await sandbox.bill())["credits"] == "2000"

    asyncio.run(run())


def test_an_upload_answers_with_the_path_that_the_feature_takes():
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post("/onemin/api/assets", files={"asset": ("room.png", PHOTO)}, headers=API_KEY)

            body = answer.json()
            assert body["fileContent"]["path"] == body["asset"]["key"]
            assert body["asset"]["originalname"] == "room.png"
            assert body["asset"]["size"] == len(PHOTO)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("files", "says"), [({"asset": ("room", PHOTO)}, "isn't supported"), ({"other": ("a.png", PHOTO)}, "required")]
)
def test_an_upload_without_a_fitting_name_is_refused(files, says):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post("/onemin/api/assets", files=files, headers=API_KEY)

            assert answer.status_code == 400
            assert says in answer.json()["message"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "change",
    [
        {"type": "IMAGE_GENERATOR"},
        {"model": "dall-e"},
        {"promptObject": None},
        {"promptObject": {"imageUrl": PHOTO_URI}},
        {"promptObject": {"imageUrl": "images/none.png", "maskUrl": MASK_URI}},
        {"promptObject": {"imageUrl": "data:,x", "maskUrl": MASK_URI}},
    ],
)
def test_a_request_that_is_wrong_is_400_and_not_charged(change):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.erase(**change)

            assert answer.status_code == 400
            assert answer.json()["message"]
            assert (await sandbox.bill())["charges"] == 0

    asyncio.run(run())


def test_nobody_edits_another_account_s_asset():
    async def run():
        async with inside() as sandbox:
            path = await sandbox.upload_asset("a.png", PHOTO)
            body = {"type": "IMAGE_OBJECT_REMOVER", "model": "recraft"}
            body |= {"promptObject": {"imageUrl": path, "maskUrl": MASK_URI}}
            answer = await sandbox.post("/onemin/api/features", json=body, headers={"API-KEY": "another"})

            assert (answer.status_code, answer.json()["message"]) == (400, "asset not found")

    asyncio.run(run())


def test_refusals_of_key_and_credits():
    async def run():
        config = SandboxConfig(engine="quick", onemin=OneMinConfig(credits=1500))
        async with inside(config) as sandbox:
            wrong = await sandbox.post("/onemin/api/features", json={}, headers={"API-KEY": "wrong-key"})
            assert wrong.status_code == 401
            assert (await sandbox.erase()).status_code == 200
            poor = await sandbox.erase()
            assert (poor.status_code, poor.json()["message"]) == (402, "Insufficient credits")

    asyncio.run(run())


def test_stable_image_takes_an_output_format():
    async def run():
        async with inside() as sandbox:
            prompt = {"imageUrl": PHOTO_URI, "maskUrl": MASK_URI, "output_format": "webp"}
            answer = await sandbox.erase(model="stable-image", promptObject=prompt)
            picture = await sandbox.get(answer.json()["aiRecord"]["temporaryUrl"])

            assert picture.headers["content-type"] == "image/webp"

    asyncio.run(run())


@pytest.mark.parametrize(("model", "size"), [("recraft", (WIDTH, HEIGHT)), ("gpt-image-1", (1024, 1024))])
def test_background_replacement_keeps_the_subject_where_sizes_are_kept(model, size):
    """gpt-image models answer in fixed sizes, whatever the source."""
    x1, y1, x2, y2 = BOX
    product = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    product[y1:y2, x1:x2] = (20, 90, 20)

    async def run():
        async with inside() as sandbox:
            path = await sandbox.upload_asset("product.png", as_file(product))
            prompt = {"imageUrl": path, "prompt": "on a beach"}
            answer = await sandbox.erase(type="BACKGROUND_REPLACER", model=model, promptObject=prompt)
            picture = as_pixels((await sandbox.get(answer.json()["aiRecord"]["temporaryUrl"])).content)

            assert (picture.shape[1], picture.shape[0]) == size
            if model == "recraft":
                assert (picture[y1:y2, x1:x2] == (20, 90, 20)).all()
                assert not (picture[0, 0] == 255).all()

    asyncio.run(run())


def test_the_bucket_refuses_a_second_means_of_authentication_and_reports_the_leak():
    async def run():
        async with inside() as sandbox:
            url = (await sandbox.erase()).json()["aiRecord"]["temporaryUrl"]
            assert (await sandbox.get(url, headers={"Authorization": "Bearer a-key"})).status_code == 400
            report = (await sandbox.get("/_sandbox/requests")).json()
            assert report["keys_leaked"] == {"onemin": 1}

    asyncio.run(run())


def test_a_finished_record_can_be_read_again_by_its_owner():
    async def run():
        async with inside() as sandbox:
            record = (await sandbox.erase()).json()["aiRecord"]
            path = f"/onemin/api/features/{record['uuid']}"

            assert (await sandbox.get(path, headers=API_KEY)).json()["aiRecord"]["status"] == "SUCCESS"
            assert (await sandbox.get(path, headers={"API-KEY": "another"})).status_code == 404

    asyncio.run(run())
