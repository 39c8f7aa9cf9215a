"""Every kind of fault does what its name says, is counted, and is charged or not as documented."""

import asyncio
import json
import time

import httpx
import numpy as np
import pytest
from pydantic import ValidationError

from tasks.providers.sandbox.bill import fingerprint
from tasks.providers.sandbox.callbacks import signature
from tasks.providers.sandbox.config import MaskrConfig, ModelsLabConfig, RunflowConfig, SandboxConfig
from tasks.providers.sandbox.faults import Endpoint, Fault, FaultBox, FaultKind
from tests.tasks.providers.sandbox.harness import (
    BEARER,
    HEIGHT,
    OBJECT_REMOVAL,
    PAIR,
    WIDTH,
    Inside,
    MovableClock,
    as_pixels,
    host,
    inside,
    pairs,
    scene,
    selection,
)

PROVED = set()


def proves(*kinds):
    """Marks a test as the proof of these kinds; the last test misses those without one."""
    PROVED.update(kinds)
    return pytest.mark.parametrize("kind", kinds)


async def edited(sandbox: Inside) -> np.ndarray:
    """The picture of one good request."""
    answer = await sandbox.remove_object()
    return as_pixels((await sandbox.get(answer.json()["result"]["output_url"])).content)


@proves(FaultKind.STATUS, FaultKind.OUTAGE)
def test_a_refusal_is_said_in_the_vendor_s_shape_before_anything_is_charged(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind, status=503, retry_after_s=7)

            maskr = await sandbox.remove_object()
            assert (maskr.status_code, maskr.headers["Retry-After"]) == (503, "7")
            assert maskr.json() == {"detail": "Service temporarily unavailable"}
            runflow = await sandbox.create_run()
            assert (runflow.status_code, runflow.json()["code"]) == (503, "MODEL_UNAVAILABLE")
            modelslab = await sandbox.remove_by_words()
            assert (modelslab.status_code, modelslab.json()["retry_after"]) == (503, 7)
            assert (await sandbox.bill())["accounts"] == []
            assert await sandbox.injected() == {kind: 3}

    asyncio.run(run())


@proves(FaultKind.LATENCY)
def test_latency_passes_before_the_answer(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind, seconds=12, endpoint="submit")
            before_s = sandbox.clock.passed_s

            assert (await sandbox.remove_object()).status_code == 200
            assert sandbox.clock.passed_s - before_s == 12

    asyncio.run(run())


@proves(FaultKind.HTML)
def test_a_page_comes_instead_of_the_answer_after_the_charge(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            answer = await sandbox.remove_object()

            assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (502, "text/html")
            assert answer.text.startswith("<!DOCTYPE html>")
            assert (await sandbox.bill())["charges"] == 1

    asyncio.run(run())


@proves(FaultKind.MALFORMED_JSON)
def test_json_breaks_off_after_the_charge(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            answer = await sandbox.remove_object()

            assert answer.status_code == 200
            with pytest.raises(json.JSONDecodeError):
                answer.json()
            assert (await sandbox.bill())["charges"] == 1

    asyncio.run(run())


@proves(FaultKind.BLANK, FaultKind.UNCHANGED, FaultKind.PLACEHOLDER, FaultKind.SHIFTED_COLOUR, FaultKind.COLOUR_DRIFT)
def test_pictures_of_the_right_size_come_back_wrong(kind):
    async def run():
        async with inside() as sandbox:
            good = await edited(sandbox)
            await sandbox.fault(kind=kind)
            bad = await edited(sandbox)

            assert bad.shape == good.shape
            assert not (bad == good).all()
            unlike = np.abs(bad.astype(int) - good)[selection() == 0]
            expected = {
                FaultKind.BLANK: (bad == 255).all(),
                FaultKind.UNCHANGED: (bad == scene()).all(),
                FaultKind.PLACEHOLDER: np.median(bad) == 204,
                FaultKind.SHIFTED_COLOUR: (unlike == [24, 0, 0]).all(),
                FaultKind.COLOUR_DRIFT: unlike.mean() > 1 and unlike.max() < 16,
            }
            assert expected[kind]
            assert (await sandbox.bill())["charges"] == 2

    asyncio.run(run())


@proves(FaultKind.SHIFTED_POSITION)
def test_a_picture_comes_back_moved(kind):
    async def run():
        async with inside() as sandbox:
            good = await edited(sandbox)
            await sandbox.fault(kind=kind)
            bad = await edited(sandbox)

            rows, columns = round(HEIGHT * 0.02), round(WIDTH * 0.02)
            assert (bad[rows:, columns:] == good[:-rows, :-columns]).all()

    asyncio.run(run())


@proves(FaultKind.WRONG_SIZE)
def test_a_picture_comes_back_in_half_its_size_and_the_answer_owns_up(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            result = (await sandbox.remove_object()).json()["result"]

            assert (result["output_width"], result["output_height"]) == (WIDTH // 2, HEIGHT // 2)
            picture = as_pixels((await sandbox.get(result["output_url"])).content)
            assert picture.shape[:2] == (HEIGHT // 2, WIDTH // 2)

    asyncio.run(run())


@proves(FaultKind.NOT_A_PICTURE, FaultKind.TRUNCATED_PICTURE)
def test_the_delivered_file_cannot_be_decoded(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            with pytest.raises(OSError, match=r"identify|truncated"):
                await edited(sandbox)

    asyncio.run(run())


@proves(FaultKind.EXPIRED_URL)
def test_an_address_is_over_when_it_is_given(kind):
    """At Runflow who asks again gets one that is signed anew."""

    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            answer = (await sandbox.remove_object()).json()
            assert (await sandbox.get(answer["result"]["output_url"])).status_code == 403

            first = await sandbox.finished_run()
            assert (await sandbox.get(first["output"]["outputs"][0]["url"])).status_code == 403
            again = (await sandbox.get(f"/runflow/v1/runs/{first['id']}", headers=BEARER)).json()
            assert (await sandbox.get(again["output"]["outputs"][0]["url"])).status_code == 200

    asyncio.run(run())


@proves(FaultKind.ITEM_FAILURE)
def test_one_picture_fails_uncharged_at_each_vendor(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            single = (await sandbox.remove_object()).json()
            assert (single["status"], single["error"]) == ("failed", "Processing failed")
            run = await sandbox.finished_run()
            assert (run["status_code"], run["failure_code"]) == ("failed", "INFERENCE_FAILED")
            assert (await sandbox.remove_by_words()).json()["status"] == "error"
            assert (await sandbox.erase()).json()["aiRecord"]["status"] == "FAILED"
            bill = await sandbox.bill()
            assert bill["charges"] == 0
            assert all(float(account["held"]) == 0 for account in bill["accounts"])

    asyncio.run(run())


def test_a_batch_fails_in_part():
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind="item_failure", endpoint="batch", match=r"photo-[13]\.png")
            answer = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(5), headers=BEARER)).json()

            failed = [result["input_filename"] for result in answer["results"] if result["status"] == "failed"]
            assert failed == ["photo-1.png", "photo-3.png"]
            assert (answer["completed"], answer["failed"], answer["total_credits_used"]) == (3, 2, 9)
            assert (await sandbox.bill())["credits"] == "9"

    asyncio.run(run())


@proves(FaultKind.STUCK_JOB)
def test_a_job_never_ends(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            assert (await sandbox.finished_run())["status_code"] == "queued"
            assert (await sandbox.remove_by_words()).json()["status"] == "processing"
            assert (await sandbox.remove_object()).json()["status"] == "processing"
            assert (await sandbox.erase()).json()["aiRecord"]["status"] == "PROCESSING"
            assert (await sandbox.bill())["charges"] == 0

    asyncio.run(run())


@proves(FaultKind.BATCH_SHUFFLED, FaultKind.BATCH_SHORT)
def test_a_batch_answers_out_of_order_or_for_too_few(kind):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind=kind)
            answer = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=pairs(4), headers=BEARER)).json()

            names = [result["input_filename"] for result in answer["results"]]
            straight = [f"photo-{number}.png" for number in range(4)]
            assert names == (straight[::-1] if kind is FaultKind.BATCH_SHUFFLED else straight[:-1])
            assert (await sandbox.bill())["charges"] == 4

    asyncio.run(run())


@proves(FaultKind.CALLBACK_LOST, FaultKind.CALLBACK_LATE, FaultKind.CALLBACK_DUPLICATED, FaultKind.CALLBACK_FORGED)
def test_callbacks_go_astray(kind):
    async def run(receiver):
        config = SandboxConfig(engine="quick", runflow=RunflowConfig(callback_secret="whsec_ours"))
        async with inside(config) as sandbox:
            await sandbox.fault(kind=kind, seconds=90)
            before_s = sandbox.clock.passed_s
            await sandbox.finished_run(callback_url=receiver.url)

            genuine = [headers["runflow-signature"] == signature("whsec_ours", b) for headers, b in receiver.received]
            expected = {
                FaultKind.CALLBACK_LOST: [],
                FaultKind.CALLBACK_LATE: [True],
                FaultKind.CALLBACK_DUPLICATED: [True, True],
                FaultKind.CALLBACK_FORGED: [False],
            }
            assert genuine == expected[kind]
            assert sandbox.clock.passed_s - before_s == (90 if kind is FaultKind.CALLBACK_LATE else 0)
            assert await sandbox.injected() == {kind: 1}

    with host() as receiver:
        asyncio.run(run(receiver))


def submit(process, key):
    """One request of Maskr's over a socket."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(process.url + OBJECT_REMOVAL, headers=headers, files=PAIR, timeout=20)


def charges(process, key):
    return process.bill(vendor="maskr", account=fingerprint(key))["charges"]


@proves(FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER, FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER)
def test_a_connection_is_cut_without_an_answer(kind, process):
    """Before: nothing was charged. After: it was. The client cannot tell which."""
    process.faults(Fault(kind=kind, vendor="maskr", seconds=0.01))

    with pytest.raises(httpx.TransportError):
        submit(process, f"key-{kind}")

    assert charges(process, f"key-{kind}") == (1 if kind in (FaultKind.DROP_AFTER, FaultKind.HANG_AFTER) else 0)
    process.clear_faults()
    assert submit(process, f"key-{kind}").status_code == 200


def test_a_hang_lasts_until_the_client_gives_up(process):
    """The client's own timeout ends it, long before the hour that was ordered."""
    process.faults(Fault(kind=FaultKind.HANG_AFTER, seconds=3600))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(process.url + OBJECT_REMOVAL, headers=BEARER, files=PAIR, timeout=httpx.Timeout(10, read=0.3))
    process.clear_faults()

    assert submit(process, "after-hang").status_code == 200


@proves(FaultKind.TRUNCATED_BODY)
def test_an_answer_and_a_download_break_off(kind, process):
    url = submit(process, "truncated").json()["result"]["output_url"]
    process.faults(Fault(kind=kind))

    for request in (lambda: submit(process, "truncated"), lambda: httpx.get(url)):
        with pytest.raises(httpx.RemoteProtocolError):
            request()
    assert charges(process, "truncated") == 2


@proves(FaultKind.SLOW_BODY)
def test_an_answer_drips(kind, process):
    """Complete in the end, in no less time than was ordered."""
    process.faults(Fault(kind=kind, seconds=0.3))
    started = time.monotonic()
    answer = submit(process, "slow")

    assert answer.json()["status"] == "completed"
    assert time.monotonic() - started >= 0.3


def test_under_a_mix_of_faults_the_bill_is_what_was_done():
    """Every picture that was done is on the bill, also where its answer was spoilt; no other is; nothing stays held."""

    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(limits=()))
        async with inside(config) as sandbox:
            mix = ["status", "html", "malformed_json", "item_failure", "blank", "expired_url", "unchanged", "latency"]
            for kind in mix:
                await sandbox.fault(kind=kind, endpoint="submit", share=0.1)
            answers = await asyncio.gather(*(sandbox.remove_object(f"sku-{number}.png") for number in range(300)))

            injected = await sandbox.injected()
            assert set(injected) == set(mix)
            whole = [answer for answer in answers if answer.status_code == 200 and answer.content.endswith(b"}")]
            done = sum(answer.json()["status"] == "completed" for answer in whole)
            bill = await sandbox.bill()
            broken = len([answer for answer in answers if answer.status_code == 200]) - len(whole)
            pages = sum(answer.status_code == 502 for answer in answers)
            assert broken == injected["malformed_json"]
            assert pages == injected["html"]
            assert done <= bill["charges"] <= done + broken + pages
            failed = sum(answer.json()["status"] == "failed" for answer in whole)
            assert bill["charges"] == 300 - injected["status"] - injected["item_failure"]
            assert failed <= injected["item_failure"]
            (account,) = bill["accounts"]
            assert account["held"] == "0"
            assert int(account["opened"]) - int(account["balance"]) == 3 * bill["charges"]
            charged = [entry["item"] for entry in bill["entries"] if entry["kind"] == "charge"]
            assert len(charged) == len(set(charged))

    asyncio.run(run())


def test_every_kind_has_its_proof():
    assert set(FaultKind) == PROVED


def draws(fault: Fault, occasions: int, *, seed: int = 1) -> list[bool]:
    box = FaultBox(seed=seed, clock=MovableClock())
    box.add(fault)
    return [
        bool(box.draw({fault.kind}, vendor="maskr", endpoint=Endpoint.SUBMIT, names=["a.png"]))
        for _ in range(occasions)
    ]


def test_share_is_a_probability_and_the_seed_decides():
    fault = Fault(kind=FaultKind.STATUS, share=0.2)

    assert draws(fault, 1000) == draws(fault, 1000)
    assert draws(fault, 1000) != draws(fault, 1000, seed=2)
    assert 150 < sum(draws(fault, 1000)) < 250


def test_count_and_skip_bound_a_fault():
    assert draws(Fault(kind=FaultKind.STATUS, skip=2, count=3), 8) == [False] * 2 + [True] * 3 + [False] * 3


def test_an_outage_begins_and_ends_by_the_clock():
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind="outage", from_s=10, until_s=20)
            statuses = []
            for _ in range(4):
                statuses.append((await sandbox.remove_object()).status_code)
                sandbox.clock.passed_s += 7

            assert statuses == [200, 200, 503, 200]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        ({"vendor": "runflow"}, False),
        ({"vendor": "maskr"}, True),
        ({"endpoint": "poll"}, False),
        ({"endpoint": "submit"}, True),
        ({"match": "^sku-1"}, True),
        ({"match": "^sku-2"}, False),
    ],
)
def test_vendor_endpoint_and_item_narrow_a_fault(fault, struck):
    async def run():
        async with inside() as sandbox:
            await sandbox.fault(kind="status", status=500, **fault)
            answer = await sandbox.remove_object("sku-1.png")

            assert answer.status_code == (500 if struck else 200)
            assert await sandbox.injected() == ({"status": 1} if struck else {})

    asyncio.run(run())


def test_a_job_can_be_hit_where_it_is_polled():
    async def run():
        config = SandboxConfig(engine="quick", modelslab=ModelsLabConfig(processing_s=1))
        async with inside(config) as sandbox:
            job = (await sandbox.remove_by_words(track_id="sku-9")).json()
            await sandbox.state.settled()
            await sandbox.fault(kind="status", status=500, endpoint="poll", match="sku-9", count=1)
            path = f"/modelslab/api/v6/interior/fetch/{job['id']}"
            answers = [await sandbox.post(path, json={"key": "a-key"}) for _ in range(2)]

            assert [answer.status_code for answer in answers] == [500, 200]

    asyncio.run(run())


def test_one_request_meets_at_most_one_fault_beside_delays():
    """So the counts are of faults that really struck."""

    async def run():
        async with inside() as sandbox:
            for kind in ("status", "html", "latency", "outage"):
                await sandbox.fault(kind=kind)
            await sandbox.remove_object()

            assert await sandbox.injected() == {"status": 1}

    asyncio.run(run())


def test_faults_are_removed_one_by_one_or_all_and_the_counts_stay():
    async def run():
        async with inside() as sandbox:
            first = await sandbox.fault(kind="status", count=1)
            await sandbox.fault(kind="html", endpoint="batch")
            await sandbox.remove_object()
            assert (await sandbox.client.delete(f"/_sandbox/faults?id={first}")).json() == {"removed": 1}
            report = (await sandbox.get("/_sandbox/faults")).json()
            assert [fault["kind"] for fault in report["standing"]] == ["html"]
            assert (report["injected"], report["total"]) == ({"status": 1}, 1)
            assert (await sandbox.client.delete("/_sandbox/faults")).json() == {"removed": 1}

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "gremlin"},
        {"kind": "status", "share": 2},
        {"kind": "status", "match": "("},
        {"kind": "status", "if": 1},
    ],
)
def test_a_fault_that_means_nothing_is_refused_by_name(fault):
    async def run():
        async with inside() as sandbox:
            answer = await sandbox.post("/_sandbox/faults", json=fault)

            assert answer.status_code == 422
            assert any(name in answer.json()["error"] for name in ("kind", "share", "match", "if"))

    asyncio.run(run())
    with pytest.raises(ValidationError):
        Fault.model_validate(fault)
