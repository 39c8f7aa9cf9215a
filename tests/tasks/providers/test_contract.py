"""The same expectations of every adapter in the registry; one that is added without an entry in `expectations.py` fails here."""

import asyncio
import json
import pickle

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.error_codes import ErrorCode
from manifests.items import Item
from tasks.providers.base import EditRequest, Provider, Submission
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
from tasks.providers.registry import REGISTRY
from tests.tasks.providers.expectations import EXPECTATIONS, RESULT, vendor_of
from tests.tasks.providers.factories import KEY, PNG, Sent, Vendor, provider, removal, unobserved

EVERY = sorted(REGISTRY)
POLLABLE = sorted(key for key in EVERY if key in EXPECTATIONS and EXPECTATIONS[key].poll)
WAYS = [(key, way) for key in EVERY if key in EXPECTATIONS for way in EXPECTATIONS[key].requests]
SPOILT = {
    "empty": b"",
    "html": b"<html><title>Just a moment...</title></html>",
    "truncated": b'{"id": "01J0", "status_code": "que',
    "null": b"null",
    "array": b"[]",
    "number": b"17",
    "wrong types": json.dumps(
        {"id": {}, "status": 5, "status_code": [], "result": "x", "aiRecord": 7, "output": 3}
    ).encode(),
    "missing fields": b"{}",
    "not utf-8": b"\xff\xfe\x00{",
    "deep": b"[" * 100_000,
    "lone surrogate": b'{"id": "\\ud800", "status": "\\ud800"}',
}


async def edited(adapter: Provider, request: EditRequest, sent: Sent) -> tuple[Submission, bytes]:
    """The driver's order of calls."""
    submission = await adapter.submit(await adapter.prepare(request), on_sent=sent)
    while submission.result is None:
        submission = await adapter.poll(submission.remote_id or "")
    return submission, await adapter.fetch_output(submission)


def refusal(key: str, answer: object, request: EditRequest | None = None) -> ProviderError:
    """What the adapter raises when the charged request is answered so."""
    vendor = vendor_of(key).answer(EXPECTATIONS[key].submit, answer)

    async def main() -> None:
        async with provider(key, vendor) as adapter:
            await adapter.submit(request or removal(), on_sent=unobserved)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(main())
    return caught.value


def poll_refusal(key: str, answer: object) -> ProviderError:
    expected = EXPECTATIONS[key]
    vendor = vendor_of(key).answer(expected.poll or "", answer)

    async def main() -> None:
        async with provider(key, vendor) as adapter:
            await adapter.poll(expected.remote_id)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(main())
    return caught.value


def test_every_adapter_of_the_registry_has_expectations() -> None:
    assert sorted(EXPECTATIONS) == EVERY


@pytest.mark.parametrize("key", EVERY)
def test_every_way_of_asking_that_an_adapter_offers_is_exercised(key: str) -> None:
    async def main() -> Provider:
        async with provider(key, Vendor()) as adapter:
            return adapter

    adapter = asyncio.run(main())

    offered = {selector for offer in adapter.capabilities.offers for need in offer.selectors for selector in need}
    everything = Item(
        item_id="i",
        image_uri="u",
        mask_uri="m",
        points=((1, 1),),
        box=(0, 0, 1, 1),
        object_name="o",
        reference_uri="r",
        prompt="p",
    )
    assert adapter.key == key
    assert offered == set(EXPECTATIONS[key].requests)
    assert offered <= everything.selectors


@pytest.mark.parametrize(("key", "way"), WAYS)
def test_an_edit_goes_all_the_way(key: str, way: str) -> None:
    vendor, sent = vendor_of(key), Sent()

    async def main() -> tuple[Submission, bytes]:
        async with provider(key, vendor) as adapter:
            return await edited(adapter, EXPECTATIONS[key].requests[way], sent)

    submission, output = asyncio.run(main())

    assert output == PNG
    assert submission.remote_id
    assert sent.times == 1


@pytest.mark.parametrize("key", EVERY)
def test_the_key_goes_to_the_vendor_and_nowhere_else(key: str) -> None:
    """Results and signed upload addresses are asked for without it."""
    vendor, expected = vendor_of(key), EXPECTATIONS[key]

    async def main() -> None:
        async with provider(key, vendor) as adapter:
            await edited(adapter, removal(), Sent())

    asyncio.run(main())

    known = {expected.submit, expected.poll, *expected.uploads}
    to_vendor = [r for r in vendor.asked if f"{r.method} {r.url.path}" in known]
    elsewhere = [r for r in vendor.asked if f"{r.method} {r.url.path}" not in known]
    assert all(expected.carries_key(request) for request in to_vendor)
    assert elsewhere
    for request in elsewhere:
        everything = str(request.url) + str(request.headers.raw) + request.content.decode("latin-1")
        assert KEY not in everything


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (301, ProviderOffError),
        (400, RejectedItemError),
        (401, ProviderOffError),
        (402, OutOfCreditError),
        (403, ProviderOffError),
        (404, ProviderOffError),
        (408, TransientError),
        (409, InDoubtError),
        (413, RejectedItemError),
        (415, RejectedItemError),
        (422, RejectedItemError),
        (429, RateLimitedError),
        (500, InDoubtError),
        (502, InDoubtError),
        (503, TransientError),
        (504, InDoubtError),
        (521, TransientError),
        (524, InDoubtError),
    ],
)
def test_a_refused_charge_means_what_its_status_says(key: str, status: int, meaning: type[ProviderError]) -> None:
    error = refusal(key, httpx.Response(status, json={"detail": "no", "message": "no"}))

    assert type(error) is meaning
    assert str(status) in error.message


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_words_of_empty_accounts_outweigh_the_status(key: str, status: int) -> None:
    words = "Insufficient credits. Please add more credits to continue."

    assert isinstance(refusal(key, httpx.Response(status, json={"message": words})), OutOfCreditError)


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "7"}, {}, 7),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, {}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, {}, 0),
        ({}, {"retry_after": 30}, 30),
        ({}, {"retry_after": "2.5"}, 2.5),
        ({}, {"error": {"retry_after": 4}}, 4),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "9999999"}, {}, 86_400),
        ({"retry-after": "1e999"}, {}, None),
        ({"retry-after": "-3"}, {}, 0),
        ({}, {"retry_after": [1]}, None),
        ({}, {}, None),
    ],
)
def test_how_long_to_wait_is_read_from_header_or_body(
    key: str, headers: dict[str, str], body: dict[str, object], wait_s: float | None
) -> None:
    error = refusal(key, httpx.Response(429, headers=headers, json=body))

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("body", SPOILT.values(), ids=SPOILT.keys())
def test_a_good_status_with_a_spoilt_body_is_in_doubt_with_an_excerpt(key: str, body: bytes) -> None:
    """It was taken, so it may be charged; what was taken cannot be told."""
    error = refusal(key, httpx.Response(200, content=body))

    assert isinstance(error, InDoubtError)
    assert error.code is ErrorCode.UNEXPECTED_ANSWER
    assert len(error.message) < 500
    assert error.message.isprintable()
    assert "in the answer: " in error.message


@pytest.mark.parametrize("key", POLLABLE)
@pytest.mark.parametrize("body", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_answer_to_a_poll_is_asked_for_again(key: str, body: bytes) -> None:
    error = poll_refusal(key, httpx.Response(200, content=body))

    assert type(error) is TransientError
    assert error.code is ErrorCode.UNEXPECTED_ANSWER


@pytest.mark.parametrize("key", POLLABLE)
@pytest.mark.parametrize("status", [402, 404, 408, 409, 422, 500, 502, 503])
def test_no_answer_to_a_poll_says_that_the_job_was_not_charged(key: str, status: int) -> None:
    """What was accepted stays accepted: the ledger must not give its money back."""
    assert type(poll_refusal(key, httpx.Response(status, json={"message": "Insufficient credits"}))) is TransientError


@pytest.mark.parametrize("key", POLLABLE)
def test_a_poll_that_comes_too_often_or_with_a_wrong_key_says_so(key: str) -> None:
    assert isinstance(poll_refusal(key, httpx.Response(429, headers={"retry-after": "3"})), RateLimitedError)
    assert isinstance(poll_refusal(key, httpx.Response(401)), ProviderOffError)


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_echoed_key_or_signed_address_reaches_no_message(key: str, status: int) -> None:
    echo = f"bad key {KEY} for {RESULT} with Authorization: Bearer {KEY} " * 10
    error = refusal(key, httpx.Response(status, json={"message": echo, "detail": echo}))

    for text in (str(error), repr(error), error.message, str(error.__cause__), str(error.__context__)):
        assert KEY not in text
        assert "signed-part" not in text


@pytest.mark.parametrize("key", EVERY)
def test_errors_cross_process_borders_whole(key: str) -> None:
    error = refusal(key, httpx.Response(429, headers={"retry-after": "7"}))

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (type(copy), copy.message, copy.retry_after_s, copy.code) == (
        type(error),
        error.message,
        error.retry_after_s,
        error.code,
    )


@pytest.mark.parametrize("key", EVERY)
def test_an_expired_result_address_is_told_with_an_excerpt(key: str) -> None:
    page = httpx.Response(
        403,
        content=b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
    )
    vendor = vendor_of(key).answer("GET /1.png", page)

    async def main() -> None:
        async with provider(key, vendor) as adapter:
            await edited(adapter, removal(), Sent())

    with pytest.raises(JobFailedError, match="Request has expired") as caught:
        asyncio.run(main())
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED
    assert caught.value.remote_id
    assert "signed-part" not in caught.value.message


@pytest.mark.parametrize("key", EVERY)
def test_what_a_vendor_does_not_offer_is_refused_by_its_name(key: str) -> None:
    async def main() -> list[ProviderError]:
        async with provider(key, Vendor()) as adapter:
            capable = adapter.capabilities
            questions = [
                *([] if capable.batch_size > 1 else [adapter.submit_batch([removal()], on_sent=unobserved)]),
                *([] if capable.pollable or key == "onemin" else [adapter.poll("1")]),
                *([] if capable.findable or key == "runflow" else [adapter.find("1")]),
            ]
            answers = await asyncio.gather(*questions, return_exceptions=True)
            return [answer for answer in answers if isinstance(answer, ProviderError)]

    refused = asyncio.run(main())

    assert refused
    assert all(key in error.message for error in refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["success", "https://a.example/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["id", "status", "status_code", "output", "result", "outputs", "url", "job_id", "output_url", "aiRecord", "temporaryUrl",
         "message", "error", "uuid", "eta", "credits_used", "cost", "teamUser", "creditLimit", "usedCredit"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("key", EVERY)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answer=JSON, status=st.sampled_from([200, 201, 400, 429, 500, 503]))
def test_no_answer_makes_an_adapter_fail_otherwise_than_with_a_provider_error(
    key: str, answer: object, status: int
) -> None:
    vendor = vendor_of(key).answer(
        EXPECTATIONS[key].submit, httpx.Response(status, content=json.dumps(answer).encode())
    )

    async def main() -> Submission:
        async with provider(key, vendor) as adapter:
            return await adapter.submit(removal(), on_sent=unobserved)

    try:
        accepted = asyncio.run(main())
    except ProviderError:
        return
    assert accepted.remote_id or accepted.result
