import asyncio
import base64
import io
import json
import zipfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from manifests.error_codes import ErrorCode
from tasks.providers.base import Asset, Balance, EditRequest, Submission
from tasks.providers.errors import (
    InDoubtError,
    JobFailedError,
    ProviderError,
    ProviderOffError,
    RejectedItemError,
    TransientError,
)
from tests.tasks.providers.expectations import vendor_of
from tests.tasks.providers.factories import PNG, Vendor, asset, provider, removal, replacement, unobserved

RUN = "GET /v1/runs/01J0"
UPLOADS, UPLOADED, CONFIRMED = "POST /v1/asset-uploads", "PUT /a1", "POST /v1/asset-uploads/a1/confirmations"
OUT = "https://results.example/1.png"


def polled(run: object, **own: object) -> Submission:
    async def main() -> Submission:
        async with provider("runflow", Vendor().answer(RUN, run), **own) as runflow:
            return await runflow.poll("01J0")

    return asyncio.run(main())


def prepared(request: EditRequest, vendor: Vendor, **own: object) -> EditRequest:
    async def main() -> EditRequest:
        async with provider("runflow", vendor, **own) as runflow:
            return await runflow.prepare(request)

    return asyncio.run(main())


def zip_put(vendor: Vendor) -> dict[str, bytes]:
    [sent] = vendor.at(UPLOADED)
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        return {name: archive.read(name) for name in archive.namelist()}


# The run


@pytest.mark.parametrize("field", ["status_code", "status"])
@pytest.mark.parametrize("status", ["queued", "dispatching", "running", "something_new"])
def test_a_run_under_way_is_asked_for_again(field: str, status: str) -> None:
    assert polled({"id": "01J0", field: status}) == Submission(remote_id="01J0")


@pytest.mark.parametrize("status", ["failed", "cancelled", "canceled", "errored"])
@pytest.mark.parametrize(
    "ending",
    [
        {"failure_code": "MODEL_CRASHED", "failure_message": "out of memory", "output": None},
        {"output": {"code": "MODEL_CRASHED", "message": "out of memory"}},
    ],
)
def test_a_run_that_ended_badly_is_told_in_its_words_and_is_not_billed(status: str, ending: dict) -> None:
    with pytest.raises(JobFailedError, match="MODEL_CRASHED out of memory") as caught:
        polled({"id": "01J0", "status_code": status, **ending})
    assert caught.value.charged_usd == 0
    assert caught.value.remote_id == "01J0"


def test_a_failed_run_that_states_a_cost_is_believed() -> None:
    with pytest.raises(JobFailedError) as caught:
        polled({"id": "01J0", "status_code": "failed", "cost": "0.480000"})
    assert caught.value.charged_usd == Decimal("0.48")


def test_the_documents_other_spelling_of_a_failure_is_understood_and_is_the_pictures_fault() -> None:
    sample = {"id": "01J0", "status": "failed", "failure_code": "INPUT_VALIDATION_FAILED", "failure_stage": "preprocess", "failure_message": "image dimensions exceed 4096x4096"}  # fmt: skip

    with pytest.raises(JobFailedError, match="exceed 4096x4096") as caught:
        polled(sample)
    assert caught.value.code is ErrorCode.PROVIDER_REJECTED


@pytest.mark.parametrize(
    "output",
    [
        {"outputs": [{"url": OUT}, {"url": "https://results.example/2.png"}]},
        {"image_urls": [OUT]},
        {"image": {"url": OUT}},
        {"url": OUT},
        {"output_url": OUT},
        {"image_url": OUT},
        {"images": [OUT]},
        {"images": [{"url": OUT}]},
        OUT,
        [OUT],
    ],
)
def test_every_shape_of_an_output_is_understood(output: object) -> None:
    result = polled({"id": "01J0", "status_code": "succeeded", "output": output}).result

    assert result is not None
    assert result.output_url == OUT


@pytest.mark.parametrize(
    "output", [None, {}, {"outputs": []}, {"outputs": [{"url": None}]}, "none", {"url": "ftp://x"}]
)
def test_success_without_a_result_is_a_charged_failure(output: object) -> None:
    with pytest.raises(JobFailedError, match="without a result") as caught:
        polled({"id": "01J0", "status_code": "succeeded", "output": output, "cost": "0.48"})
    assert caught.value.code is ErrorCode.UNEXPECTED_ANSWER
    assert caught.value.charged_usd == Decimal("0.48")


@pytest.mark.parametrize(
    ("flag", "nsfw"), [(True, True), ([False, True], True), ([False], False), (None, None), ("x", None)]
)
def test_the_vendors_own_flag_is_passed_on(flag: object, nsfw: bool | None) -> None:
    result = polled(
        {"id": "01J0", "status_code": "succeeded", "output": {"outputs": [{"url": OUT}], "nsfw_detected": flag}}
    ).result

    assert result is not None
    assert result.nsfw is nsfw


@pytest.mark.parametrize(("cost", "usd"), [("0.480000", Decimal("0.48")), (0.48, Decimal("0.48")), ("-1", None), ("free", None), (None, None), ("NaN", None)])  # fmt: skip
def test_the_cost_is_an_exact_decimal_or_unknown(cost: object, usd: Decimal | None) -> None:
    result = polled({"id": "01J0", "status_code": "succeeded", "output": OUT, "cost": cost}).result

    assert result is not None
    assert result.cost_usd == usd


def test_the_answer_about_another_run_is_not_believed() -> None:
    with pytest.raises(TransientError, match="another run"):
        polled({"id": "01J9", "status_code": "succeeded", "output": OUT})


def test_an_id_cannot_lead_the_poll_elsewhere() -> None:
    vendor = Vendor()

    async def main() -> None:
        async with provider("runflow", vendor) as runflow:
            await runflow.poll("../admin?x=1")

    with pytest.raises(ProviderError):
        asyncio.run(main())
    assert vendor.asked[0].url.raw_path == b"/v1/runs/..%2Fadmin%3Fx%3D1"


def test_an_expired_address_is_renewed_by_reading_the_run_with_a_signature() -> None:
    fresh = {"id": "01J0", "status_code": "succeeded", "output": {"image_urls": ["https://results.example/new.png"]}}
    vendor = Vendor().answer(RUN, fresh).answer("GET /1.png", httpx.Response(403, content=b"<Error>expired</Error>"))

    old = polled({"id": "01J0", "status_code": "succeeded", "output": OUT})

    async def main() -> bytes:
        async with provider("runflow", vendor) as runflow:
            return await runflow.fetch_output(old)

    assert asyncio.run(main()) == PNG
    assert str(vendor.at(RUN)[0].url).endswith("/v1/runs/01J0?add_signature=true")


# Finding a run whose answer was lost


def found(listed: object, **own: object) -> Submission | None:
    vendor = Vendor().answer("GET /v1/runs", listed)

    async def main() -> Submission | None:
        async with provider("runflow", vendor, find_query="client_ref.EQ:'{client_ref}'", **own) as runflow:
            assert runflow.capabilities.findable
            return await runflow.find("attempt-1")

    answer = asyncio.run(main())
    assert vendor.asked[0].url.params["q"] == "client_ref.EQ:'attempt-1'"
    return answer


def test_a_lost_run_is_found_by_its_client_reference() -> None:
    mine = {"id": "01J0", "status_code": "running", "client_ref": "attempt-1"}

    assert found({"items": [mine], "next_pq": None}) == Submission(remote_id="01J0")
    assert found([mine]) == Submission(remote_id="01J0")


def test_an_empty_list_says_that_it_was_never_taken() -> None:
    assert found({"items": []}) is None


def test_a_filter_that_was_not_understood_proves_nothing() -> None:
    with pytest.raises(InDoubtError, match="find_query"):
        found({"items": [{"id": "01J7", "status_code": "running", "client_ref": "another"}]})


def test_an_answer_without_a_list_proves_nothing() -> None:
    with pytest.raises(TransientError, match="no list of runs"):
        found({"message": "ok"})


def test_lookups_and_replays_are_off_until_someone_knows_better() -> None:
    async def capabilities(**own: object) -> tuple[bool, bool]:
        async with provider("runflow", Vendor(), **own) as runflow:
            return runflow.capabilities.findable, runflow.capabilities.replayable

    assert asyncio.run(capabilities()) == (False, False)
    assert asyncio.run(capabilities(idempotent_runs=True)) == (False, True)
    assert asyncio.run(capabilities(idempotent_runs=True, send_idempotency_key=False)) == (False, False)


# The zip


def test_a_removals_zip_holds_photo_and_mask_under_the_names_that_the_run_gives() -> None:
    vendor = vendor_of("runflow")
    request = removal(image=asset("JPEG"))

    async def main() -> None:
        async with provider("runflow", vendor) as runflow:
            await runflow.submit(await runflow.prepare(request), on_sent=unobserved)

    asyncio.run(main())

    files = zip_put(vendor)
    body = json.loads(vendor.at("POST /v1/models/runflow/object-removal/runs")[0].content)
    assert request.mask is not None
    assert files == {body["input"]["file_input"]: request.image.data, body["input"]["file_mask"]: request.mask.data}


def test_a_masked_background_is_painted_white_for_the_prompt_that_speaks_of_it() -> None:
    """And not a pixel of the product changes on the way."""
    mask = np.zeros((48, 64), np.uint8)
    mask[:20] = 255
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    masked = Asset(data=out.getvalue(), media_type="image/png", width=64, height=48)
    vendor = vendor_of("runflow")

    prepared(replacement(mask=masked), vendor)

    files = zip_put(vendor)
    sent = np.asarray(Image.open(io.BytesIO(files["image.png"])))
    original = np.asarray(Image.open(io.BytesIO(PNG)))
    assert (sent[:20] == 255).all()
    assert (sent[20:] == original[20:]).all()
    assert list(files) == ["image.png", "reference.webp"]


@pytest.mark.parametrize(
    ("request_", "own"), [(replacement(), {}), (replacement(mask=asset(mode="L")), {"whiten_background": False})]
)
def test_without_a_mask_or_when_told_so_the_picture_goes_as_it_is(request_: EditRequest, own: dict) -> None:
    vendor = vendor_of("runflow")

    prepared(request_, vendor, **own)

    assert zip_put(vendor)["image.png"] == PNG


def test_the_same_pictures_make_the_same_zip() -> None:
    """So that a retry stages nothing anew."""
    archives = []
    for _ in range(2):
        vendor = vendor_of("runflow")
        prepared(removal(), vendor)
        archives.append(vendor.at(UPLOADED)[0].content)

    assert archives[0] == archives[1]


@pytest.mark.parametrize(
    ("request_", "missing"), [(removal(mask=None), "mask"), (replacement(reference=None), "reference")]
)
def test_a_request_without_what_it_needs_is_refused_before_anything_is_sent(
    request_: EditRequest, missing: str
) -> None:
    vendor = Vendor()

    with pytest.raises(RejectedItemError, match=f"needs a {missing}"):
        prepared(request_, vendor)
    assert vendor.asked == []


def test_a_picture_that_cannot_be_whitened_is_refused() -> None:
    broken = replace(asset(), data=b"\x89PNG\r\n\x1a\nbroken")

    with pytest.raises(RejectedItemError) as caught:
        prepared(replacement(image=broken, mask=asset(mode="L")), Vendor())
    assert caught.value.code is ErrorCode.IMAGE_UNREADABLE


def test_the_vendors_upload_takes_three_steps_and_the_key_only_two_of_them() -> None:
    vendor = vendor_of("runflow")

    request = prepared(removal(), vendor)

    assert vendor.paths() == [UPLOADS, UPLOADED, CONFIRMED]
    announced = json.loads(vendor.asked[0].content)
    assert announced == {"filename": "inputs.zip", "mime_type": "application/zip", "size_bytes": len(vendor.asked[1].content)}  # fmt: skip
    assert "authorization" not in vendor.asked[1].headers
    assert request.image.url == "https://assets.example/a1.zip"


def test_an_uploaded_zip_may_be_named_by_reference() -> None:
    assert prepared(removal(), vendor_of("runflow"), asset_reference="runflow").image.url == "runflow://assets/a1"


def test_where_zips_are_no_assets_small_ones_travel_inside_the_run() -> None:
    vendor = Vendor().answer(UPLOADS, httpx.Response(422, json={"message": "mime_type not allowed"}))

    async def main() -> list[str]:
        async with provider("runflow", vendor) as runflow:
            return [(await runflow.prepare(removal())).image.url or "" for _ in range(2)]

    first, second = asyncio.run(main())

    assert zipfile.is_zipfile(io.BytesIO(base64.b64decode(first.removeprefix("data:application/zip;base64,"))))
    assert first == second
    assert len(vendor.at(UPLOADS)) == 1


def test_where_zips_are_no_assets_large_ones_are_refused() -> None:
    vendor = Vendor().answer(UPLOADS, httpx.Response(422, json={"message": "mime_type not allowed"}))
    large = replace(asset(), data=PNG + bytes(1_100_000))

    with pytest.raises(RejectedItemError, match="mime_type not allowed"):
        prepared(removal(image=large), vendor)
    with pytest.raises(RejectedItemError, match="CLEANPLATE_STAGING_URI") as caught:
        prepared(removal(image=large), vendor, zip_hosting="inline")
    assert caught.value.code is ErrorCode.IMAGE_TOO_LARGE


def test_where_there_is_a_stage_the_zip_goes_there(tmp_path: Path) -> None:
    vendor = Vendor()

    request = prepared(
        removal(), vendor, settings_staging_uri=str(tmp_path), settings_staging_public_url="https://files.example"
    )

    [file] = tmp_path.rglob("*.zip")
    assert zipfile.is_zipfile(file)
    assert request.image.url == f"https://files.example/staged-2026-11-20/{file.name}"
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("place", "answer"), [(UPLOADS, {"asset_id": "a1"}), (CONFIRMED, {"id": "a1"}), (UPLOADS, httpx.Response(500))]
)
def test_an_upload_that_went_wrong_is_tried_again(place: str, answer: object) -> None:
    with pytest.raises(TransientError):
        prepared(removal(), vendor_of("runflow").answer(place, answer))


def test_an_upload_address_inside_our_network_is_not_followed() -> None:
    vendor = vendor_of("runflow").answer(
        UPLOADS, {"asset_id": "a1", "upload_url": "https://169.254.169.254/latest/meta-data"}
    )

    with pytest.raises(ProviderOffError, match="refused to connect"):
        prepared(removal(), vendor)
    assert vendor.paths() == [UPLOADS]


# The account


@pytest.mark.parametrize(
    ("answer", "balance"),
    [
        ({"balance_cents": 12450, "currency": "USD"}, Balance(usd=Decimal("124.50"))),
        ({"balance": "99.5", "low_balance_threshold": "5"}, Balance(usd=Decimal("99.5"))),
        ({"items": [{"balance_usd": 12.5}]}, Balance(usd=Decimal("12.5"))),
        ({"balance_usd": "12.50"}, Balance(usd=Decimal("12.50"))),
    ],
)
def test_every_documented_shape_of_a_balance_is_understood(answer: dict, balance: Balance) -> None:
    async def main(vendor: Vendor) -> Balance | None:
        async with provider("runflow", vendor) as runflow:
            return await runflow.balance()

    gone = httpx.Response(404, json={"code": "NOT_FOUND", "message": "no such route"})
    older = Vendor().answer("GET /v1/billing/balance", gone).answer("GET /v1/credit-balances", answer)

    assert asyncio.run(main(Vendor().answer("GET /v1/billing/balance", answer))) == balance
    assert asyncio.run(main(older)) == balance


def test_a_bare_balance_counts_what_the_settings_say() -> None:
    async def main() -> Balance | None:
        vendor = Vendor().answer("GET /v1/billing/balance", {"balance": "99.5"})
        async with provider("runflow", vendor, balance_unit="credits") as runflow:
            return await runflow.balance()

    assert asyncio.run(main()) == Balance(credits=Decimal("99.5"))


def test_an_organization_is_named_in_every_request() -> None:
    vendor = vendor_of("runflow")

    async def main() -> None:
        async with provider("runflow", vendor, organization_id="org-7") as runflow:
            await runflow.submit(await runflow.prepare(removal()), on_sent=unobserved)
            await runflow.poll("01J0")

    asyncio.run(main())

    to_vendor = [request for request in vendor.asked if request.url.host == "api.runflow.io"]
    assert {request.headers["x-organization-id"] for request in to_vendor} == {"org-7"}
