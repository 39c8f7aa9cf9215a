"""Runflow's wire, by the seeds' own words and the vendor's pages."""

import asyncio
import json

import numpy as np
import pytest

from tasks.providers.sandbox.callbacks import signature
from tasks.providers.sandbox.config import RunflowConfig, SandboxConfig
from tests.tasks.providers.sandbox.harness import (
    BEARER,
    BOX,
    HEIGHT,
    MASK,
    PHOTO,
    WIDTH,
    as_file,
    as_pixels,
    host,
    inside,
    scene,
    selection,
    zip_uri,
    zipped,
)

RUN = "/runflow/v1/models/runflow/object-removal/runs"
REPLACE = "/runflow/v1/models/runflow/background-replace/runs"


def test_a_run_goes_from_queued_over_running_to_succeeded():
    """The states follow the clock: one second queued, and the work as long as it takes."""

    async def run():
        config = SandboxConfig(engine="quick", runflow=RunflowConfig(queue_s=1, latency_s=2))
        async with inside(config) as sandbox:
            created = await sandbox.create_run(metadata={"item_id": "sku-1"}, client_ref="ref-1")
            assert created.status_code == 201
            body = created.json()
            assert (body["status_code"], body["output"], body["cost"]) == ("queued", None, None)
            assert (body["client_ref"], body["metadata"]) == ("ref-1", {"item_id": "sku-1"})
            assert (await sandbox.bill())["charges"] == 0

            await sandbox.state.settled()
            done = (await sandbox.get(f"/runflow/v1/runs/{body['id']}", headers=BEARER)).json()
            assert (done["status_code"], done["cost"], done["duration_ms"]) == ("succeeded", "0.48", 3000)
            assert done["created_at"].endswith("+00:00")
            assert set(done["output"]) == {"outputs", "seed", "timing", "nsfw_detected"}
            picture = as_pixels((await sandbox.get(done["output"]["outputs"][0]["url"])).content)
            untouched = selection() == 0
            assert (picture[untouched] == scene()[untouched]).all()
            assert (picture != scene()).any()
            assert (await sandbox.bill())["usd"] == "0.48"

    asyncio.run(run())


def test_background_replace_keeps_the_subject_and_shows_the_reference():
    """The seed's own request: image.webp on white, reference.webp, a prompt."""
    x1, y1, x2, y2 = BOX
    product = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    product[y1:y2, x1:x2] = (20, 90, 20)
    counter = np.full((HEIGHT * 2, WIDTH, 3), (200, 180, 160), np.uint8)
    archive = zipped(image_webp=as_file(product), reference_webp=as_file(counter))

    async def run():
        async with inside() as sandbox:
            given = {
                "prompt": "Replace the white area on Image 1 with Image 2 as the background.",
                "zip_url": zip_uri(archive),
                "file_image": "image.webp",
                "file_reference": "reference.webp",
            }
            created = await sandbox.post(REPLACE, json={"input": given}, headers=BEARER)
            await sandbox.state.settled()
            done = (await sandbox.get(f"/runflow/v1/runs/{created.json()['id']}", headers=BEARER)).json()

            assert list(done["output"]) == ["image_urls"]
            picture = as_pixels((await sandbox.get(done["output"]["image_urls"][0])).content)
            assert (picture[y1:y2, x1:x2] == (20, 90, 20)).all()
            assert (picture[:y1] == (200, 180, 160)).all()
            assert done["cost"] == "0.35"

    asyncio.run(run())


def test_the_zip_is_read_over_http():
    async def run(outside):
        async with inside() as sandbox:
            assert (await sandbox.finished_run(url=f"{outside.url}/i.zip"))["status_code"] == "succeeded"
            lost = await sandbox.finished_run(url=f"{outside.url}/other.zip")
            assert (lost["status_code"], lost["failure_code"]) == ("failed", "INPUT_FETCH_FAILED")
            assert "404" in lost["failure_message"]

    with host() as outside:
        outside.files["/i.zip"] = zipped(photo_png=PHOTO, mask_png=MASK)
        asyncio.run(run(outside))


def test_an_uploaded_asset_serves_as_zip_url():
    """create → PUT without a key → confirm; both its address and its runflow:// reference are read."""
    archive = zipped(photo_png=PHOTO, mask_png=MASK)

    async def run():
        async with inside() as sandbox:
            body = {"filename": "i.zip", "mime_type": "application/zip", "size_bytes": len(archive)}
            created = (await sandbox.post("/runflow/v1/asset-uploads", json=body, headers=BEARER)).json()
            assert set(created) == {"asset_id", "upload_url"}
            kind = {"Content-Type": "application/zip"}
            put = await sandbox.client.put(created["upload_url"], content=archive, headers=kind)
            assert put.status_code == 200
            path = f"/runflow/v1/asset-uploads/{created['asset_id']}/confirmations"
            asset = (await sandbox.post(path, json={}, headers=BEARER)).json()
            assert (asset["name"], asset["size_bytes"]) == ("i.zip", len(archive))

            for url in (asset["url"], f"runflow://assets/{created['asset_id']}"):
                assert (await sandbox.finished_run(url=url))["status_code"] == "succeeded"
            tampered = await sandbox.finished_run(url=asset["url"].replace("expires=1", "expires=2"))
            assert tampered["failure_code"] == "INPUT_FETCH_FAILED"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"filename": "", "mime_type": "image/png", "size_bytes": 5}, 422),
        ({"filename": "a", "mime_type": "video/mp4", "size_bytes": 5}, 422),
        ({"filename": "a", "mime_type": "image/png", "size_bytes": 52_428_801}, 422),
    ],
)
def test_an_upload_out_of_bounds_is_refused(body, status):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post("/runflow/v1/asset-uploads", json=body, headers=BEARER)

            assert answer.status_code == status

    asyncio.run(run())


def test_an_upload_needs_its_own_address_type_and_size():
    async def run():
        async with inside() as sandbox:
            body = {"filename": "a.png", "mime_type": "image/png", "size_bytes": len(PHOTO)}
            url = (await sandbox.post("/runflow/v1/asset-uploads", json=body, headers=BEARER)).json()["upload_url"]
            png, jpeg = {"Content-Type": "image/png"}, {"Content-Type": "image/jpeg"}
            put = sandbox.client.put

            assert (await put(url[:-1] + "x", content=PHOTO, headers=png)).status_code == 403
            assert (await put(url, content=PHOTO, headers=jpeg)).status_code == 403
            assert (await put(url, content=PHOTO + b"!", headers=png)).status_code == 400
            sandbox.clock.passed_s += 1000
            assert (await put(url, content=PHOTO, headers=png)).status_code == 403

    asyncio.run(run())


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (zipped(photo_png=PHOTO), "mask.png"),
        (zipped(photo_png=b"no picture", mask_png=MASK), "image is not"),
        (zipped(photo_png=PHOTO, mask_png=as_file(selection()[:-1])), "same dimensions"),
        (b"PK no zip", "zip"),
    ],
)
def test_an_input_that_cannot_be_used_fails_the_run_uncharged(files, says):
    async def run():
        async with inside() as sandbox:
            done = await sandbox.finished_run(url=zip_uri(files))

            assert (done["status_code"], done["output"]) == ("failed", None)
            assert (done["failure_code"], done["failure_stage_code"]) == ("INPUT_VALIDATION_FAILED", "preprocess")
            assert says in done["failure_message"]
            bill = await sandbox.bill()
            assert (bill["charges"], bill["accounts"][0]["held"]) == (0, "0.00")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": {"zip_url": "https://x/i.zip", "file_input": "a.png"}}, "input.file_mask"),
        ({"input": {"zip_url": "ftp://x/i.zip", "file_input": "a", "file_mask": "b"}}, "input.zip_url"),
        ({"input": {"zip_url": zip_uri(), "file_input": "a", "file_mask": "b"}, "callback_url": "me"}, "callback_url"),
        ({"input": {"zip_url": zip_uri(), "file_input": "a", "file_mask": "b"}, "metadata": []}, "metadata"),
    ],
)
def test_a_request_that_is_wrong_is_422_in_the_flat_envelope(body, field):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post(RUN, json=body, headers=BEARER)

            assert answer.status_code == 422
            assert set(answer.json()) == {"code", "message", "errors"}
            assert answer.json()["errors"][0]["field"] == field

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input": NaN}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_object_is_400(body):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post(RUN, content=body, headers=BEARER)

            assert answer.status_code == 400
            assert sandbox.state.traffic.defects == 0

    asyncio.run(run())


def test_refusals_carry_the_documented_codes():
    async def run():
        config = SandboxConfig(engine="quick", runflow=RunflowConfig(credits="0.47", limits=("3/min",)))
        async with inside(config) as sandbox:
            wrong = await sandbox.create_run(headers={"Authorization": "Bearer wrong-key"})
            assert (wrong.status_code, wrong.json()["code"]) == (401, "UNAUTHORIZED")
            poor = await sandbox.create_run()
            assert (poor.status_code, poor.json()["code"]) == (402, "INSUFFICIENT_CREDIT")
            unknown = await sandbox.get("/runflow/v1/runs/none", headers=BEARER)
            assert (unknown.status_code, unknown.json()["code"]) == (404, "RUN_NOT_FOUND")
            batch = await sandbox.post(RUN.replace("runs", "batches"), json={"input": []}, headers=BEARER)
            assert batch.status_code == 422
            hurried = [await sandbox.create_run() for _ in range(3)][-1]
            assert (hurried.status_code, hurried.json()["code"]) == (429, "RATE_LIMITED")
            assert "Retry-After" not in hurried.headers

    asyncio.run(run())


def test_money_for_runs_under_way_is_set_aside():
    """Two runs cannot both be promised the last half dollar."""

    async def run():
        config = SandboxConfig(engine="quick", runflow=RunflowConfig(credits="0.50", queue_s=1))
        async with inside(config) as sandbox:
            assert [(await sandbox.create_run()).status_code for _ in range(2)] == [201, 402]
            await sandbox.state.settled()
            (account,) = (await sandbox.bill())["accounts"]
            assert (account["balance"], account["held"]) == ("0.02", "0.00")

    asyncio.run(run())


def test_an_idempotency_key_replays_the_run_and_is_charged_once():
    async def run():
        async with inside() as sandbox:
            key = {"Idempotency-Key": "attempt-1"}
            first, again = [await sandbox.create_run(headers=key) for _ in range(2)]
            assert (first.status_code, again.status_code) == (201, 201)
            assert first.json()["id"] == again.json()["id"]
            other = await sandbox.create_run(headers=key, client_ref="another body")
            assert (other.status_code, other.json()["code"]) == (409, "CONFLICT")
            without = await sandbox.create_run()
            assert without.json()["id"] != first.json()["id"]

            await sandbox.state.settled()
            bill = await sandbox.bill()
            assert bill["charges"] == 2
            assert [e["reference"] for e in bill["entries"] if e["kind"] == "charge"] == ["attempt-1", None]

    asyncio.run(run())


@pytest.mark.parametrize(
    "query", ["client_ref.EQ:'ref-2'", "client_ref:ref-2", "status_code:succeeded AND client_ref:ref-2"]
)
def test_a_run_is_found_again_by_client_ref(query):
    async def run():
        async with inside() as sandbox:
            for number in range(3):
                await sandbox.create_run(client_ref=f"ref-{number}")
            await sandbox.state.settled()
            found = (await sandbox.get("/runflow/v1/runs", params={"q": query}, headers=BEARER)).json()

            assert [item["client_ref"] for item in found["items"]] == ["ref-2"]
            strange = {"Authorization": "Bearer another"}
            theirs = (await sandbox.get("/runflow/v1/runs", params={"q": query}, headers=strange)).json()
            assert theirs["items"] == []

    asyncio.run(run())


def test_the_callback_is_signed_over_the_raw_body_and_tells_the_whole_outcome():
    """Payload and headers as the seed lists them."""

    async def run(receiver):
        config = SandboxConfig(engine="quick", runflow=RunflowConfig(callback_secret="whsec_ours"))
        async with inside(config) as sandbox:
            done = await sandbox.finished_run(callback_url=f"{receiver.url}/hook", metadata={"a": 1})

            ((headers, body),) = receiver.received
            assert headers["runflow-signature"] == signature("whsec_ours", body)
            assert len(headers["runflow-signature"]) == 64
            assert headers["runflow-request-id"]
            told = json.loads(body)
            assert set(told) == {
                *("event", "run_id", "status", "output", "duration_ms", "created_at", "completed_at", "metadata")
            }
            assert (told["event"], told["run_id"], told["status"]) == ("run.completed", done["id"], "succeeded")
            assert told["metadata"] == {"a": 1}
            assert (await sandbox.get(told["output"]["outputs"][0]["url"])).status_code == 200

    with host() as receiver:
        asyncio.run(run(receiver))


def test_a_failed_run_calls_back_without_output():
    async def run(receiver):
        async with inside() as sandbox:
            await sandbox.finished_run(callback_url=receiver.url, url=zip_uri(b"no zip"))

            ((headers, body),) = receiver.received
            told = json.loads(body)
            assert (told["event"], told["status"], told["output"]) == ("run.failed", "failed", None)
            assert "runflow-signature" not in headers  # no secret is configured

    with host() as receiver:
        asyncio.run(run(receiver))


@pytest.mark.parametrize(
    ("statuses", "attempts", "waited_s"),
    [([500, 503, 200], 3, 3), ([500] * 4, 3, 3), ([400, 200], 1, 0), ([204], 1, 0)],
)
def test_callbacks_are_retried_after_1_and_2_seconds_on_5xx_only(statuses, attempts, waited_s):
    async def run(receiver):
        async with inside() as sandbox:
            before_s = sandbox.clock.passed_s
            done = await sandbox.finished_run(callback_url=receiver.url)

            assert len(receiver.received) == attempts
            assert sandbox.clock.passed_s - before_s == waited_s
            (history,) = (await sandbox.get(f"/runflow/v1/runs/{done['id']}/callback", headers=BEARER)).json()
            assert [attempt["status"] for attempt in history["attempts"]] == statuses[:attempts]
            assert history["max_attempts"] == 3

    with host() as receiver:
        receiver.statuses = list(statuses)
        asyncio.run(run(receiver))


def test_callbacks_to_nobody_are_retried_and_the_run_stays_as_it_is():
    async def run(gone):
        async with inside() as sandbox:
            done = await sandbox.finished_run(callback_url=gone)

            assert done["status_code"] == "succeeded"
            (history,) = (await sandbox.get(f"/runflow/v1/runs/{done['id']}/callback", headers=BEARER)).json()
            assert [attempt["error"] for attempt in history["attempts"]] == ["ConnectError"] * 3

    with host() as receiver:
        gone = receiver.url
    asyncio.run(run(gone))


def test_a_secret_that_was_made_signs_from_then_on_and_a_redelivery_too():
    async def run(receiver):
        async with inside() as sandbox:
            made = await sandbox.post("/runflow/v1/callback-secrets", json={"label": "production"}, headers=BEARER)
            secret = made.json()["plain_secret"]
            assert secret.startswith("whsec_")
            done = await sandbox.finished_run(callback_url=receiver.url)
            await sandbox.post(f"/runflow/v1/runs/{done['id']}/callback-redeliveries", headers=BEARER)
            await sandbox.state.settled()

            assert len(receiver.received) == 2
            for headers, body in receiver.received:
                assert headers["runflow-signature"] == signature(secret, body)

    with host() as receiver:
        asyncio.run(run(receiver))


def test_balances_in_both_documented_shapes():
    async def run():
        async with inside(SandboxConfig(engine="quick", runflow=RunflowConfig(credits="10"))) as sandbox:
            await sandbox.finished_run()

            balance = (await sandbox.get("/runflow/v1/billing/balance", headers=BEARER)).json()
            assert balance == {"balance_cents": 952, "currency": "USD"}
            balances = (await sandbox.get("/runflow/v1/credit-balances", headers=BEARER)).json()
            assert balances == {"items": [{"balance_usd": "9.52"}]}
            assert (await sandbox.get("/runflow/v1/auth/me", headers=BEARER)).status_code == 200

    asyncio.run(run())
