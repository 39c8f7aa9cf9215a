"""ModelsLab's wire: by the seed's own words, and by the vendor's own client, unchanged."""

import asyncio
import base64
import json
import warnings

import pytest
import requests

from tasks.providers.sandbox.config import ModelsLabConfig, SandboxConfig
from tests.tasks.providers.sandbox.harness import (
    HEIGHT,
    KEY,
    MASK,
    PHOTO,
    PHOTO_URI,
    WIDTH,
    as_pixels,
    host,
    inside,
    scene,
)

with warnings.catch_warnings(action="ignore"):  # the client is written against pydantic 1
    from modelslab_py.core.apis.image_editing import Image_editing
    from modelslab_py.core.apis.interior import Interior
    from modelslab_py.core.client import Client
    from modelslab_py.schemas.image_editing import ObjectRemovalSchema as MaskedSchema
    from modelslab_py.schemas.interior import ObjectRemovalSchema

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def modelslab(**settings):
    return SandboxConfig(engine="quick", modelslab=ModelsLabConfig(**settings))


async def fetch(sandbox, job_id, family="interior"):
    answer = await sandbox.post(f"/modelslab/api/v6/{family}/fetch/{job_id}", json={"key": KEY})
    return answer.json()


def test_success_has_every_documented_field_and_a_picture_of_the_same_size():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.remove_by_words()).json()

            assert set(answer) == {"status", "generationTime", "id", "output", "proxy_links", "meta"}
            assert answer["status"] == "success"
            assert isinstance(answer["id"], int)
            picture = await sandbox.get(answer["output"][0])
            assert picture.headers["content-type"] == "image/jpeg"
            assert as_pixels(picture.content).shape == (HEIGHT, WIDTH, 3)

    asyncio.run(run())


def test_processing_turns_into_success_at_fetch():
    async def run():
        async with inside(modelslab(processing_s=8)) as sandbox:
            answer = (await sandbox.remove_by_words()).json()
            assert set(answer) == {
                *("status", "tip", "eta", "message", "fetch_result", "id", "output", "meta", "future_links")
            }
            assert (answer["status"], answer["eta"], answer["output"]) == ("processing", 8, [])
            assert answer["fetch_result"].endswith(f"/api/v6/interior/fetch/{answer['id']}")
            assert (await sandbox.bill())["charges"] == 0

            await sandbox.state.settled()
            done = await fetch(sandbox, answer["id"])
            assert (done["status"], done["id"], done["generationTime"]) == ("success", answer["id"], 8)
            assert (await sandbox.get(done["output"][0])).status_code == 200
            assert (await sandbox.bill())["usd"] == "0.02"

    asyncio.run(run())


def test_the_masked_endpoint_changes_what_the_mask_marks():
    async def run():
        async with inside(modelslab(output_format="png")) as sandbox:
            answer = (await sandbox.remove_by_words("image_editing")).json()
            picture = as_pixels((await sandbox.get(answer["output"][0])).content)

            changed = (picture != scene()).any(axis=2)
            assert changed[32, 48]
            assert not changed[:20].any()

    asyncio.run(run())


def test_words_choose_the_same_middle_every_time():
    async def run():
        async with inside(modelslab(output_format="png")) as sandbox:
            answers = [(await sandbox.remove_by_words()).json() for _ in range(2)]
            pictures = [as_pixels((await sandbox.get(answer["output"][0])).content) for answer in answers]

            assert (pictures[0] == pictures[1]).all()
            changed = (pictures[0] != scene()).any(axis=2)
            assert changed[32, 48]
            assert not changed[:, :20].any()

    asyncio.run(run())


def test_base64_output_is_the_picture_itself():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.remove_by_words(base64=True)).json()

            assert as_pixels(base64.b64decode(answer["output"][0])).shape == (HEIGHT, WIDTH, 3)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("family", "change", "status", "says"),
    [
        ("interior", {"key": "wrong-key"}, 401, "Invalid API key"),
        ("interior", {"init_image": ""}, 400, "init_image"),
        ("interior", {"object_name": None}, 400, "object_name"),
        ("interior", {"init_image": "https://[::broken"}, 400, "Unable to fetch image from provided URL"),
        ("interior", {"init_image": "file:///etc/passwd"}, 400, "Unable to fetch image from provided URL"),
        ("interior", {"init_image": "data:image/png;base64,AAAA"}, 400, "image is not"),
        ("image_editing", {"mask_image": None}, 200, "mask_image"),
        ("image_editing", {"init_image": "data:,x"}, 200, "image is not"),
    ],
)
def test_errors_are_said_as_each_endpoint_says_them(family, change, status, says):
    """interior by HTTP status; image_editing by status error inside a 200."""

    async def run():
        async with inside() as sandbox:
            answer = await sandbox.remove_by_words(family, **change)

            assert answer.status_code == status
            assert answer.json()["status"] == "error"
            assert says in answer.json()["message"]
            bill = await sandbox.bill()
            assert bill["charges"] == 0
            assert all(account["held"] in ("0", "0.00") for account in bill["accounts"])
            assert sandbox.state.traffic.defects == 0

    asyncio.run(run())


@pytest.mark.parametrize(("as_200", "status"), [(False, 402), (True, 200)])
def test_an_empty_wallet_is_said_with_either_status(as_200, status):
    async def run():
        async with inside(modelslab(credits="0.01", errors_as_200=as_200)) as sandbox:
            answer = await sandbox.remove_by_words()

            assert answer.status_code == status
            assert answer.json() == {
                "status": "error",
                "message": "Insufficient credits. Please add more credits to continue.",
            }

    asyncio.run(run())


def test_slots_are_taken_by_jobs_under_way_and_freed_when_they_end():
    async def run():
        async with inside(modelslab(processing_s=8, slots=2)) as sandbox:
            answers = [await sandbox.remove_by_words() for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert answers[2].json() == {
                "status": "error",
                "message": "Rate limit exceeded. Maximum 2 queued requests allowed.",
                "retry_after": 30,
            }
            assert "Retry-After" not in answers[2].headers
            count = await sandbox.post("/modelslab/api/v6/processing/request_count", json={"key": KEY})
            assert count.json()["processing_count"] == 2

            await sandbox.state.settled()
            assert (await sandbox.remove_by_words()).status_code == 200
            report = (await sandbox.get("/_sandbox/requests")).json()
            assert [entry["jobs"] for entry in report["most_jobs"]] == [2]

    asyncio.run(run())


def test_nobody_sees_another_account_s_job():
    async def run():
        async with inside() as sandbox:
            answer = (await sandbox.remove_by_words()).json()
            path = f"/modelslab/api/v6/interior/fetch/{answer['id']}"
            theirs = await sandbox.post(path, json={"key": "another"})

            assert (theirs.status_code, theirs.json()["status"]) == (400, "error")

    asyncio.run(run())


def test_the_webhook_tells_success_and_failure():
    async def run(receiver):
        async with inside() as sandbox:
            await sandbox.remove_by_words(webhook=receiver.url, track_id=17)
            await sandbox.remove_by_words(webhook=receiver.url, track_id="18", init_image="data:,x")
            await sandbox.state.settled()

            told = [json.loads(body) for _, body in receiver.received]
            good, bad = sorted(told, key=lambda each: each["track_id"])
            assert (good["status"], good["track_id"]) == ("success", "17")
            assert (await sandbox.get(good["output"][0])).status_code == 200
            assert (bad["status"], bad["track_id"]) == ("failed", "18")
            assert bad["message"]

    with host() as receiver:
        asyncio.run(run(receiver))


def test_uploads_give_an_address_that_can_be_edited_from():
    encoded = base64.b64encode(PHOTO).decode()

    async def run():
        async with inside() as sandbox:
            first = await sandbox.post("/modelslab/api/v6/base64_to_url", json={"key": KEY, "base64_string": PHOTO_URI})
            assert set(first.json()) == {"status", "id", "output"}
            older = {"key": KEY, "image": encoded, "crop": "false"}
            second = await sandbox.post("/modelslab/api/v3/base64_crop", json=older)
            assert second.json()["messege"] == "image uploaded"
            for url in (first.json()["output"][0], second.json()["link"]):
                assert (await sandbox.get(url)).content == PHOTO
                assert (await sandbox.remove_by_words(init_image=url)).json()["status"] == "success"

    asyncio.run(run())


def test_an_upload_that_is_too_large_or_no_picture_is_refused():
    async def run():
        async with inside(modelslab(max_upload_bytes=len(PHOTO) - 1)) as sandbox:
            for text in (PHOTO_URI, "data:image/png;base64,AAAA", "!", None):
                answer = await sandbox.post("/modelslab/api/v6/base64_to_url", json={"key": KEY, "base64_string": text})
                assert (answer.status_code, answer.json()["status"]) == (400, "error")

    asyncio.run(run())


def test_the_wallet_shows_what_is_left():
    async def run():
        async with inside(modelslab(credits="1")) as sandbox:
            await sandbox.remove_by_words()
            answer = await sandbox.post("/modelslab/api/wallet_balance", json={"key": KEY})

            assert answer.json() == {"status": "success", "data": {"balance": 0.98, "currency": "USD"}}

    asyncio.run(run())


def client_of(sandbox, **settings):
    client = Client(api_key="sdk-key", fetch_timeout=0, **settings)
    client.base_url = f"{sandbox.url}/modelslab/api/"
    return client


def test_the_vendor_s_own_client_removes_by_words_unchanged(process):
    schema = ObjectRemovalSchema(init_image=PHOTO_URI, object_name="remove sofa", base64=False, track_id="17")
    answer = Interior(client_of(process)).object_removal(schema)

    assert answer["status"] == "success"
    assert as_pixels(requests.get(answer["output"][0], timeout=10).content).shape == (HEIGHT, WIDTH, 3)


def test_the_vendor_s_own_client_removes_by_mask_unchanged(process):
    with host() as outside:
        outside.files |= {"/photo.png": PHOTO, "/mask.png": MASK}
        schema = MaskedSchema(init_image=f"{outside.url}/photo.png", mask_image=f"{outside.url}/mask.png")
        answer = Image_editing(client_of(process)).object_remover(schema)

    assert answer["status"] == "success"
    assert requests.get(answer["output"][0], timeout=10).headers["content-type"] == "image/jpeg"


def test_the_vendor_s_own_client_fetches_until_success(slow_process):
    interior = Interior(client_of(slow_process, fetch_retry=100_000))
    answer = interior.object_removal(ObjectRemovalSchema(init_image=PHOTO_URI, object_name="sofa"))
    assert answer["status"] == "processing"

    done = interior.fetch(str(answer["id"]))
    assert (done["status"], done["id"]) == ("success", answer["id"])


def test_the_vendor_s_own_client_raises_on_a_wrong_key(process):
    client = client_of(process)
    client.api_key = "wrong-key"
    with pytest.raises(Exception, match=r"status code 401.*Invalid API key"):
        Interior(client).object_removal(ObjectRemovalSchema(init_image=PHOTO_URI, object_name="sofa"))
