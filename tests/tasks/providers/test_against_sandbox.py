"""Each adapter against the sandbox over real HTTP: the two were written apart, from the same documents."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from manifests.error_codes import ErrorCode
from tasks.callbacks import make_app
from tasks.callbacks.server import address_of, listen, serve
from tasks.config import load_settings
from tasks.config.services import CallbackSettings
from tasks.providers.base import Asset, Balance, EditRequest, Provider, Submission
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
from tasks.providers.registry import REGISTRY, make_providers
from tasks.providers.sandbox.bill import fingerprint
from tasks.providers.sandbox.config import ModelsLabConfig, RunflowConfig, SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess
from tests.tasks.providers.expectations import EXPECTATIONS
from tests.tasks.providers.factories import Sent, removal, replacement, unobserved

EVERY = sorted(REGISTRY)
SIZE = (96, 64)
HOLE = (slice(20, 40), slice(30, 60))
CALLBACK_SECRET = "whsec_sandbox0123456789"
TOKEN = "tok-0123456789abcdef0123"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    config = SandboxConfig(
        engine="quick",
        runflow=RunflowConfig(callback_secret=CALLBACK_SECRET, queue_s=0.01),
        modelslab=ModelsLabConfig(processing_s=0.05, output_format="png"),
    )
    with SandboxProcess(config) as process:
        yield process


@pytest.fixture(autouse=True)
def no_faults(sandbox: SandboxProcess) -> Iterator[None]:
    yield
    sandbox.clear_faults()


def png(array: np.ndarray) -> Asset:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return Asset(data=out.getvalue(), media_type="image/png", width=array.shape[1], height=array.shape[0])


def photo(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def hole() -> np.ndarray:
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[HOLE] = 255
    return mask


def asked(seed: int = 0, **changes: object) -> EditRequest:
    """A removal by mask of a picture of its own."""
    name = uuid4().hex
    given = {"attempt_key": f"key-{name}", "item_id": f"sku-{name}", "image": png(photo(seed)), "mask": png(hole())}
    return removal(**(given | changes))


@asynccontextmanager
async def adapter(key: str, sandbox: SandboxProcess, **own: object) -> AsyncIterator[Provider]:
    """With an account of its own, so that tests do not see each other's bill."""
    settings = load_settings(
        allow_private_hosts=True,
        providers={key: {"base_url": f"{sandbox.url}/{key}", "api_key": f"key-{uuid4().hex}", **own}},
    )
    made = make_providers([key], settings)[key]
    try:
        yield made
    finally:
        await made.aclose()


async def finished(provider: Provider, submission: Submission) -> Submission:
    async with asyncio.timeout(20):
        while submission.result is None:
            await asyncio.sleep(0.02)
            submission = await provider.poll(submission.remote_id or "")
    return submission


async def edited(provider: Provider, request: EditRequest, sent: Sent | None = None) -> tuple[Submission, bytes]:
    """The driver's order of calls."""
    accepted = await provider.submit(await provider.prepare(request), on_sent=sent or Sent())
    submission = await finished(provider, accepted)
    return submission, await provider.fetch_output(submission)


def error_of(key: str, sandbox: SandboxProcess, request: EditRequest | None = None, **own: object) -> ProviderError:
    """What a whole edit ends with."""

    async def main() -> None:
        async with adapter(key, sandbox, **own) as provider:
            await edited(provider, request or asked())

    with pytest.raises(ProviderError) as caught:
        asyncio.run(main())
    return caught.value


def charges(sandbox: SandboxProcess, key: str) -> int:
    return int(sandbox.bill(vendor=key, entries=False)["charges"])


# All goes well


WAYS = [
    ("runflow", "mask", {}),
    ("runflow", "mask", {"zip_hosting": "inline"}),
    ("runflow", "mask", {"asset_reference": "runflow"}),
    ("maskr", "mask", {}),
    ("maskr", "points", {}),
    ("maskr", "box", {}),
    ("modelslab", "mask", {}),
    ("modelslab", "text", {}),
    ("onemin", "mask", {}),
    ("onemin", "mask", {"object_removal_model": "stable-image"}),
]


@pytest.mark.parametrize(("key", "way", "own"), WAYS)
def test_an_object_is_removed_and_charged_once(key: str, way: str, own: dict, sandbox: SandboxProcess) -> None:
    selections = {
        "mask": {},
        "points": {"mask": None, "points": ((45, 30), (2, 2)), "labels": (1, 0)},
        "box": {"mask": None, "box": (30, 20, 60, 40)},
        "text": {"mask": None, "object_name": "sofa"},
    }
    request, sent, before = asked(**selections[way]), Sent(), charges(sandbox, key)

    async def main() -> tuple[Submission, bytes]:
        async with adapter(key, sandbox, **own) as provider:
            return await edited(provider, request, sent)

    submission, output = asyncio.run(main())

    result = Image.open(io.BytesIO(output))
    assert result.size == SIZE
    assert not np.array_equal(np.asarray(result.convert("RGB")), photo())
    assert submission.remote_id
    assert sent.times == 1
    assert charges(sandbox, key) == before + 1
    assert not sandbox.requests()["keys_leaked"]


def test_every_way_that_the_registry_offers_is_tried_above() -> None:
    removals = {(key, way) for key in EVERY for way in EXPECTATIONS[key].requests if way not in ("reference", "prompt")}

    assert {(key, way) for key, way, _ in WAYS} == removals


@pytest.mark.parametrize("key", ["runflow", "onemin"])
def test_a_background_is_replaced_and_charged_once(key: str, sandbox: SandboxProcess) -> None:
    before = charges(sandbox, key)
    picture = {"image": png(photo()), "mask": png(hole()), "reference": png(photo(7))}
    request = replacement(**picture) if key == "runflow" else replacement(**(picture | {"mask": None}))

    async def main() -> bytes:
        async with adapter(key, sandbox) as provider:
            return (await edited(provider, request))[1]

    assert Image.open(io.BytesIO(asyncio.run(main()))).size == SIZE
    assert charges(sandbox, key) == before + 1


def test_what_providers_say_that_they_charged_is_what_their_bill_says(sandbox: SandboxProcess) -> None:
    async def main(key: str) -> Submission:
        async with adapter(key, sandbox) as provider:
            return (await edited(provider, asked()))[0]

    runflow, maskr = asyncio.run(main("runflow")).result, asyncio.run(main("maskr")).result
    assert runflow is not None
    assert maskr is not None

    assert runflow.cost_usd == Decimal("0.48")
    assert maskr.credits == 3


# Batches


@pytest.mark.parametrize("fault", [None, "batch_shuffled"])
def test_a_batch_brings_each_product_its_own_picture(fault: str | None, sandbox: SandboxProcess) -> None:
    """Also when the vendor answers in another order: the pixels outside the mask tell whose it is."""
    requests = [asked(seed) for seed in range(8)]
    before = charges(sandbox, "maskr")
    if fault:
        sandbox.faults({"kind": fault})

    async def main() -> list[bytes]:
        async with adapter("maskr", sandbox) as maskr:
            answers = await maskr.submit_batch(requests, on_sent=unobserved)
            return [await maskr.fetch_output(a) for a in answers if isinstance(a, Submission)]

    outputs = asyncio.run(main())

    assert charges(sandbox, "maskr") == before + 8
    outside = hole() == 0
    for seed, output in enumerate(outputs):
        got = np.asarray(Image.open(io.BytesIO(output)).convert("RGB"))
        assert np.array_equal(got[outside], photo(seed)[outside])


def test_a_batch_that_comes_back_short_leaves_only_the_missing_in_doubt(sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "batch_short"})
    requests = [asked(seed) for seed in range(5)]

    async def main() -> list[Submission | ProviderError]:
        async with adapter("maskr", sandbox) as maskr:
            return await maskr.submit_batch(requests, on_sent=unobserved)

    answers = asyncio.run(main())

    doubted = [answer for answer in answers if isinstance(answer, InDoubtError)]
    assert 1 <= len(doubted) < 5
    assert len(doubted) + sum(isinstance(answer, Submission) for answer in answers) == 5


def test_an_account_that_runs_dry_inside_a_batch_says_so_for_the_rest(sandbox: SandboxProcess) -> None:
    requests = [asked(seed) for seed in range(5)]

    async def main() -> list[Submission | ProviderError]:
        async with adapter("maskr", sandbox, api_key="dry-key") as maskr:
            await edited(maskr, asked())  # opens the account
            sandbox.add_credits("maskr", Decimal(6) - 999_997, account=fingerprint("dry-key"))
            return await maskr.submit_batch(requests, on_sent=unobserved)

    answers = asyncio.run(main())

    assert [type(answer) for answer in answers] == [Submission] * 2 + [OutOfCreditError] * 3


# Refusals


@pytest.mark.parametrize("key", EVERY)
def test_a_wrong_key_switches_the_provider_off(key: str, sandbox: SandboxProcess) -> None:
    before = charges(sandbox, key)

    error = error_of(key, sandbox, api_key="wrong-key")

    assert isinstance(error, ProviderOffError)
    assert error.code is ErrorCode.AUTHENTICATION
    assert "wrong-key" not in error.message
    assert charges(sandbox, key) == before


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize(
    ("status", "meaning"),
    [(402, OutOfCreditError), (429, RateLimitedError), (500, InDoubtError), (503, TransientError)],
)
def test_a_status_means_the_same_at_every_vendor(
    key: str, status: int, meaning: type[ProviderError], sandbox: SandboxProcess
) -> None:
    sandbox.faults({"kind": "status", "status": status, "endpoint": "submit", "vendor": key})
    before = charges(sandbox, key)

    assert isinstance(error_of(key, sandbox), meaning)
    assert charges(sandbox, key) == before


@pytest.mark.parametrize("key", EVERY)
def test_when_to_come_back_is_read_wherever_the_vendor_states_it(key: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "status", "status": 429, "endpoint": "submit", "vendor": key, "retry_after_s": 7})

    error = error_of(key, sandbox)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s in (7, None if key == "runflow" else 7)  # its 429s carry no header


@pytest.mark.parametrize(
    ("key", "request_"),
    [
        ("maskr", {"mask": png(hole()[:10])}),
        ("modelslab", {"image": Asset(data=b"no picture", media_type="image/png", width=1, height=1)}),
        ("onemin", {"mask": png(hole()[:10])}),
    ],
)
def test_a_picture_that_a_vendor_will_not_take_is_refused_uncharged(
    key: str, request_: dict, sandbox: SandboxProcess
) -> None:
    before = charges(sandbox, key)

    error = error_of(key, sandbox, asked(**request_))

    assert isinstance(error, RejectedItemError | JobFailedError)
    assert charges(sandbox, key) == before


# Broken connections and answers


@pytest.mark.parametrize("key", EVERY)
def test_a_connection_dropped_after_the_charge_is_in_doubt(key: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "drop_after", "endpoint": "submit", "vendor": key})

    assert isinstance(error_of(key, sandbox), InDoubtError)


@pytest.mark.parametrize("key", EVERY)
def test_a_connection_dropped_before_the_charge_is_in_doubt_if_the_request_had_left(
    key: str, sandbox: SandboxProcess
) -> None:
    """From here it looks the same as after the charge; only where the body had not left yet is it known to be free."""
    sandbox.faults({"kind": "drop_before", "endpoint": "submit", "vendor": key})
    sent, before = Sent(), charges(sandbox, key)

    async def main() -> None:
        async with adapter(key, sandbox) as provider:
            await edited(provider, asked(), sent)

    with pytest.raises(InDoubtError if key != "maskr" else (InDoubtError, TransientError)) as caught:
        asyncio.run(main())
    assert isinstance(caught.value, InDoubtError) == (sent.times == 1)
    assert charges(sandbox, key) == before


@pytest.mark.parametrize("key", EVERY)
def test_an_answer_that_hangs_is_in_doubt(key: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "hang_after", "endpoint": "submit", "vendor": key, "seconds": 30})

    error = error_of(key, sandbox, request_timeout_s=0.7)

    assert isinstance(error, InDoubtError)
    assert "no answer in time" in error.message


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("kind", ["malformed_json", "html", "truncated_body"])
def test_a_spoilt_answer_to_a_charged_request_is_in_doubt(key: str, kind: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": kind, "endpoint": "submit", "vendor": key})

    assert isinstance(error_of(key, sandbox), InDoubtError)


@pytest.mark.parametrize("key", ["runflow", "modelslab"])
@pytest.mark.parametrize("kind", ["malformed_json", "html", "truncated_body", "drop_before", "status"])
def test_polls_survive_what_goes_wrong_once(key: str, kind: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": kind, "endpoint": "poll", "vendor": key, "count": 1})

    async def main() -> list[str]:
        async with adapter(key, sandbox) as provider:
            job = await provider.submit(await provider.prepare(asked()), on_sent=unobserved)
            heard: list[str] = []
            async with asyncio.timeout(20):
                while job.result is None:
                    try:
                        job = await provider.poll(job.remote_id or "")
                    except TransientError as error:
                        heard.append(type(error).__name__)
            return heard

    assert asyncio.run(main()) == ["TransientError"]


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("kind", ["html", "truncated_body", "drop_after"])
def test_a_download_that_goes_wrong_once_is_fetched_again(key: str, kind: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": kind, "endpoint": "download", "vendor": key, "count": 1})

    async def main() -> tuple[ProviderError | None, bytes]:
        async with adapter(key, sandbox) as provider:
            job = await finished(provider, await provider.submit(await provider.prepare(asked()), on_sent=unobserved))
            first: ProviderError | None = None
            try:
                await provider.fetch_output(job)
            except TransientError as error:
                first = error
            return first, await provider.fetch_output(job)

    first, output = asyncio.run(main())

    assert first is not None
    assert first.code is ErrorCode.DOWNLOAD_FAILED
    assert Image.open(io.BytesIO(output)).size == SIZE


def test_an_address_that_is_over_is_renewed_where_the_vendor_signs_anew(sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "expired_url", "vendor": "runflow"})

    async def main() -> bytes:
        async with adapter("runflow", sandbox) as runflow:
            return (await edited(runflow, asked()))[1]

    assert Image.open(io.BytesIO(asyncio.run(main()))).size == SIZE


@pytest.mark.parametrize("key", ["maskr", "modelslab", "onemin"])
def test_an_address_that_is_over_is_told_apart(key: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "expired_url", "vendor": key})

    error = error_of(key, sandbox)

    assert isinstance(error, JobFailedError)
    assert error.code is ErrorCode.DOWNLOAD_FAILED


@pytest.mark.parametrize("key", EVERY)
def test_a_failed_job_is_told_and_not_charged_by_the_vendor(key: str, sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "item_failure", "vendor": key})
    before = charges(sandbox, key)

    assert isinstance(error_of(key, sandbox), JobFailedError)
    assert charges(sandbox, key) == before


def test_a_job_that_never_ends_stays_open_to_questions(sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "stuck_job", "vendor": "runflow"})

    async def main() -> list[Submission]:
        async with adapter("runflow", sandbox) as runflow:
            job = await runflow.submit(await runflow.prepare(asked()), on_sent=unobserved)
            return [await runflow.poll(job.remote_id or "") for _ in range(3)]

    assert all(job.result is None for job in asyncio.run(main()))


# Lost answers


def test_a_lost_run_is_found_by_its_reference_and_charged_once(sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "drop_after", "endpoint": "submit", "vendor": "runflow", "count": 1})
    request, before = asked(), charges(sandbox, "runflow")

    async def main() -> tuple[Submission, Submission | None]:
        async with adapter("runflow", sandbox, find_query="client_ref.EQ:'{client_ref}'") as runflow:
            prepared = await runflow.prepare(request)
            with pytest.raises(InDoubtError):
                await runflow.submit(prepared, on_sent=unobserved)
            found = await runflow.find(request.attempt_key)
            assert found is not None
            return await finished(runflow, found), await runflow.find("never-sent")

    found, never = asyncio.run(main())

    assert found.result is not None
    assert never is None
    assert charges(sandbox, "runflow") == before + 1


def test_the_same_attempt_again_is_the_same_run(sandbox: SandboxProcess) -> None:
    before = charges(sandbox, "runflow")

    async def main() -> list[str | None]:
        async with adapter("runflow", sandbox) as runflow:
            prepared = await runflow.prepare(asked())
            jobs = [await runflow.submit(prepared, on_sent=unobserved) for _ in range(3)]
            await finished(runflow, jobs[0])
            return [job.remote_id for job in jobs]

    assert len(set(asyncio.run(main()))) == 1
    assert charges(sandbox, "runflow") == before + 1


def test_the_same_attempt_with_another_body_is_told_as_taken(sandbox: SandboxProcess) -> None:
    async def main() -> None:
        async with adapter("runflow", sandbox) as runflow:
            request = asked()
            await runflow.submit(await runflow.prepare(request), on_sent=unobserved)
            await runflow.submit(await runflow.prepare(request), on_sent=unobserved)  # another upload: another address

    with pytest.raises(InDoubtError, match="409"):
        asyncio.run(main())


# Callbacks


class Box:
    def __init__(self) -> None:
        self.kept: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()

    async def put(self, provider: str, remote_id: str, payload: str) -> None:
        await self.kept.put((provider, remote_id, payload))


@asynccontextmanager
async def receiver(box: Box) -> AsyncIterator[CallbackSettings]:
    """A real receiver on the loopback."""
    own = CallbackSettings(port=0, secrets=[CALLBACK_SECRET], modelslab_tokens=[TOKEN])  # type: ignore[list-item]
    listener = listen(own)
    serving = asyncio.create_task(serve(make_app(own, box), listener))
    try:
        yield own.model_copy(update={"public_url": address_of(listener)})
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.mark.parametrize(("key", "way"), [("runflow", {}), ("modelslab", {}), ("modelslab", {"mask": None, "object_name": "sofa"})])  # fmt: skip
def test_a_callback_arrives_under_the_id_that_the_run_waits_for(key: str, way: dict, sandbox: SandboxProcess) -> None:
    async def main() -> tuple[Submission, tuple[str, str, str]]:
        box = Box()
        async with receiver(box) as own, adapter(key, sandbox) as provider:
            request = asked(callback_url=own.url_for(key), **way)
            job = await provider.submit(await provider.prepare(request), on_sent=unobserved)
            async with asyncio.timeout(20):
                kept = await box.kept.get()
            return await provider.poll(job.remote_id or ""), kept

    job, (name, remote_id, payload) = asyncio.run(main())

    assert (name, remote_id) == (key, job.remote_id)
    assert json.loads(payload)["status"] in ("succeeded", "success")
    assert job.result is not None


def test_a_forged_callback_of_a_real_run_is_not_kept(sandbox: SandboxProcess) -> None:
    sandbox.faults({"kind": "callback_forged", "vendor": "runflow", "count": 1})

    async def main() -> list[tuple[str, str, str]]:
        box = Box()
        async with receiver(box) as own, adapter("runflow", sandbox) as runflow:
            for _ in range(2):
                request = asked(callback_url=own.url_for("runflow"))
                await finished(runflow, await runflow.submit(await runflow.prepare(request), on_sent=unobserved))
            async with asyncio.timeout(20):
                first = await box.kept.get()
            return [first, *([] if box.kept.empty() else [box.kept.get_nowait()])]

    assert len(asyncio.run(main())) == 1


# Accounts


@pytest.mark.parametrize(
    ("key", "balance"),
    [
        ("runflow", Balance(usd=Decimal("999999.52"))),
        ("modelslab", Balance(usd=Decimal("999999.98"))),
    ],
)
def test_a_balance_is_what_is_left(key: str, balance: Balance, sandbox: SandboxProcess) -> None:
    async def main() -> Balance | None:
        async with adapter(key, sandbox) as provider:
            await edited(provider, asked())
            return await provider.balance()

    assert asyncio.run(main()) == balance


def test_a_sandbox_that_is_not_there_was_not_charged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def main() -> None:
        settings = load_settings(providers={"maskr": {"base_url": url, "api_key": "any"}}, allow_private_hosts=True)
        await make_providers(["maskr"], settings)["maskr"].submit(asked(), on_sent=unobserved)

    with pytest.raises(TransientError):
        asyncio.run(main())


def test_results_on_this_machine_are_refused_unless_allowed(sandbox: SandboxProcess) -> None:
    async def main() -> None:
        settings = load_settings(providers={"maskr": {"base_url": f"{sandbox.url}/maskr", "api_key": uuid4().hex}})
        maskr = make_providers(["maskr"], settings)["maskr"]
        await edited(maskr, asked())

    with pytest.raises(JobFailedError, match=r"refused to connect.*not https"):
        asyncio.run(main())
