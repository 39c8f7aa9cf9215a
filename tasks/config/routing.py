"""How errors are retried and how work is shared out: numbers, each with its reason."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class RetrySettings(BaseModel):
    """Bounds of `tasks/retry_policy.py`. One layer retries, and it is this one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(4, ge=1, description="Requests for one row at one provider.")
    attempts_in_all: int = Field(8, ge=1, description="Requests for one row over all providers.")
    total_s: float = Field(900, gt=0, description="From a row's first request, after which it is not tried again.")
    first_wait_s: float = Field(1, gt=0, description="Upper end of the first random wait; it doubles each time.")
    longest_wait_s: float = Field(60, gt=0, description="Upper end of the random wait, however many attempts.")
    longest_retry_after_s: float = Field(
        300, gt=0, description="A provider that asks for a longer wait than this is left for another."
    )
    download_s: float = Field(
        60, ge=0, description="How long at least a paid picture is asked for before it counts as lost."
    )
    job_attempts: int = Field(2, ge=1, description="Requests for one row whose job failed uncharged at one provider.")
    whole_batch_attempts: int = Field(
        2, ge=1, description="Times that a batch may fail whole by a passing error before it is halved."
    )
    poison_failures: int = Field(
        3, ge=2, description="Requests that a row, alone, brought down at two or more healthy providers: quarantine."
    )


class BreakerSettings(BaseModel):
    """When a provider counts as down, and how it is tried again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures_in_a_row: int = Field(5, ge=1, description="Open after so many failures without a success.")
    failure_share: float = Field(0.5, gt=0, le=1, description="Open when this share of the last `sample` calls failed.")
    sample: int = Field(20, ge=1, description="Calls over which the share is taken.")
    open_s: float = Field(15, gt=0, description="First pause; it doubles with each failed probe.")
    longest_open_s: float = Field(
        60, gt=0, description="Longest pause between two probes: one uncharged request a minute."
    )
    trust_s: float = Field(
        30,
        gt=0,
        description="After so long without a good answer, one request goes ahead alone before the others follow.",
    )
    head_start_s: float = Field(
        3, ge=0, description="How long the others wait for that one at most, the first time that a provider is asked."
    )
    probe_timeout_s: float = Field(300, gt=0, description="A probe without an answer for so long counts as failed.")


class RoutingSettings(BaseModel):
    """How rows are given to providers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    breaker: BreakerSettings = BreakerSettings()
    linger_s: float = Field(2, ge=0, description="How long rows may wait for company before a batch leaves part full.")
    lookahead_s: float = Field(
        20,
        gt=0,
        description="A row that its provider could not start within this stays free, and is routed anew shortly before.",
    )
    patience_s: float = Field(
        120,
        ge=0,
        description="How long rows wait for their planned provider when it is down, before a dearer one takes them.",
    )
    replan_every_s: float = Field(
        30,
        gt=0,
        description="The rest of the run is planned anew this often, and at once when a provider comes or goes.",
    )
    deadline_reserve: float = Field(
        0.02, ge=0, lt=1, description="Share of the run's whole time that the plan keeps in hand, for what goes wrong."
    )
    typical_megapixels: Decimal = Field(
        Decimal(2), gt=0, description="Taken for pictures whose size is not known before they are read."
    )
    typical_s: dict[str, float] = Field(
        {"runflow": 60, "maskr": 4, "modelslab": 15, "onemin": 20, "local": 1},
        description="Seconds from request to result, by provider, until the run has measured its own.",
    )
    typical_batch_s: dict[str, float] = Field(
        {"maskr": 30}, description="The same for one full batch request, by provider."
    )
