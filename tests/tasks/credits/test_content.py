"""The same content is paid once: under way, in doubt, delivered; and remote files are not read twice."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tasks.credits import AttemptIntent, Delivery, FileVersion, Ledger, LedgerMisuse, Reason, Refusal, Resolution, Spend
from tests.tasks.credits.factories import PRICE, PROVIDER, RUN, crash, intent, on_ledger, pay, refusal, spend

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def same(*keys: str, content: str = "picture") -> Spend:
    return Spend(run_id=RUN, provider=PROVIDER, attempts=tuple(intent(key, content=content) for key in keys))


def delivery(content: str = "picture", uri: str = "s3://out/picture.png") -> Delivery:
    return Delivery(
        content_key=content,
        output_uri=uri,
        sha256="ab" * 32,
        width=640,
        height=480,
        media_type="image/png",
        provider=PROVIDER,
        usd=PRICE,
        quality={"outside_max_delta": 0.5},
    )


def test_the_same_content_is_under_way_once(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url) as other, ledger.reserve(same("a")) as reservation:
            elsewhere = await refusal(other, same("b"))
            await reservation.release("a", "refused by the provider")
            await pay(other, same("b"))

        assert elsewhere.reason is Reason.IN_FLIGHT_ELSEWHERE
        assert elsewhere.attempt_keys == ("b",)

    on_ledger(ledger_url, story)


def test_of_two_hundred_at_once_one_is_paid(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async def one(number: int) -> None:
            key = f"a{number}"
            async with ledger.reserve(same(key)) as reservation:
                await reservation.sent()
                await reservation.settle(key, usd=PRICE, delivery=delivery())

        answers = await asyncio.gather(*(one(number) for number in range(200)), return_exceptions=True)

        assert answers.count(None) == 1
        assert {a.reason for a in answers if isinstance(a, Refusal)} <= {
            Reason.IN_FLIGHT_ELSEWHERE,
            Reason.ALREADY_DELIVERED,
        }

    on_ledger(ledger_url, story)


def test_a_batch_learns_which_of_its_rows_stand_in_the_way(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(spend("a", "b")):
            attempts = (intent("x", content="content of a"), intent("y", content="y"), intent("z", content="y"))
            refused = await refusal(ledger, Spend(run_id=RUN, provider=PROVIDER, attempts=attempts))

        assert refused.attempt_keys == ("x", "z")

    on_ledger(ledger_url, story)


def test_a_delivery_is_found_again_whole_until_it_is_forgotten(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        async with ledger.reserve(same("a")) as reservation:
            await reservation.sent()
            await reservation.settle("a", usd=PRICE, delivery=delivery())
        found = await ledger.delivered(["picture", "other"])
        (stored,) = await ledger.stored_deliveries(["picture", "other"])
        refused = await refusal(ledger, same("b"))
        await ledger.forget_deliveries(["picture"])
        gone = await ledger.delivered(["picture"])
        await pay(ledger, same("b"))

        assert found == {"picture": delivery()}
        assert stored.output_uri == delivery().output_uri
        assert json.loads(stored.quality) == delivery().quality
        assert refused.reason is Reason.ALREADY_DELIVERED
        assert gone == {}

    on_ledger(ledger_url, story)


def test_the_latest_delivery_counts(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await ledger.record_delivery(delivery(uri="s3://out/old.png"))
        await ledger.record_delivery(delivery(uri="s3://out/new.png"))

        assert (await ledger.delivered(["picture"]))["picture"].output_uri == "s3://out/new.png"

    on_ledger(ledger_url, story)


def test_a_signed_address_is_never_kept(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        with pytest.raises(LedgerMisuse, match="signed"):
            await ledger.record_delivery(delivery(uri="https://x.example/a.png?X-Amz-Signature=abc"))

    on_ledger(ledger_url, story)


def test_content_in_doubt_waits_for_the_users_word(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await crash(ledger, same("a"), sent=True)
        doubtful = await refusal(ledger, same("b"))
        await ledger.resolve("a", Resolution.CHARGED)
        charged = await refusal(ledger, same("b"))
        await ledger.resolve("a", Resolution.SEND_AGAIN)
        await pay(ledger, same("b"))
        [line] = await ledger.statement()

        assert doubtful.reason is charged.reason is Reason.IN_DOUBT
        assert (line.settled, line.usd, line.in_doubt) == (2, 2 * PRICE, 0)

    on_ledger(ledger_url, story)


def test_not_charged_gives_the_money_back_and_the_content_free(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await crash(ledger, same("a"), sent=True)
        await ledger.resolve("a", Resolution.NOT_CHARGED)
        await pay(ledger, same("b"))
        [line] = await ledger.statement()

        assert (line.settled, line.released, line.usd) == (1, 1, PRICE)
        with pytest.raises(LedgerMisuse, match="nothing to resolve"):
            await ledger.resolve("a", Resolution.CHARGED)

    on_ledger(ledger_url, story, budget=PRICE)


def test_sending_again_keeps_the_first_attempts_money_held(ledger_url: str) -> None:
    """What is not known is neither booked nor given back: the ceiling holds even if both were charged."""

    async def story(ledger: Ledger) -> None:
        await crash(ledger, same("a"), sent=True)
        await ledger.resolve("a", Resolution.SEND_AGAIN)
        [still] = await ledger.in_doubt()
        refused = await refusal(ledger, same("b"))

        assert still.send_again
        assert refused.reason is Reason.BUDGET_REACHED

    on_ledger(ledger_url, story, budget=PRICE)


def test_attempts_without_a_content_key_do_not_meet(ledger_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        free = [AttemptIntent(attempt_key=key, item_id="x", usd=Decimal(0)) for key in ("a", "b")]
        async with ledger.reserve(Spend(run_id=RUN, provider=PROVIDER, attempts=free[:1])):
            await pay(ledger, Spend(run_id=RUN, provider=PROVIDER, attempts=free[1:]))

    on_ledger(ledger_url, story)


def test_fingerprints_of_tens_of_thousands_of_files_are_remembered(ledger_url: str) -> None:
    files = [FileVersion(uri=f"s3://in/{n}.jpg?X-Amz-Signature={n}", version=f'"etag-{n}"') for n in range(30_000)]
    known = {file: f"fingerprint {n}" for n, file in enumerate(files)}

    async def story(ledger: Ledger) -> None:
        await ledger.remember_fingerprints(known)
        await ledger.remember_fingerprints({files[0]: "newer"})
        changed = FileVersion(uri=files[1].uri, version="another")
        found = await ledger.fingerprints([*files, changed])

        assert found == {**known, files[0]: "newer"}
        by_uri = {file.uri: file.version for file in files} | {changed.uri: changed.version, "s3://in/new.jpg": "1"}
        expected = {file.uri: fingerprint for file, fingerprint in found.items() if file.uri != changed.uri}
        assert await ledger.fingerprints_by_uri(by_uri) == expected

    on_ledger(ledger_url, story)


def test_callbacks_are_kept_once_and_without_signatures(ledger_url: str) -> None:
    payload = json.dumps({"run_id": "r1", "output": {"url": "https://x.example/a.png?sig=abc"}})

    async def story(ledger: Ledger) -> None:
        async with await Ledger.open(ledger_url) as receiver:
            first = await receiver.put_callback("runflow", "r1", payload, NOW)
            second = await receiver.put_callback("runflow", "r1", payload, NOW)
        found = await ledger.callbacks("runflow", ["r1", "r2"])

        assert (first, second) == (True, False)
        assert json.loads(found["r1"].payload_json)["output"] == {"url": "https://x.example/a.png"}
        assert found["r1"].received_at == NOW
        with pytest.raises(LedgerMisuse, match="JSON"):
            await ledger.put_callback("runflow", "r1", "no json", NOW)

    on_ledger(ledger_url, story)
