import asyncio
from decimal import Decimal
from email.parser import BytesParser

import httpx
import pytest

from manifests.error_codes import ErrorCode
from tasks.providers.base import Balance, Submission
from tasks.providers.errors import (
    InDoubtError,
    JobFailedError,
    OutOfCreditError,
    ProviderError,
    RejectedItemError,
    TransientError,
)
from tests.tasks.providers.factories import Sent, Vendor, asset, picture, provider, removal, unobserved

SINGLE, BATCH = "POST /v1/services/object-removal", "POST /v1/services/object-removal/batch"
PAIRS = [removal(attempt_key=f"attempt-{n}", item_id=f"sku-{n}", image=asset("JPEG")) for n in range(3)]


def submitted(job: object, **own: object) -> Submission:
    async def main() -> Submission:
        async with provider("maskr", Vendor().answer(SINGLE, job), **own) as maskr:
            return await maskr.submit(removal(), on_sent=unobserved)

    return asyncio.run(main())


def batch(answer: object, vendor: Vendor | None = None, **own: object) -> list[Submission | ProviderError]:
    vendor = (vendor or Vendor()).answer(BATCH, answer)

    async def main() -> list[Submission | ProviderError]:
        async with provider("maskr", vendor, **own) as maskr:
            return await maskr.submit_batch(PAIRS, on_sent=unobserved)

    return asyncio.run(main())


def sent_names() -> list[str]:
    """The image file names that a batch of PAIRS goes out with."""
    vendor = Vendor()
    batch({"results": []}, vendor)
    [request] = vendor.at(BATCH)
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + request.content).get_payload()
    return [part.get_filename() for part in parts if part.get_param("name", header="content-disposition") == "images"]


def done(n: int, **more: object) -> dict[str, object]:
    return {
        "job_id": f"job-{n}",
        "status": "completed",
        "output_url": f"https://r.example/{n}",
        "credits_used": 3,
    } | more


def ids(answers: list[Submission | ProviderError]) -> list[str | None]:
    return [answer.remote_id if isinstance(answer, Submission) else type(answer).__name__ for answer in answers]


# A single job


@pytest.mark.parametrize("status", ["completed", "success"])
def test_both_words_for_a_finished_job_are_understood(status: str) -> None:
    nested = submitted({"status": status, "result": done(1, status=status)})
    flat = submitted(done(1, status=status))

    assert nested == flat
    assert nested.result is not None
    assert nested.result.credits == 3


@pytest.mark.parametrize("status", ["failed", "error"])
def test_a_failed_job_that_does_not_state_its_credits_counts_as_charged(status: str) -> None:
    with pytest.raises(JobFailedError, match="model exploded") as caught:
        submitted({"job_id": "j", "status": status, "result": None, "error": "model exploded"})
    assert caught.value.charged_usd is None
    assert caught.value.remote_id == "j"


def test_a_failed_job_is_charged_what_it_states() -> None:
    job = {"job_id": "j", "status": "failed", "error": "model exploded", "credits_used": 3}

    with pytest.raises(JobFailedError) as caught:
        submitted({"status": "failed", "result": job}, usd_per_credit="0.02")
    assert caught.value.charged_usd == Decimal("0.06")


@pytest.mark.parametrize("credits_used", [-3, 1e12, "many"])
def test_a_charge_that_cannot_be_meant_is_not_believed(credits_used: object) -> None:
    """A negative one would fill the budget up again."""
    with pytest.raises(JobFailedError) as caught:
        submitted({"job_id": "j", "status": "failed", "error": "x", "credits_used": credits_used})
    assert caught.value.charged_usd is None


def test_a_failed_job_is_free_where_the_settings_know_so() -> None:
    with pytest.raises(JobFailedError) as caught:
        submitted({"job_id": "j", "status": "failed", "error": "x"}, failures_charged=False)
    assert caught.value.charged_usd == 0


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_job_that_cannot_be_asked_about_is_in_doubt_under_its_id(status: str) -> None:
    """No document says how to poll: it may be charged, and it may be in the account's history."""
    with pytest.raises(InDoubtError, match=status) as caught:
        submitted({"job_id": "j-7", "status": status, "result": None, "error": None})
    assert caught.value.remote_id == "j-7"


def test_a_finished_job_without_an_address_is_in_doubt() -> None:
    with pytest.raises(InDoubtError) as caught:
        submitted({"status": "completed", "result": done(1, output_url=None)})
    assert caught.value.code is ErrorCode.UNEXPECTED_ANSWER


def test_points_without_labels_all_mark_the_object() -> None:
    vendor = Vendor().answer(SINGLE, done(1))

    async def main() -> None:
        async with provider("maskr", vendor) as maskr:
            await maskr.submit(removal(mask=None, points=((1, 2), (3, 4))), on_sent=unobserved)

    asyncio.run(main())

    assert vendor.asked[0].url.params["labels"] == "[1,1]"


def test_a_mask_outweighs_prompts() -> None:
    vendor = Vendor().answer(SINGLE, done(1))

    async def main() -> None:
        async with provider("maskr", vendor) as maskr:
            await maskr.submit(removal(points=((1, 2),), box=(1, 2, 3, 4)), on_sent=unobserved)

    asyncio.run(main())

    assert not vendor.asked[0].url.query


# A batch


def test_a_batch_goes_out_as_matching_pairs_under_unique_names() -> None:
    names = sent_names()

    assert len(set(names)) == len(PAIRS)
    assert all(name.endswith(".jpg") for name in names)
    assert names == sent_names()


def test_results_without_names_are_matched_by_position() -> None:
    assert ids(batch({"results": [done(0), done(1), done(2)]})) == ["job-0", "job-1", "job-2"]


def test_results_with_our_names_are_matched_by_name_in_any_order() -> None:
    names = sent_names()
    shuffled = [done(n, input_filename=names[n]) for n in (2, 0, 1)]

    assert ids(batch({"results": shuffled})) == ["job-0", "job-1", "job-2"]


def test_a_named_result_that_is_missing_leaves_only_its_own_pair_in_doubt() -> None:
    names = sent_names()
    answers = batch({"batch_id": "b-1", "results": [done(n, input_filename=names[n]) for n in (2, 0)]})

    assert ids(answers) == ["job-0", "InDoubtError", "job-2"]
    lost = answers[1]
    assert isinstance(lost, InDoubtError)
    assert lost.remote_id == "b-1"
    assert "3 pairs were sent, 2 results came" in lost.message


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_unnamed_results_of_another_count_are_nobodys(count: int) -> None:
    """A wrong guess would deliver another product's picture."""
    answers = batch({"results": [done(n) for n in range(count)]})

    assert ids(answers) == ["InDoubtError"] * 3


def test_one_name_given_twice_makes_all_names_worthless() -> None:
    names = sent_names()
    answers = batch({"results": [done(n, input_filename=names[0]) for n in range(3)]})

    assert ids(answers) == ["InDoubtError"] * 3


def test_names_that_are_not_ours_count_as_none() -> None:
    answers = batch({"results": [done(n, input_filename=f"upload-{n}.jpg") for n in range(3)]})

    assert ids(answers) == ["job-0", "job-1", "job-2"]


@pytest.mark.parametrize("results", [[1, 2, 3], [None, [], "x"], [{}, {}, {}]])
def test_results_that_are_none_leave_each_pair_in_doubt(results: list[object]) -> None:
    assert ids(batch({"results": results})) == ["InDoubtError"] * 3


def test_one_bad_pair_does_not_sink_its_neighbours() -> None:
    bad = {"job_id": "job-1", "status": "failed", "error": "mask does not match image", "credits_used": None}

    answers = batch({"results": [done(0), bad, done(2)], "completed": 2, "failed": 1})

    assert ids(answers) == ["job-0", "JobFailedError", "job-2"]


def test_pairs_that_found_the_account_empty_say_so_uncharged() -> None:
    empty = {"job_id": None, "status": "failed", "error": "Insufficient credits"}

    answers = batch({"results": [done(0), empty, empty]})

    assert ids(answers) == ["job-0", "OutOfCreditError", "OutOfCreditError"]


def test_a_pair_refused_without_charge_may_go_elsewhere() -> None:
    bad = {"status": "error", "error": "Invalid image file", "credits_used": 0}

    assert isinstance(batch({"results": [done(0), bad, done(2)]})[1], RejectedItemError)


def test_a_batch_that_failed_as_one_tells_so_for_each() -> None:
    answers = batch(
        {"batch_id": "b", "status": "failed", "results": [], "error": "worker lost", "total_credits_used": 0}
    )

    assert ids(answers) == ["JobFailedError"] * 3
    assert all(isinstance(answer, JobFailedError) and answer.charged_usd == 0 for answer in answers)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(400, RejectedItemError), (402, OutOfCreditError), (413, RejectedItemError), (503, TransientError)],
)
def test_a_batch_that_is_refused_whole_raises(status: int, meaning: type[Exception]) -> None:
    with pytest.raises(meaning):
        batch(httpx.Response(status, json={"detail": "no"}))


def test_a_batch_may_take_longer_than_a_single_request() -> None:
    seen: list[dict[str, float]] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json={"results": [done(n) for n in range(3)]})

    async def main() -> None:
        async with provider("maskr", vendor, request_timeout_s=30, batch_timeout_s=400) as maskr:
            await maskr.submit_batch(PAIRS, on_sent=Sent())

    asyncio.run(main())

    assert (seen[0]["read"], seen[0]["connect"]) == (400, 10)


def test_the_batch_endpoint_takes_what_the_seed_says() -> None:
    async def main(**own: object) -> tuple[int, int | None]:
        async with provider("maskr", Vendor(), **own) as maskr:
            return maskr.capabilities.batch_size, maskr.capabilities.max_image_bytes

    assert asyncio.run(main()) == (50, 25_000_000)
    assert asyncio.run(main(batch_size=1, max_image_bytes=10)) == (1, 10)


# The account


@pytest.mark.parametrize("answer", [{"total_credits": 120, "plan_name": "pro"}, {"credits": "120", "plan": "pro"}])
def test_a_balance_is_asked_for_where_an_address_is_configured(answer: dict) -> None:
    vendor = Vendor().answer("GET /billing/balance", answer)

    async def main(**own: object) -> Balance | None:
        async with provider("maskr", vendor, **own) as maskr:
            return await maskr.balance()

    assert asyncio.run(main()) is None
    assert vendor.asked == []
    assert asyncio.run(main(balance_url="https://billing.maskr.io/billing/balance")) == Balance(credits=Decimal(120))


def test_pictures_of_every_kind_keep_their_media_type() -> None:
    vendor = Vendor().answer(SINGLE, done(1))

    async def main() -> None:
        async with provider("maskr", vendor) as maskr:
            for fmt in ("PNG", "JPEG", "WEBP"):
                await maskr.submit(removal(image=asset(fmt)), on_sent=unobserved)

    asyncio.run(main())

    for request, fmt in zip(vendor.asked, ("png", "jpeg", "webp"), strict=True):
        assert f"Content-Type: image/{fmt}".encode() in request.content
        assert picture(fmt.upper()) in request.content
