"""One accepted request for one item: what the item's own pipeline holds until it has booked the end of it."""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from manifests.items import Operation
from tasks.config import ProviderSettings
from tasks.credits import Charge, Delivery, Reservation
from tasks.observability.metrics import METRICS
from tasks.providers.base import EditResult, Provider, Submission
from tasks.providers.errors import InDoubtError, JobFailedError, ProviderError


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Where one attempt's end is booked. `reservation` is None for the local engine, which costs nothing."""

    key: str
    provider: str
    settings: ProviderSettings
    operation: Operation
    reservation: Reservation | None

    def price(self, result: EditResult | None = None) -> Charge:
        """What the provider says that it took, else what the configuration says that it takes."""
        said_credits = None if result is None else result.credits
        said_usd = None if result is None else result.cost_usd
        credits = self.settings.credits_per_image if said_credits is None else said_credits
        if said_usd is not None:
            return Charge(credits=credits, usd=said_usd)
        beside = self.settings.cost_usd(self.operation) - self.settings.credits_per_image * self.settings.usd_per_credit
        return Charge(credits=credits, usd=beside + credits * self.settings.usd_per_credit)

    async def charge(self, charge: Charge, delivery: Delivery | None = None) -> None:
        """Paid; with `delivery`, the stored picture is recorded in the same transaction."""
        METRICS.charged(self.provider, usd=charge.usd, credits=charge.credits)
        if self.reservation is not None:
            await self.reservation.settle(self.key, credits=charge.credits, usd=charge.usd, delivery=delivery)

    async def free(self, why: str) -> None:
        """Not paid: give the money back."""
        if self.reservation is not None:
            await self.reservation.release(self.key, why)

    async def doubt(self, why: str) -> None:
        """It cannot be known whether it was paid."""
        if self.reservation is not None:
            await self.reservation.doubt(self.key, why)

    async def book_failure(self, error: ProviderError) -> Charge:
        """The end of an attempt that did not work out, by the kind of the error; what it cost."""
        if isinstance(error, JobFailedError):
            charge = self.price() if error.charged_usd is None else Charge(usd=error.charged_usd)
            await (self.charge(charge) if charge.usd or charge.credits else self.free(error.message))
            return charge
        if isinstance(error, InDoubtError) or type(error) is ProviderError:
            await self.doubt(error.message)
        else:
            await self.free(error.message)
        return Charge()


@dataclass(kw_only=True, slots=True)
class Attempt:
    """The provider took the request. Whoever holds it books its end through `account`, then sets `done`.

    An attempt that is `done` without having been booked stays open in the ledger: an accepted job that a later run fetches.
    """

    account: Account
    provider: Provider
    submission: Submission
    alone: bool
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cost(self) -> Decimal:
        """What it takes, US dollars."""
        return self.account.price(self.submission.result).usd
