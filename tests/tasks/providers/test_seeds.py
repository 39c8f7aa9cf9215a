"""The seeds' own examples: what is sent equals the documented request, what the document answers is understood."""

import asyncio
import json
import re
from dataclasses import replace
from decimal import Decimal
from email.message import Message
from email.parser import BytesParser
from urllib.parse import parse_qs

import httpx
import pytest

from tasks.providers.base import EditRequest, Submission
from tasks.providers.errors import OutOfCreditError, RejectedItemError
from tests.tasks.providers.factories import Vendor, asset, provider, removal, replacement, seed, unobserved

RUNFLOW, BACKGROUND = seed("runflow_object_removal"), seed("runflow_background_replace")
MASKR, MODELSLAB, ONEMIN = seed("maskr_object_removal"), seed("modelslab_object_removal"), seed("onemin_object_removal")
PLAIN_RUNFLOW = {"send_client_ref": False, "send_metadata": False, "send_idempotency_key": False}


def place(documented: dict) -> str:
    return f"{documented['method']} {documented['path']}"


def submitted(key: str, vendor: Vendor, request: EditRequest, **own: object) -> Submission:
    async def main() -> Submission:
        async with provider(key, vendor, **own) as adapter:
            return await adapter.submit(request, on_sent=unobserved)

    return asyncio.run(main())


def multipart(request: httpx.Request) -> list[Message]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    return BytesParser().parsebytes(head + request.content).get_payload()


def field_names(request: httpx.Request) -> list[str]:
    return [part.get_param("name", header="content-disposition") for part in multipart(request)]


def test_runflow_is_sent_the_documented_removal() -> None:
    documented = RUNFLOW["request"]
    vendor = Vendor().answer(place(documented), httpx.Response(201, json={"id": "01J0", "status_code": "queued"}))
    given = documented["json"]
    request = removal(image=asset(url=given["input"]["zip_url"]), callback_url=given["callback_url"])

    accepted = submitted("runflow", vendor, request, api_key="RUNFLOW_API_KEY", **PLAIN_RUNFLOW)

    [sent] = vendor.at(place(documented))
    assert json.loads(sent.content) == given
    assert {name: sent.headers[name] for name in documented["headers"]} == documented["headers"]
    assert accepted == Submission(remote_id="01J0")


def test_runflow_is_sent_the_documented_replacement() -> None:
    documented = BACKGROUND["request"]
    vendor = Vendor().answer(place(documented), {"id": "01J0", "status_code": "queued"})
    given = documented["json"]
    request = replacement(
        image=asset("WEBP", url=given["input"]["zip_url"]),
        prompt=given["input"]["prompt"],
        callback_url=given["callback_url"],
    )

    submitted("runflow", vendor, request, api_key="RUNFLOW_API_KEY", **PLAIN_RUNFLOW)

    assert json.loads(vendor.at(place(documented))[0].content) == given


def test_what_cleanplate_adds_to_a_run_is_reference_metadata_and_idempotency_key() -> None:
    documented = RUNFLOW["request"]
    vendor = Vendor().answer(place(documented), {"id": "01J0", "status_code": "queued"})
    given = documented["json"]
    request = removal(image=asset(url=given["input"]["zip_url"]), callback_url=given["callback_url"])

    submitted("runflow", vendor, request)

    [sent] = vendor.at(place(documented))
    added = {"client_ref": "attempt-1", "metadata": {"item_id": "sku-1", "attempt_key": "attempt-1"}}
    assert json.loads(sent.content) == given | added
    assert sent.headers["idempotency-key"] == "attempt-1"


@pytest.mark.parametrize("document", [RUNFLOW, BACKGROUND], ids=["object-removal", "background-replace"])
def test_runflows_documented_outputs_are_understood(document: dict) -> None:
    run = {"id": "01J0", "status_code": "succeeded", "output": document["output"], "cost": document["usd_per_image"]}
    vendor = Vendor().answer("GET /v1/runs/01J0", run)

    async def main() -> Submission:
        async with provider("runflow", vendor) as adapter:
            return await adapter.poll("01J0")

    result = asyncio.run(main()).result
    assert result is not None
    assert result.output_url == "https://results.example/1.png"
    assert result.cost_usd == Decimal(document["usd_per_image"])


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("request", removal()),
        (
            "request_by_points",
            removal(mask=None, points=((100, 200), (300, 400)), labels=(1, 1)),
        ),
        ("request_by_box", removal(mask=None, box=(10, 20, 300, 400))),
    ],
)
def test_maskr_is_sent_the_documented_request(name: str, request_: EditRequest) -> None:
    documented = MASKR[name]
    vendor = Vendor().answer(place(documented), MASKR["response"])

    submitted("maskr", vendor, request_, api_key="sk-live-your-api-key")

    [sent] = vendor.at(place(documented))
    query = {name: values[0] for name, values in parse_qs(sent.url.query.decode()).items()}
    assert query == documented.get("params", {})
    assert field_names(sent) == documented["files"]
    assert sent.headers["authorization"] == "Bearer sk-live-your-api-key"


def test_maskrs_documented_answer_is_understood() -> None:
    vendor = Vendor().answer(place(MASKR["request"]), MASKR["response"])

    answer = submitted("maskr", vendor, removal())

    assert answer.remote_id == "abc123-def456"
    assert answer.result is not None
    assert answer.result.output_url == MASKR["response"]["result"]["output_url"]
    assert answer.result.credits == 3


@pytest.mark.parametrize(("status", "meaning"), [(402, OutOfCreditError), (422, RejectedItemError)])
def test_maskrs_documented_errors_are_understood(status: int, meaning: type[Exception]) -> None:
    vendor = Vendor().answer(place(MASKR["request"]), httpx.Response(status, json=MASKR["errors"][str(status)]))

    with pytest.raises(meaning, match=r"Insufficient credits|body\.mask: field required"):
        submitted("maskr", vendor, removal())


def test_maskrs_documented_batch_is_sent_and_understood() -> None:
    documented = MASKR["batch"]["request"]
    vendor = Vendor().answer(place(documented), MASKR["batch"]["response"])
    pair = [removal(), removal(attempt_key="attempt-2", item_id="sku-2")]

    async def main() -> list:
        async with provider("maskr", vendor) as adapter:
            return await adapter.submit_batch(pair, on_sent=unobserved)

    answers = asyncio.run(main())

    [sent] = vendor.at(place(documented))
    names = [part.get_filename() for part in multipart(sent)]
    assert field_names(sent) == documented["files"]
    assert len(set(names)) == len(names)
    assert [answer.remote_id for answer in answers] == ["job-1", "job-2"]


def test_modelslab_is_sent_the_documented_request() -> None:
    documented = MODELSLAB["request"]
    vendor = Vendor().answer(place(documented), MODELSLAB["success"])
    given = documented["json"]
    request = removal(mask=None, image=asset(url=given["init_image"]), object_name=given["object_name"])

    submitted("modelslab", vendor, request, api_key="the-key")

    assert json.loads(vendor.at(place(documented))[0].content) == given | {"key": "the-key"}


def test_modelslabs_documented_life_is_understood() -> None:
    fetch = "POST /api/v6/interior/fetch/12345"
    vendor = (
        Vendor()
        .answer(place(MODELSLAB["request"]), MODELSLAB["processing"])
        .answer(fetch, MODELSLAB["processing"], MODELSLAB["success"])
    )

    async def main() -> list[Submission]:
        async with provider("modelslab", vendor, api_key="the-key") as adapter:
            first = await adapter.submit(removal(mask=None, object_name="sofa"), on_sent=unobserved)
            return [first, *[await adapter.poll(first.remote_id or "") for _ in range(2)]]

    first, second, third = asyncio.run(main())

    assert first == second == Submission(remote_id="interior/12345", poll_after_s=10)
    assert third.result is not None
    assert third.result.output_url == "https://results.example/1.png"
    assert json.loads(vendor.at(fetch)[0].content) == {"key": "the-key"}


def test_onemin_is_sent_the_documented_request() -> None:
    documented = ONEMIN["request"]
    vendor = Vendor().answer(place(documented), ONEMIN["response"])
    prompt = documented["json"]["promptObject"]
    request = removal(image=asset(url=prompt["imageUrl"]), mask=asset(mode="L", url=prompt["maskUrl"]))

    submitted("onemin", vendor, request, api_key="<api-key>")

    [sent] = vendor.at(place(documented))
    assert json.loads(sent.content) == documented["json"]
    assert {name: sent.headers[name] for name in documented["headers"]} == documented["headers"]


def test_onemins_documented_answer_is_understood() -> None:
    vendor = Vendor().answer(place(ONEMIN["request"]), ONEMIN["response"])

    answer = submitted("onemin", vendor, removal())

    assert answer.remote_id == ONEMIN["response"]["aiRecord"]["uuid"]
    assert answer.result is not None
    assert answer.result.output_url == ONEMIN["response"]["aiRecord"]["temporaryUrl"]


def test_onemins_assets_are_uploaded_with_a_right_suffix_and_named_by_path() -> None:
    vendor = Vendor().answer("POST /api/assets", ONEMIN["asset_upload"]["response"])
    request = removal(image=asset("JPEG"))

    async def main() -> EditRequest:
        async with provider("onemin", vendor) as adapter:
            return await adapter.prepare(request)

    prepared = asyncio.run(main())

    uploads = [multipart(sent)[0] for sent in vendor.at("POST /api/assets")]
    assert [part.get_param("name", header="content-disposition") for part in uploads] == ["asset", "asset"]
    assert [re.sub(r".*\.", "", str(part.get_filename())) for part in uploads] == ["jpg", "png"]
    path = ONEMIN["asset_upload"]["response"]["fileContent"]["path"]
    assert prepared == replace(
        request, image=replace(request.image, url=path), mask=request.mask and replace(request.mask, url=path)
    )
