"""Books against balances: real ledger, real adapters, and providers that answer what the test says."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config import Settings, load_settings
from tasks.config.upkeep import ReconcileConfig
from tasks.credits import AccountTerms, AttemptIntent, BalanceLine, Ledger, ManualClock, Spend
from tasks.providers.base import Balance
from tasks.providers.errors import ProviderOffError
from tasks.providers.network import Network
from tasks.reconcile import Comparison, Finding, Reconciliation, compare, reconcile

EXACT = ReconcileConfig(tolerance_usd=Decimal(0))


def books(
    usd: str | None = None, *, held: str = "0", credits: str | None = None, credits_held: str = "0"
) -> BalanceLine:
    zero = Decimal(0)
    return BalanceLine(
        provider="x",
        credits=credits and Decimal(credits),  # type: ignore[arg-type]
        credits_held=Decimal(credits_held),
        credits_spent=zero,
        usd=usd and Decimal(usd),  # type: ignore[arg-type]
        usd_held=Decimal(held),
        usd_spent=zero,
        in_flight=0,
        parked_reason=None,
        next_try_at=None,
        read_at=None,
        credits_drift=None,
        usd_drift=None,
    )


@pytest.mark.parametrize(
    ("line", "told", "finding", "difference"),
    [
        (books("10.00"), Balance(usd=Decimal("10.00")), Finding.AGREES, "0"),
        (books("10.00"), Balance(usd=Decimal("9.52")), Finding.LESS, "-0.48"),
        (books("10.00", held="0.48"), Balance(usd=Decimal("9.52")), Finding.HELD, "-0.48"),
        (books("10.00", held="0.48"), Balance(usd=Decimal("9.51")), Finding.LESS, "-0.49"),
        (books("10.00", held="0.48"), Balance(usd=Decimal("10.48")), Finding.MORE, "0.48"),
        (books(credits="300"), Balance(credits=Decimal(303)), Finding.MORE, "3"),
        (books(credits="300", credits_held="3"), Balance(credits=Decimal(297)), Finding.HELD, "-3"),
        (books(), Balance(usd=Decimal(5)), Finding.FIRST, None),
        (None, Balance(usd=Decimal(5)), Finding.FIRST, None),
        (books(credits="300"), Balance(usd=Decimal(5)), Finding.FIRST, None),
        (books("10"), None, Finding.NO_ENDPOINT, None),
        (books("10"), ProviderOffError("the key is refused"), Finding.UNREADABLE, None),
    ],
)
def test_a_balance_means(line: BalanceLine | None, told: Any, finding: Finding, difference: str | None) -> None:
    compared = compare("x", line, told, EXACT)

    assert compared.finding is finding
    assert compared.difference == (None if difference is None else Decimal(difference))


def test_rounding_is_no_discrepancy() -> None:
    told = Balance(usd=Decimal("9.99"))

    assert compare("x", books("10.00"), told, ReconcileConfig()).finding is Finding.AGREES
    assert compare("x", books("10.00"), told, EXACT).finding is Finding.LESS


@given(balance=st.decimals(0, 1000, places=2), held=st.lists(st.decimals(0, 10, places=2), max_size=5), data=st.data())
def test_whatever_part_of_what_is_held_was_charged_nobody_is_accused(
    balance: Decimal, held: list[Decimal], data: st.DataObject
) -> None:
    """An honest provider may have charged any of the requests that are under way or in doubt."""
    charged = sum(
        data.draw(st.lists(st.sampled_from(held), unique_by=id, max_size=len(held))) if held else [], Decimal(0)
    )
    line = books(str(balance), held=str(sum(held, Decimal(0))))

    compared = compare("x", line, Balance(usd=balance - charged), EXACT)

    assert not compared.finding.is_discrepancy


def test_every_finding_that_needs_a_person_says_what_to_do() -> None:
    assert all(finding.advice for finding in Finding if finding is not Finding.AGREES)


# The whole, against answers on the wire


def settings(tmp_path: Path, **providers: Any) -> Settings:
    return load_settings(ledger_url=f"sqlite:///{tmp_path}/ledger.sqlite3", providers=providers)


def network(answers: Callable[[httpx.Request], httpx.Response]) -> Network:
    return Network(transport=httpx.MockTransport(answers))


def runflow_holds(usd: str) -> Callable[[httpx.Request], httpx.Response]:
    cents = int(Decimal(usd) * 100)
    return lambda _: httpx.Response(200, json={"balance_cents": cents, "currency": "USD"})


def run(config: ReconcileConfig, installed: Settings, world: Network) -> Reconciliation:
    return asyncio.run(reconcile(config, installed, network=world))


async def _spend(installed: Settings, provider: str, *, settle: bool) -> None:
    ledger = await Ledger.open(installed.ledger_url.get_secret_value())
    async with ledger:
        await ledger.open_account(provider, AccountTerms())
        await ledger.open_run("r1", None)
        intent = AttemptIntent(attempt_key="a1", item_id="i1", usd=Decimal("0.48"))
        async with ledger.reserve(Spend(run_id="r1", provider=provider, attempts=[intent])) as reservation:
            await reservation.sent()
            if settle:
                await reservation.settle("a1", usd=Decimal("0.48"))
            else:
                await reservation.doubt("a1", "cut off")


def only(found: Reconciliation) -> Comparison:
    [comparison] = found.comparisons
    return comparison


def test_what_we_spent_and_nothing_else_is_no_discrepancy(tmp_path: Path) -> None:
    installed = settings(tmp_path, runflow={"api_key": "key-of-runflow"})
    assert only(run(EXACT, installed, network(runflow_holds("10.00")))).finding is Finding.FIRST

    asyncio.run(_spend(installed, "runflow", settle=True))
    found = run(EXACT, installed, network(runflow_holds("9.52")))

    assert only(found).finding is Finding.AGREES
    assert found.discrepancies == []
    assert [line.usd for line in found.statement] == [Decimal("0.48")]


def test_money_that_somebody_else_spent_is_found_once(tmp_path: Path) -> None:
    """The provider's word is adopted, so that yesterday's difference is not told again today."""
    installed = settings(tmp_path, runflow={"api_key": "key-of-runflow"})
    run(EXACT, installed, network(runflow_holds("10.00")))

    first = run(EXACT, installed, network(runflow_holds("7.00")))
    second = run(EXACT, installed, network(runflow_holds("7.00")))

    assert only(first).finding is Finding.LESS
    assert only(first).difference == Decimal("-3.00")
    assert only(second).finding is Finding.AGREES


def test_a_difference_that_is_not_adopted_is_found_again(tmp_path: Path) -> None:
    installed = settings(tmp_path, runflow={"api_key": "key-of-runflow"})
    run(EXACT, installed, network(runflow_holds("10.00")))
    aloof = ReconcileConfig(adopt=False)

    findings = [only(run(aloof, installed, network(runflow_holds("7.00")))).finding for _ in range(2)]

    assert findings == [Finding.LESS, Finding.LESS]


def test_what_is_in_doubt_is_listed_and_accuses_nobody(tmp_path: Path) -> None:
    installed = settings(tmp_path, runflow={"api_key": "key-of-runflow"})
    run(EXACT, installed, network(runflow_holds("10.00")))
    asyncio.run(_spend(installed, "runflow", settle=False))

    found = run(EXACT, installed, network(runflow_holds("9.52")))

    assert only(found).finding is Finding.HELD
    assert [attempt.attempt_key for attempt in found.in_doubt] == ["a1"]


def test_one_provider_that_cannot_be_asked_does_not_hide_the_others(tmp_path: Path) -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.host == "modelslab.com":
            return httpx.Response(200, json={"status": "success", "data": {"balance": 43.6, "currency": "USD"}})
        return httpx.Response(401, json={"detail": "invalid api key key-of-runflow"})

    installed = settings(
        tmp_path,
        runflow={"api_key": "key-of-runflow"},
        modelslab={"api_key": "key-of-modelslab"},
        onemin={"api_key_file": tmp_path / "missing"},
    )

    found = run(EXACT, installed, network(answers))

    findings = {one.provider: one.finding for one in found.comparisons}
    assert findings == {
        "runflow": Finding.UNREADABLE,
        "modelslab": Finding.FIRST,
        "onemin": Finding.UNREADABLE,
    }
    assert "key-of-runflow" not in str([one.as_row() for one in found.comparisons])


def test_a_provider_without_a_key_or_switched_off_is_not_asked(tmp_path: Path) -> None:
    installed = settings(tmp_path, runflow={"api_key": "key-of-runflow", "enabled": False})

    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    assert run(EXACT, installed, network(nobody)).comparisons == []


def test_the_statement_goes_back_as_far_as_asked(tmp_path: Path) -> None:
    installed = settings(tmp_path)
    asyncio.run(_spend(installed, "runflow", settle=True))
    later = ManualClock(datetime.now(UTC))
    later.advance(3 * 86_400)

    def statement(days: int) -> int:
        return len(asyncio.run(reconcile(ReconcileConfig(days=days), installed, clock=later)).statement)

    assert (statement(2), statement(4)) == (0, 1)
