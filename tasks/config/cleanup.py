"""The knobs of one run: the single parameter of the flows, shown as a form by Prefect. Holds no secret."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.config.dates import expand_dates
from tasks.config.forms import in_order
from tasks.config.limits import parse_duration_s
from tasks.config.shards import Shard

BATCH_SIZE = 50  # what the user asked for, and the most that Maskr's batch endpoint takes (seed 001)
MOST_BATCHES_IN_FLIGHT = 64  # 3,200 rows: more than the widest published limits can take at once
RUN_ID = r"^([A-Za-z0-9]|\{scheduled[^{}]*\})([A-Za-z0-9._-]|\{scheduled[^{}]*\}){0,99}$"  # names a folder


class CleanupConfig(BaseModel):
    """What to clean, where to put it, and within which bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=in_order)

    manifest: str = Field(
        description="The manifest: a Parquet file, a folder of them, or a run folder's results.parquet. May hold dates: {scheduled:%Y-%m-%d}."
    )
    to: str = Field(
        title="Results folder",
        description="Folder or bucket prefix under which the run folder run_id=<id>/ is made. May hold dates too.",
    )
    run_id: str | None = Field(
        None,
        title="Run id",
        pattern=RUN_ID,
        description="Same id: same run, taken up where it stopped. May hold dates: nightly-{scheduled:%Y-%m-%d}.",
    )
    providers: tuple[str, ...] = Field(
        ("local",),
        min_length=1,
        description="Who may be asked, in order of preference: local (free), maskr, runflow, modelslab, onemin.",
    )
    policy: Literal["cheapest", "fastest", "ordered"] = Field(
        "cheapest", description="How to choose among the providers: cheapest, fastest, or ordered as they are listed."
    )
    budget_usd: Decimal | None = Field(
        None,
        ge=0,
        title="Budget, US dollars",
        description="Ceiling of this run's spending, US dollars; none: no ceiling.",
    )
    deadline: str | None = Field(None, description="Stop starting new work after this long: 90s, 30m, 2h.")
    passes: int = Field(3, ge=1, le=10, description="Sweeps over what is still open, 1 to 10.")
    batches_in_flight: int = Field(
        8, ge=1, le=MOST_BATCHES_IN_FLIGHT, description="Batches of 50 under way at once, 1 to 64."
    )
    output_format: Literal["source", "jpeg", "png", "webp"] = Field(
        "source", description="File format of delivered pictures."
    )
    reuse: bool = Field(True, description="Deliver again, unpaid, what an earlier run made from the same content.")
    shard: str | None = Field(
        None,
        description="Only this stretch of the manifest, such as 2/8: bulk-reprocess sets it, and joins the results.",
    )
    ends_at: datetime | None = Field(
        None,
        description="Start nothing new after this moment: bulk-reprocess sets it, for shards begin at different times.",
    )

    @field_validator("deadline")
    @classmethod
    def _deadline_parses(cls, value: str | None) -> str | None:
        if value is not None:
            parse_duration_s(value)
        return value

    @field_validator("shard")
    @classmethod
    def _shard_parses(cls, value: str | None) -> str | None:
        return None if value is None else str(Shard.parse(value))

    @field_validator("manifest", "to", "run_id")
    @classmethod
    def _dates_parse(cls, value: str | None) -> str | None:
        if value is not None:
            expand_dates(value, datetime(2000, 1, 1, tzinfo=UTC))
        return value

    def at(self, scheduled: datetime) -> Self:
        """The same knobs with every date written out: what a run of that moment means. ValueError: the run id becomes unusable."""
        texts = {"manifest": self.manifest, "to": self.to, "run_id": self.run_id}
        expanded = {name: expand_dates(text, scheduled) for name, text in texts.items() if text is not None}
        return type(self).model_validate({**self.model_dump(), **expanded})

    @property
    def stretch(self) -> Shard | None:
        """The shard as a value; None: the whole manifest."""
        return None if self.shard is None else Shard.parse(self.shard)

    def time_left_s(self, now: datetime) -> float | None:
        """Seconds from `now` after which no new work begins; None: no such bound."""
        bounds = [self.deadline_s, None if self.ends_at is None else (self.ends_at - now).total_seconds()]
        return min((max(0.0, bound) for bound in bounds if bound is not None), default=None)

    def ends(self, now: datetime) -> datetime | None:
        """The moment after which no new work begins in a run that begins `now`; None: no such bound."""
        left_s = self.time_left_s(now)
        return None if left_s is None else now + timedelta(seconds=left_s)

    @property
    def deadline_s(self) -> float | None:
        """Seconds from the start after which no new work begins."""
        return None if self.deadline is None else parse_duration_s(self.deadline)
