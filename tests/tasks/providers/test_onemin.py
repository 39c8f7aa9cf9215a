import asyncio
import json
from decimal import Decimal

import pytest

from manifests.error_codes import ErrorCode
from tasks.providers.base import Balance, EditRequest, Submission
from tasks.providers.errors import InDoubtError, JobFailedError, RejectedItemError
from tests.tasks.providers.factories import Vendor, asset, provider, removal, replacement, seed, unobserved

FEATURES = "POST /api/features"
RECORD = seed("onemin_object_removal")["response"]["aiRecord"]


def submitted(
    record: object, request: EditRequest | None = None, vendor: Vendor | None = None, **own: object
) -> Submission:
    vendor = (vendor or Vendor()).answer(FEATURES, {"aiRecord": record})

    async def main() -> Submission:
        async with provider("onemin", vendor, **own) as onemin:
            return await onemin.submit(request or removal(), on_sent=unobserved)

    return asyncio.run(main())


def asked(request: EditRequest, **own: object) -> dict:
    vendor = Vendor()
    submitted(RECORD, request, vendor, **own)
    return json.loads(vendor.at(FEATURES)[0].content)


def test_a_background_is_replaced_by_its_prompt_and_one_picture_is_asked_for() -> None:
    assert asked(replacement(image=asset(url="images/a.png"))) == {
        "type": "BACKGROUND_REPLACER",
        "model": "recraft",
        "promptObject": {"imageUrl": "images/a.png", "prompt": "on a marble counter", "n": 1},
    }


def test_further_options_of_a_background_come_from_the_settings() -> None:
    body = asked(replacement(), background_replace_model="clipdrop", background_options={"style": "any"})

    assert body["model"] == "clipdrop"
    assert body["promptObject"]["style"] == "any"
    assert "n" not in body["promptObject"]


def test_the_sibling_model_is_told_the_file_format() -> None:
    body = asked(removal(), object_removal_model="stable-image")

    assert body["model"] == "stable-image"
    assert body["promptObject"]["output_format"] == "png"


def test_a_replacement_without_a_prompt_is_refused_before_anything_is_sent() -> None:
    vendor = Vendor()

    async def main() -> None:
        async with provider("onemin", vendor) as onemin:
            await onemin.prepare(replacement(prompt=None))

    with pytest.raises(RejectedItemError, match="needs a prompt"):
        asyncio.run(main())
    assert vendor.asked == []


def test_addresses_are_passed_on_only_when_told_so() -> None:
    public = "https://shop.example/i.png"
    vendor = Vendor().answer("POST /api/assets", {"asset": {"key": "images/up.png"}})

    async def main(**own: object) -> EditRequest:
        async with provider("onemin", vendor, **own) as onemin:
            return await onemin.prepare(removal(mask=None, image=asset(source_uri=public)))

    assert asyncio.run(main()).image.url == "images/up.png"
    assert asyncio.run(main(send_urls=True)).image.url == public


@pytest.mark.parametrize("status", ["FAILED", "ERROR", "failed"])
def test_a_failed_record_is_told_in_its_words(status: str) -> None:
    with pytest.raises(JobFailedError, match="content filter") as caught:
        submitted({"uuid": "u-1", "status": status, "error": {"message": "content filter"}})
    assert caught.value.remote_id == "u-1"
    assert caught.value.charged_usd is None


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "WHATEVER"])
def test_an_unfinished_record_is_in_doubt_unless_it_may_be_asked_about(status: str) -> None:
    record = {"uuid": "u-1", "status": status}

    with pytest.raises(InDoubtError) as caught:
        submitted(record)
    assert caught.value.remote_id == "u-1"
    assert submitted(record, poll_unfinished=True) == Submission(remote_id="u-1")


def test_a_record_that_may_be_asked_about_is() -> None:
    vendor = Vendor().answer("GET /api/features/u-1", {"aiRecord": RECORD | {"uuid": "u-1"}})

    async def main() -> Submission:
        async with provider("onemin", vendor, poll_unfinished=True) as onemin:
            assert onemin.capabilities.pollable
            return await onemin.poll("u-1")

    assert asyncio.run(main()).result is not None


@pytest.mark.parametrize(
    "result", [["images/x.png"], "images/x.png", [{"path": "images/x.png"}]], ids=["list", "string", "objects"]
)
def test_without_an_address_the_key_is_read_where_the_settings_say(result: object) -> None:
    record = RECORD | {"temporaryUrl": None, "aiRecordDetail": {"resultObject": result}}

    answer = submitted(record, asset_base_url="https://asset.1min.ai/")

    assert answer.result is not None
    assert answer.result.output_url == "https://asset.1min.ai/images/x.png"
    with pytest.raises(JobFailedError, match="without temporaryUrl") as caught:
        submitted(record)
    assert caught.value.code is ErrorCode.UNEXPECTED_ANSWER


def test_several_addresses_bring_the_first() -> None:
    answer = submitted(RECORD | {"temporaryUrl": None, "temporaryUrls": ["https://r.example/1", "https://r.example/2"]})

    assert answer.result is not None
    assert answer.result.output_url == "https://r.example/1"


def test_the_balance_is_what_the_last_answer_said() -> None:
    vendor = Vendor().answer(FEATURES, {"aiRecord": RECORD})

    async def main() -> tuple[Balance | None, Balance | None]:
        async with provider("onemin", vendor) as onemin:
            before = await onemin.balance()
            await onemin.submit(removal(), on_sent=unobserved)
            return before, await onemin.balance()

    assert asyncio.run(main()) == (None, Balance(credits=Decimal(99_950_000)))


def test_the_limits_of_the_model_behind_it_can_be_overridden() -> None:
    async def main(**own: object) -> tuple[int | None, int | None, int | None]:
        async with provider("onemin", Vendor(), **own) as onemin:
            limits = onemin.capabilities
            return limits.max_image_bytes, limits.max_side, limits.min_side

    assert asyncio.run(main()) == (10_000_000, 4096, 256)
    assert asyncio.run(main(max_image_bytes=5, max_side=None, min_side=1)) == (5, None, 1)
