"""Our books against each provider's own balance: what differs, by how much, and what to do."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from tasks.config import ConfigurationError, Settings
from tasks.config.providers import ProviderSettings
from tasks.config.upkeep import ReconcileConfig
from tasks.credits import AccountTerms, BalanceLine, Clock, Ledger, OpenAttempt, StatementLine, SystemClock
from tasks.providers.base import Balance, Provider
from tasks.providers.errors import ProviderError
from tasks.providers.keys import LoadSecret
from tasks.providers.network import Network
from tasks.providers.registry import REGISTRY, make_providers

_SYSTEM_CLOCK: Final = SystemClock()
_LOOKS: Final = 3  # at books that move while the providers are asked
_TIMEOUT_S: Final = 60.0  # for all of one provider's answer; its adapter has shorter ones for each request

Reading = Balance | ProviderError | None
"""What a provider said: a balance, why it could not be had, or None where the vendor has no such endpoint."""


class Finding(StrEnum):
    """How books and balance stand."""

    advice: str

    def __new__(cls, finding: str, advice: str) -> "Finding":
        """A member is its sentence; its advice rides along."""
        member = str.__new__(cls, finding)
        member._value_ = finding
        member.advice = advice
        return member

    AGREES = "books and balance agree", ""
    HELD = (
        "the difference is within what is held for requests under way or in doubt",
        "`cleanplate ledger in-doubt` lists what waits for your word.",
    )
    LESS = (
        "the provider has less than the books",
        "Somebody else spends from this account, or a request was charged that had been booked as free: compare"
        " `cleanplate ledger statement` with the provider's own.",
    )
    MORE = (
        "the provider has more than the books",
        "Credits came without `cleanplate ledger top-up`, or the provider gave some back: look at its account.",
    )
    FIRST = "the books knew no balance yet", "From now on it can be compared."
    NO_ENDPOINT = "this provider does not tell its balance", "Compare `cleanplate ledger statement` with its invoice."
    UNREADABLE = "the provider could not be asked", "`cleanplate doctor` says why."

    @property
    def is_discrepancy(self) -> bool:
        """Whether a person should look."""
        return self in (Finding.LESS, Finding.MORE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One account. Amounts in `unit`; None: not known."""

    provider: str
    finding: Finding
    unit: str = ""  # credits or USD
    books: Decimal | None = None
    held: Decimal = Decimal(0)
    reading: Decimal | None = None
    detail: str = ""

    @property
    def difference(self) -> Decimal | None:
        """What the provider has more (or, below zero, less) than the books."""
        return None if self.books is None or self.reading is None else self.reading - self.books

    def as_row(self) -> dict[str, str]:
        """For a table that people read."""
        amounts = {
            "books": self.books,
            "held": self.held,
            "provider's balance": self.reading,
            "difference": self.difference,
        }
        shown = {name: "" if amount is None else f"{amount:f} {self.unit}".strip() for name, amount in amounts.items()}
        what = f"{self.finding}{f' ({self.detail})' if self.detail else ''}"
        return {"provider": self.provider, **shown, "finding": what, "what to do": self.finding.advice}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciliation:
    """What a reconciliation found."""

    comparisons: Sequence[Comparison]
    statement: Sequence[StatementLine]  # of the last days
    in_doubt: Sequence[OpenAttempt]

    @property
    def discrepancies(self) -> list[Comparison]:
        """What a person should look at."""
        return [one for one in self.comparisons if one.finding.is_discrepancy]


async def reconcile(
    config: ReconcileConfig,
    settings: Settings,
    *,
    load_secret: LoadSecret | None = None,
    network: Network | None = None,
    clock: Clock = _SYSTEM_CLOCK,
) -> Reconciliation:
    """Ask every provider that has a key, and hold its word against the books.

    Raises:
        LedgerError: the books cannot be opened.
    """
    keys = [key for key in REGISTRY if _has_key(settings.providers.of(key))]
    providers, refused = _reachable(keys, settings, load_secret, network)
    url, durable = settings.ledger_url.get_secret_value(), settings.ledger_durable
    try:
        async with await Ledger.open(url, durable=durable, clock=clock) as ledger:
            for key in providers:
                await ledger.open_account(key, AccountTerms.of(settings.providers.of(key)))
            books, readings = await _quiet_look(ledger, providers)
            readings |= refused
            comparisons = [compare(key, books.get(key), readings[key], config) for key in keys]
            if config.adopt:
                await _adopt(ledger, readings)
            since = datetime.fromtimestamp(clock.time(), UTC).date() - timedelta(days=config.days)
            statement = [line for line in await ledger.statement() if line.day >= since]
            return Reconciliation(comparisons=comparisons, statement=statement, in_doubt=await ledger.in_doubt())
    finally:
        for provider in providers.values():
            await provider.aclose()


def _has_key(own: ProviderSettings) -> bool:
    return own.enabled and (own.api_key or own.api_key_file or own.api_key_block) is not None


def _reachable(
    keys: Sequence[str], settings: Settings, load_secret: LoadSecret | None, network: Network | None
) -> tuple[dict[str, Provider], dict[str, Reading]]:
    """One provider with a broken key must not keep the others from being compared."""
    made: dict[str, Provider] = {}
    refused: dict[str, Reading] = {}
    for key in keys:
        try:
            made |= make_providers([key], settings, load_secret=load_secret, network=network)
        except ConfigurationError as error:
            refused[key] = ProviderError(str(error))
    return made, refused


async def _quiet_look(
    ledger: Ledger, providers: Mapping[str, Provider]
) -> tuple[dict[str, BalanceLine], dict[str, Reading]]:
    """Books and balances of one moment, as nearly as can be: looked at again when the books moved in between."""
    for _ in range(_LOOKS):
        before = await ledger.balances()
        readings = await read_balances(providers)
        if before == await ledger.balances():
            break
    return {line.provider: line for line in before}, readings


async def _adopt(ledger: Ledger, readings: Mapping[str, Reading]) -> None:
    for provider, reading in readings.items():
        if isinstance(reading, Balance):
            await ledger.balance_reading(provider, credits=reading.credits, usd=reading.usd, source="ledger-reconcile")


async def read_balances(providers: Mapping[str, Provider]) -> dict[str, Reading]:
    """Ask every provider at once. Reading a balance is never charged."""

    async def ask(provider: Provider) -> Reading:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await provider.balance()
        except ProviderError as error:
            return error
        except TimeoutError:
            return ProviderError(f"no answer within {_TIMEOUT_S:g} s")

    readings = await asyncio.gather(*(ask(provider) for provider in providers.values()))
    return dict(zip(providers, readings, strict=True))


def compare(provider: str, books: BalanceLine | None, reading: Reading, config: ReconcileConfig) -> Comparison:
    """What one provider's word means for its account.

    Between the books' balance and that less what is held lies everything that an honest provider may say: a request under way
    may have been charged there and not been booked here.
    """
    if reading is None:
        return Comparison(provider=provider, finding=Finding.NO_ENDPOINT)
    if isinstance(reading, ProviderError):
        return Comparison(provider=provider, finding=Finding.UNREADABLE, detail=reading.message)
    in_credits = reading.credits is not None
    unit = "credits" if in_credits else "USD"
    told = reading.credits if in_credits else reading.usd
    ours = None if books is None else (books.credits if in_credits else books.usd)
    if told is None or books is None or ours is None:
        return Comparison(provider=provider, finding=Finding.FIRST, unit=unit, reading=told)
    held = books.credits_held if in_credits else books.usd_held
    tolerance = config.tolerance_credits if in_credits else config.tolerance_usd
    finding = _finding(told - ours, held, tolerance)
    return Comparison(provider=provider, finding=finding, unit=unit, books=ours, held=held, reading=told)


def _finding(difference: Decimal, held: Decimal, tolerance: Decimal) -> Finding:
    if abs(difference) <= tolerance:
        return Finding.AGREES
    if difference > 0:
        return Finding.MORE
    return Finding.HELD if -difference <= held + tolerance else Finding.LESS
