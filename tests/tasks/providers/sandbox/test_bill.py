"""The bill: what was charged, to whom, for which picture; to the cent, and past the process's death."""

import asyncio
import hashlib
from decimal import Decimal

import pytest

from tasks.providers.sandbox.bill import Bill, Price, Work, fingerprint
from tasks.providers.sandbox.config import MaskrConfig, ModelsLabConfig, SandboxConfig
from tests.tasks.providers.sandbox.harness import BEARER, KEY, OBJECT_REMOVAL, PHOTO, MovableClock, inside, pairs

SIX_CENTS = Price(unit="usd", usd=Decimal("0.06"))
WORK = Work(request_id="r", job_id="j", item="a.png", reference="ref", picture_sha256="00")


def test_the_bill_is_the_sum_of_what_the_vendors_answered():
    """Every vendor, single and batch, good and bad: what the answers say was used is what the bill says."""

    async def run():
        async with inside() as sandbox:
            used = [(await sandbox.remove_object()).json()["result"]["credits_used"] for _ in range(3)]
            files = pairs(5)
            files[2] = ("images", ("photo-2.png", b"no picture", "image/png"))
            batch = (await sandbox.post(f"{OBJECT_REMOVAL}/batch", files=files, headers=BEARER)).json()
            costs = [Decimal((await sandbox.finished_run())["cost"]) for _ in range(2)]
            await sandbox.remove_by_words()
            await sandbox.erase()

            maskr = await sandbox.bill(vendor="maskr")
            assert maskr["credits"] == str(sum(used) + batch["total_credits_used"]) == "21"
            assert maskr["charges"] == 7
            assert (await sandbox.bill(vendor="runflow"))["usd"] == str(sum(costs)) == "0.96"
            assert Decimal((await sandbox.bill())["usd"]) == Decimal("0.21") + Decimal("0.96") + Decimal("0.03")

    asyncio.run(run())


def test_an_entry_says_what_was_charged_for():
    async def run():
        async with inside() as sandbox:
            await sandbox.finished_run(
                headers={"Idempotency-Key": "attempt-7"}, client_ref="ref-7", metadata={"item_id": "sku-7"}
            )
            opened, charge = (await sandbox.bill())["entries"]

            assert (opened["kind"], opened["amount"]) == ("open", "1000000")
            assert (charge["vendor"], charge["account"]) == ("runflow", fingerprint(KEY))
            assert (charge["kind"], charge["usd"], charge["credits"]) == ("charge", "0.48", "0")
            assert (charge["reference"], charge["item"]) == ("attempt-7", "sku-7")
            assert charge["picture_sha256"] == hashlib.sha256(PHOTO).hexdigest()
            assert charge["at"].startswith("2026-05-06T10:")
            assert charge["request_id"]
            assert charge["job_id"]

    asyncio.run(run())


def test_no_key_is_ever_shown():
    async def run():
        async with inside() as sandbox:
            secret = {"Authorization": "Bearer sk-live-very-secret"}
            await sandbox.remove_object(headers=secret)
            await sandbox.remove_by_words(key="sk-live-very-secret")
            for path in ("bill", "requests", "faults", "health"):
                assert "very-secret" not in (await sandbox.get(f"/_sandbox/{path}")).text

    asyncio.run(run())


def test_accounts_are_kept_apart():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(credits=3, keys={"rich": 300}))
        async with inside(config) as sandbox:
            for key in ("poor", "rich"):
                statuses = [
                    (await sandbox.remove_object(headers={"Authorization": f"Bearer {key}"})).status_code
                    for _ in range(2)
                ]
                assert statuses == ([200, 402] if key == "poor" else [200, 200])
            assert (await sandbox.bill(account=fingerprint("rich")))["charges"] == 2

    asyncio.run(run())


def test_a_top_up_lets_an_empty_account_go_on():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(credits=0))
        async with inside(config) as sandbox:
            assert (await sandbox.remove_object()).status_code == 402
            answer = await sandbox.post("/_sandbox/credits", json={"vendor": "maskr", "amount": 3, "key": KEY})
            assert answer.json()["accounts"][0]["balance"] == "3"
            assert (await sandbox.remove_object()).status_code == 200

            entries = (await sandbox.bill())["entries"]
            assert [entry["kind"] for entry in entries] == ["open", "top_up", "charge"]

    asyncio.run(run())


@pytest.mark.parametrize("body", [{}, {"vendor": "maskr", "amount": "much"}, {"vendor": "maskr", "amount": "nan"}, []])
def test_a_top_up_of_nothing_is_refused(body):
    async def run():
        async with inside() as sandbox:
            await sandbox.remove_object()
            answer = await sandbox.post("/_sandbox/credits", json=body)

            assert answer.status_code in (404, 422)
            assert answer.json()["error"]

    asyncio.run(run())


def test_concurrent_requests_never_spend_more_than_there_is():
    async def run():
        config = SandboxConfig(modelslab=ModelsLabConfig(credits="0.06", slots=50))
        async with inside(config) as sandbox:
            answers = await asyncio.gather(*(sandbox.remove_by_words() for _ in range(12)))

            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [402] * 9
            (account,) = (await sandbox.bill())["accounts"]
            assert Decimal(account["balance"]) == 0

    asyncio.run(run())


def test_a_bill_on_file_is_continued(tmp_path):
    path = tmp_path / "bill.sqlite3"
    first = Bill(path, MovableClock())
    account = first.account("modelslab", "k", unit="usd", opening=Decimal("0.10"))
    hold = first.hold(account, SIX_CENTS)
    hold.charge(WORK)
    first.close()

    second = Bill(path, MovableClock())
    account = second.account("modelslab", "k", unit="usd", opening=Decimal("0.10"))
    assert (account.balance, account.charges, account.usd_charged) == (Decimal("0.04"), 1, Decimal("0.06"))
    assert second.hold(account, SIX_CENTS) is None
    assert [entry["kind"] for entry in second.entries()] == ["open", "charge"]
    second.close()


def test_a_hold_is_settled_once():
    bill = Bill(None, MovableClock())
    account = bill.account("modelslab", "k", unit="usd", opening=Decimal(1))
    hold = bill.hold(account, SIX_CENTS)
    assert account.available == Decimal("0.94")
    hold.charge(WORK)
    hold.charge(WORK)
    hold.release()

    assert (account.balance, account.held, account.charges) == (Decimal("0.94"), 0, 1)
    bill.close()
