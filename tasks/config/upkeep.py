"""The parameters of the flows that look after things between the nights. Shown as forms by Prefect; they hold no secret."""

from datetime import UTC, datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.config.dates import expand_dates
from tasks.config.forms import in_order
from tasks.config.limits import parse_duration_s


class RetryDeferredConfig(BaseModel):
    """Which runs are looked at, and how much is taken up at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=in_order)

    to: str = Field(
        title="Results folder",
        description="Where the run folders are: the same as the runs' own `to`. Where that holds dates, every date is looked at.",
    )
    max_age: str = Field("7d", description="Runs that began longer ago are left alone: 12h, 7d.")
    max_runs: int = Field(5, ge=1, le=100, description="At most so many runs are taken up, the newest first.")

    @field_validator("to")
    @classmethod
    def _dates_parse(cls, value: str) -> str:
        expand_dates(value, datetime(2000, 1, 1, tzinfo=UTC))
        return value

    @field_validator("max_age")
    @classmethod
    def _age_parses(cls, value: str) -> str:
        parse_duration_s(value)
        return value

    @property
    def max_age_s(self) -> float:
        """Seconds."""
        return parse_duration_s(self.max_age)


class ReconcileConfig(BaseModel):
    """What is compared, and how exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=in_order)

    tolerance_usd: Decimal = Field(Decimal("0.01"), ge=0, description="A smaller difference is rounding, US dollars.")
    tolerance_credits: Decimal = Field(Decimal(0), ge=0, description="A smaller difference is rounding, credits.")
    adopt: bool = Field(
        True, description="Take the provider's word for the balance from now on; the difference stays on record."
    )
    days: int = Field(7, ge=1, le=366, description="How far back the statement in the report goes.")
