import asyncio
import base64
import json
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

from manifests.error_codes import ErrorCode
from tasks.providers.base import Balance, EditRequest, Submission
from tasks.providers.errors import (
    InDoubtError,
    JobFailedError,
    OutOfCreditError,
    ProviderError,
    ProviderOffError,
    RateLimitedError,
    RejectedItemError,
    TransientError,
)
from tests.tasks.providers.factories import KEY, PNG, Vendor, asset, provider, removal, seed, unobserved

BY_TEXT, BY_MASK = "POST /api/v6/interior/object_removal", "POST /api/v6/image_editing/object_removal"
FETCH_TEXT, FETCH_MASK = "POST /api/v6/interior/fetch/77", "POST /api/v6/image_editing/fetch/77"
UPLOAD = "POST /api/v6/base64_to_url"
OUT = "https://results.example/1.png"
TEXT = removal(mask=None, object_name="sofa")


def submitted(answer: object, request: EditRequest = TEXT, vendor: Vendor | None = None, **own: object) -> Submission:
    vendor = (vendor or Vendor()).answer(BY_TEXT, answer).answer(BY_MASK, answer)

    async def main() -> Submission:
        async with provider("modelslab", vendor, **own) as modelslab:
            return await modelslab.submit(request, on_sent=unobserved)

    return asyncio.run(main())


def polled(answer: object, remote_id: str = "interior/77", vendor: Vendor | None = None) -> Submission:
    vendor = (vendor or Vendor()).answer(FETCH_TEXT, answer).answer(FETCH_MASK, answer)

    async def main() -> Submission:
        async with provider("modelslab", vendor) as modelslab:
            return await modelslab.poll(remote_id)

    return asyncio.run(main())


def prepared(request: EditRequest, vendor: Vendor, **own: object) -> EditRequest:
    async def main() -> EditRequest:
        async with provider("modelslab", vendor, **own) as modelslab:
            return await modelslab.prepare(request)

    return asyncio.run(main())


# Submitting


def test_a_mask_goes_to_the_endpoint_that_takes_one() -> None:
    vendor = Vendor()
    request = removal(image=asset(url="https://p.example/i.png"), mask=asset(mode="L", url="https://p.example/m.png"))

    submitted(seed("modelslab_object_removal")["success"], request, vendor)

    assert json.loads(vendor.at(BY_MASK)[0].content) == {
        "key": KEY,
        "init_image": "https://p.example/i.png",
        "mask_image": "https://p.example/m.png",
        "webhook": None,
        "track_id": None,
    }


def test_a_callback_names_its_endpoint_and_is_told_apart_by_number() -> None:
    vendor = Vendor()
    request = replace(TEXT, callback_url="https://hooks.example/modelslab/token")

    submitted({"status": "processing", "id": 77}, request, vendor)
    submitted({"status": "processing", "id": 77}, request, vendor, track_id="string")

    first, second = (json.loads(asked.content) for asked in vendor.at(BY_TEXT))
    assert first["webhook"] == "https://hooks.example/modelslab/token/interior"
    assert isinstance(first["track_id"], int)
    assert 0 <= first["track_id"] < 2**53
    assert second["track_id"] == "attempt-1"


@pytest.mark.parametrize(("given", "remote_id"), [(77, "interior/77"), ("abc123-def456", "interior/abc123-def456")])
def test_ids_are_opaque(given: object, remote_id: str) -> None:
    assert submitted({"status": "processing", "id": given}).remote_id == remote_id


def test_an_id_that_only_the_fetch_address_holds_is_taken_from_it() -> None:
    fetch = "https://modelslab.com/api/v6/interior/fetch/77"

    assert submitted({"status": "processing", "fetch_result": fetch}).remote_id == "interior/77"


@pytest.mark.parametrize(("eta", "wait_s"), [(10, 10), ("2.5", 2.5), (-4, 0), (1e9, 600), ("soon", None), (None, None)])
def test_the_estimate_is_passed_on_within_reason(eta: object, wait_s: float | None) -> None:
    assert submitted({"status": "processing", "id": 77, "eta": eta}).poll_after_s == wait_s


@pytest.mark.parametrize("output", ["", [], None, [""], {}])
def test_every_way_to_say_not_yet_is_understood(output: object) -> None:
    assert polled({"status": "processing", "id": 77, "output": output}).result is None


@pytest.mark.parametrize("output", [[OUT], OUT, ["", OUT], {"proxy": 1}], ids=["list", "string", "gap", "proxy"])
def test_every_shape_of_an_address_is_understood(output: object) -> None:
    result = submitted({"status": "success", "id": 77, "output": output, "proxy_links": [OUT]}).result

    assert result is not None
    assert result.output_url == OUT


@pytest.mark.parametrize(
    "output", [base64.b64encode(PNG).decode(), "data:image/png;base64," + base64.b64encode(PNG).decode()]
)
def test_a_picture_inside_the_answer_needs_no_download(output: str) -> None:
    vendor = Vendor().answer(BY_TEXT, {"status": "success", "id": 77, "output": [output]})

    async def main() -> bytes:
        async with provider("modelslab", vendor) as modelslab:
            return await modelslab.fetch_output(await modelslab.submit(TEXT, on_sent=unobserved))

    assert asyncio.run(main()) == PNG
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("output", [[], [""], ["no picture"], None])
def test_success_without_a_result_is_a_failure_that_may_be_charged(output: object) -> None:
    with pytest.raises(JobFailedError, match="without a result") as caught:
        submitted({"status": "success", "id": 77, "output": output})
    assert caught.value.code is ErrorCode.UNEXPECTED_ANSWER
    assert caught.value.charged_usd is None


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ({"status": "error", "message": "Invalid API key"}, ProviderOffError),
        (
            {"status": "error", "messege": "Insufficient credits. Please add more credits to continue."},
            OutOfCreditError,
        ),
        ({"status": "error", "message": "Unable to fetch image from provided URL"}, RejectedItemError),
        ({"status": "error", "message": {"init_image": ["The init image field is required."]}}, RejectedItemError),
        ({"status": "error", "message": "Something else"}, JobFailedError),
        ({"status": "error"}, JobFailedError),
        ({"status": "failed", "message": "GPU lost"}, JobFailedError),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_errors_are_read_from_their_words_whatever_the_status(
    status: int, answer: dict, meaning: type[Exception]
) -> None:
    """HTTP 200 with `status: error` is documented; so is the spelling `messege`."""
    if status == 400 and meaning is JobFailedError:
        meaning = RejectedItemError  # here the status speaks: refused

    with pytest.raises(ProviderError) as caught:
        submitted(httpx.Response(status, json=answer))
    assert type(caught.value) is meaning


@pytest.mark.parametrize("status", [200, 429])
def test_a_full_queue_says_how_long_in_its_body(status: int) -> None:
    with pytest.raises(RateLimitedError, match="Maximum 5 queued") as caught:
        submitted(httpx.Response(status, json=seed("modelslab_object_removal")["queue_full"]))
    assert caught.value.retry_after_s == 30


def test_an_accepted_job_without_an_id_is_in_doubt() -> None:
    with pytest.raises(InDoubtError):
        submitted({"status": "processing", "id": None})


# Polling


@pytest.mark.parametrize(
    ("remote_id", "place"), [("interior/77", FETCH_TEXT), ("image_editing/77", FETCH_MASK), ("77", FETCH_TEXT)]
)
def test_a_job_is_asked_about_where_it_was_made(remote_id: str, place: str) -> None:
    vendor = Vendor()

    polled({"status": "success", "id": 77, "output": [OUT]}, remote_id, vendor)

    assert vendor.paths() == [place]


def test_the_key_never_goes_to_an_address_out_of_an_answer() -> None:
    processing = {"status": "processing", "id": 77, "fetch_result": "https://evil.example/api/v6/interior/fetch/77"}
    vendor = Vendor().answer(BY_TEXT, processing).answer(FETCH_TEXT, processing, {"status": "success", "output": [OUT]})

    async def main() -> None:
        async with provider("modelslab", vendor) as modelslab:
            job = await modelslab.submit(TEXT, on_sent=unobserved)
            for _ in range(2):
                job = await modelslab.poll(job.remote_id or "")

    asyncio.run(main())

    assert {request.url.host for request in vendor.asked} == {"modelslab.com"}


def test_an_id_cannot_lead_the_poll_elsewhere() -> None:
    vendor = Vendor()

    with pytest.raises(ProviderError):
        polled({}, "interior/..%2f../x?y", vendor)
    assert vendor.asked[0].url.raw_path.startswith(b"/api/v6/interior/fetch/")


@pytest.mark.parametrize("words", ["GPU lost", "Unable to fetch image from provided URL", "field is required"])
def test_a_job_that_ends_badly_is_a_failed_job_whatever_its_words(words: str) -> None:
    """It had been accepted: nothing may say that it was refused uncharged."""
    with pytest.raises(JobFailedError) as caught:
        polled({"status": "error", "message": words})
    assert caught.value.remote_id == "interior/77"


def test_an_empty_account_does_not_undo_an_accepted_job() -> None:
    with pytest.raises(TransientError) as caught:
        polled({"status": "error", "message": "Insufficient credits"})
    assert type(caught.value) is TransientError


def test_enterprise_plans_have_paths_of_their_own() -> None:
    vendor = Vendor().answer("POST /api/v1/enterprise/interior/object_removal", {"status": "processing", "id": 77})

    submitted({}, TEXT, vendor, api_path="/api/v1/enterprise")

    assert vendor.paths() == ["POST /api/v1/enterprise/interior/object_removal"]


# Pictures


def test_public_addresses_are_passed_on_and_others_uploaded() -> None:
    vendor = Vendor().answer(UPLOAD, {"status": "success", "id": 1, "output": ["https://temp.example/m.png"]})
    public = "https://shop.example/i.png"

    request = prepared(removal(image=asset(source_uri=public)), vendor)

    assert request.image.url == public
    assert request.mask is not None
    assert request.mask.url == "https://temp.example/m.png"
    [upload] = vendor.at(UPLOAD)
    encoded = base64.b64encode(request.mask.data).decode()
    assert json.loads(upload.content) == {"key": KEY, "base64_string": f"data:image/png;base64,{encoded}"}


def test_a_picture_too_large_to_upload_is_refused_with_the_way_out() -> None:
    large = replace(asset(), data=PNG + bytes(3_750_000))
    vendor = Vendor()

    with pytest.raises(RejectedItemError, match="CLEANPLATE_STAGING_URI") as caught:
        prepared(removal(image=large), vendor)
    assert caught.value.code is ErrorCode.IMAGE_TOO_LARGE
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ({"status": "error", "message": "Invalid API key"}, ProviderOffError),
        ({"status": "error", "message": "Insufficient credits"}, OutOfCreditError),
        ({"status": "success", "output": []}, TransientError),
        ({"status": "error", "message": "odd"}, TransientError),
    ],
)
def test_an_upload_that_went_wrong_is_told_by_what_helps(answer: dict, meaning: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        prepared(TEXT, Vendor().answer(UPLOAD, answer))
    assert type(caught.value) is meaning


# The account


def test_the_wallet_is_read() -> None:
    wallet = {"status": "success", "data": {"balance": 43.6, "currency": "USD"}}
    vendor = Vendor().answer("POST /api/wallet_balance", wallet)

    async def main() -> Balance | None:
        async with provider("modelslab", vendor) as modelslab:
            return await modelslab.balance()

    assert asyncio.run(main()) == Balance(usd=Decimal("43.6"))
    assert json.loads(vendor.asked[0].content) == {"key": KEY}


def test_a_wallet_that_a_wrong_key_asks_for_says_so() -> None:
    vendor = Vendor().answer("POST /api/wallet_balance", {"status": "error", "message": "Invalid API key"})

    async def main() -> None:
        async with provider("modelslab", vendor) as modelslab:
            await modelslab.balance()

    with pytest.raises(ProviderOffError):
        asyncio.run(main())
