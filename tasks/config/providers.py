"""What can be set about each provider. Defaults come from the seeds and `docs/providers.md`; whatever the vendors leave open is a field here."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from manifests.items import Operation
from tasks.config.limits import RateLimit
from tasks.config.lists import Numbers, Texts


class MessagePatterns(BaseModel):
    """Regular expressions, case ignored, that tell what a vendor's words mean where its status does not; the first group that fits wins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    out_of_credit: Texts = [
        r"(insufficient|not enough|no more|out of)[\w\s_]{0,20}(credit|balance|fund)",
        r"credits? (are |is |have been )?(exhausted|used up|exceeded)",
        r"INSUFFICIENT_CREDIT",
    ]
    wrong_key: Texts = [
        r"(invalid|wrong|missing|expired|unknown|incorrect)[\w\s_-]{0,12}api[\s_-]?key",
        r"api[\s_-]?key[\w\s]{0,12}(invalid|missing|expired|required|not valid)",
        r"^unauthori[sz]ed\b",
    ]
    too_many: Texts = [
        r"rate[\s_-]?limit",
        r"too many requests",
        r"maximum \d+ queued",
        r"queue (is )?full",
    ]
    rejected: Texts = [
        r"unable to (fetch|download|read|open|decode) (the )?(\w+ )?(image|mask|file|url)",
        r"(invalid|unsupported|corrupt\w*|unreadable)[\w\s]{0,20}(image|mask|file|format|url)",
        r"file type (isn't|is not) supported",
        r"field[\w\s]{0,30}required",
        r"INPUT_VALIDATION_FAILED",
    ]

    @field_validator("*")
    @classmethod
    def _patterns_compile(cls, value: list[str]) -> list[str]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"'{pattern}' is no regular expression: {error}") from None
        return value


class ProviderSettings(BaseModel):
    """Settings that every provider has. A provider without a key is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    api_key: SecretStr | None = None
    api_key_file: Path | None = Field(None, description="Read at each use, so that a rotated key needs no restart.")
    api_key_block: str | None = Field(None, description="Name of a Prefect Secret block that holds the key.")
    base_url: str = ""
    limits: Texts = Field(
        default_factory=list, description="Rate limits of single requests, such as 60/min, 4/s, 20MP/min."
    )
    batch_limits: Texts = Field(default_factory=list, description="Rate limits of batch requests.")
    requests_per_minute: int | None = Field(None, ge=1, description="Shorthand for limits = ['N/min'].")
    batch_requests_per_minute: int | None = Field(None, ge=1, description="Shorthand for batch_limits = ['N/min'].")
    max_in_flight: int | None = Field(
        None, ge=1, description="Requests under way at once, over all processes on the ledger."
    )
    credits: Decimal | None = Field(None, description="Opening balance; None: unknown, and not a limit.")
    credits_per_image: Decimal = Decimal(0)
    usd_per_credit: Decimal = Decimal(0)
    usd_per_image: Decimal | dict[Operation, Decimal] = Field(
        Decimal(0), description="Price of an image beside its credits; one for all, or one an operation."
    )
    connect_timeout_s: float = 10
    request_timeout_s: float = Field(60, description="For one request; a batch request gets batch_timeout_s.")
    batch_timeout_s: float = 300
    download_timeout_s: float = 60
    poll_interval_s: float = 2
    poll_deadline_s: float = Field(600, description="After this a remote job counts as hung.")
    max_image_bytes: int | None = Field(None, description="Overrides the adapter's own limit.")
    max_image_pixels: int | None = Field(None, description="Overrides the adapter's own limit.")
    max_output_bytes: int = Field(100_000_000, ge=1, description="A larger result is not downloaded.")
    uncharged_statuses: Numbers = Field(
        [503, 521, 523, 525, 526],
        description="5xx statuses of the charged request that surely mean: refused, not charged. Others leave it in doubt.",
    )
    failures_charged: bool | None = Field(
        None,
        description="Whether the vendor charges jobs that fail; none: it does not say, so the price counts as charged.",
    )
    messages: MessagePatterns = MessagePatterns()

    @field_validator("limits", "batch_limits")
    @classmethod
    def _limits_parse(cls, value: list[str]) -> list[str]:
        return [str(RateLimit.parse(text)) for text in value]

    def cost_usd(self, operation: Operation) -> Decimal:
        """What one image costs in money, US dollars."""
        price = self.usd_per_image
        listed = price.get(operation, Decimal(0)) if isinstance(price, dict) else price
        return listed + self.credits_per_image * self.usd_per_credit

    def rate_limits(self) -> list[RateLimit]:
        """The limits that single requests must keep."""
        shorthand = [f"{self.requests_per_minute}/min"] if self.requests_per_minute else []
        return [RateLimit.parse(text) for text in (shorthand or self.limits)]

    def batch_rate_limits(self) -> list[RateLimit]:
        """The limits that batch requests must keep; empty where the provider has no batch endpoint or states no limit."""
        shorthand = [f"{self.batch_requests_per_minute}/min"] if self.batch_requests_per_minute else []
        return [RateLimit.parse(text) for text in (shorthand or self.batch_limits)]

    def key(self) -> str | None:
        """The API key in the clear, read anew each time; None when there is none."""
        if self.api_key_file is not None:
            return self.api_key_file.read_text().strip() or None
        return self.api_key.get_secret_value() if self.api_key else None


class RunflowSettings(ProviderSettings):
    """Runflow. Prices: seeds 000 and 003; no rate limit is published (`docs/providers.md`)."""

    base_url: str = "https://api.runflow.io"
    usd_per_image: Decimal | dict[Operation, Decimal] = {
        Operation.OBJECT_REMOVAL: Decimal("0.48"),
        Operation.BACKGROUND_REPLACE: Decimal("0.35"),
    }
    failures_charged: bool | None = Field(False, description="Runflow: failed runs are not billed (concepts/pricing).")
    organization_id: str | None = Field(None, description="Sent as X-Organization-Id.")
    max_side: int | None = Field(
        4096, ge=1, description="Pixels; from a sample error in the documents; none: no limit."
    )
    object_removal_model: str = "runflow/object-removal"
    background_replace_model: str = "runflow/background-replace"
    zip_hosting: Literal["auto", "staging", "upload", "inline"] = Field(
        "auto",
        description="Where the zip is put: staging_uri, Runflow's asset upload, or a data: URI (under 1 MiB). "
        "auto: staging_uri where there is one, else upload, else inline when small.",
    )
    asset_reference: Literal["url", "runflow"] = Field(
        "url",
        description="How an uploaded zip is named in the run: its signed https address, or runflow://assets/<id>.",
    )
    whiten_background: bool = Field(
        True,
        description="background-replace with a mask: paint the masked area white, which the default prompt speaks of.",
    )
    send_client_ref: bool = True
    send_metadata: bool = True
    send_idempotency_key: bool = True
    idempotent_runs: bool = Field(
        False,
        description="True: you know that Idempotency-Key covers single runs, so a lost request may be sent again.",
    )
    find_query: str | None = Field(
        None,
        description="Filter for GET /v1/runs that finds a run by its client_ref, such as client_ref.EQ:'{client_ref}'; "
        "none: lost requests are not looked up.",
    )
    balance_path: str = Field("/v1/billing/balance", description="/v1/credit-balances is tried when it is not there.")
    balance_unit: Literal["usd", "credits"] = Field("usd", description="What a bare `balance` counts.")


class MaskrSettings(ProviderSettings):
    """Maskr. Limits and the sample's 3 credits: seed 001; the price of a credit is not published."""

    base_url: str = "https://api.maskr.io"
    limits: Texts = ["60/min"]
    batch_limits: Texts = ["30/min"]
    credits_per_image: Decimal = Decimal(3)
    batch_size: int = Field(50, ge=1, le=50, description="Most pairs in one batch request; 1: single requests only.")
    balance_url: str | None = Field(
        None, description="Such as https://billing.maskr.io/billing/balance, should it take API keys; none: not asked."
    )


class ModelsLabSettings(ProviderSettings):
    """ModelsLab. No price is published; 5 queue slots is the pay-as-you-go plan's."""

    base_url: str = "https://modelslab.com"
    max_in_flight: int | None = 5
    api_path: str = Field("/api/v6", description="/api/v1/enterprise for enterprise plans.")
    balance_path: str = "/api/wallet_balance"
    track_id: Literal["integer", "string"] = Field("integer", description="The documents give both types.")
    upload_path: str = Field("/api/v6/base64_to_url", description="For pictures that have no public address.")
    upload_max_bytes: int = Field(
        5_000_000, ge=1, description="Of the base64 text; the documents leave open whether 5 MB counts it or the file."
    )


class OneMinSettings(ProviderSettings):
    """1min.ai. Neither price nor limit is published."""

    base_url: str = "https://api.1min.ai"
    max_image_bytes: int | None = Field(10_000_000, description="Recraft's own limits, which probably hold here too.")
    max_image_pixels: int | None = Field(16_000_000, description="As above.")
    max_side: int | None = Field(4096, ge=1, description="As above, pixels.")
    min_side: int | None = Field(256, ge=1, description="As above, pixels.")
    object_removal_model: Literal["recraft", "stable-image"] = "recraft"
    background_replace_model: str = "recraft"
    background_options: dict[str, str | int] = Field(
        default_factory=dict,
        description="Further promptObject fields for BACKGROUND_REPLACER: style, negative_prompt, …",
    )
    send_urls: bool = Field(False, description="True: pass addresses on as imageUrl instead of uploading each picture.")
    poll_unfinished: bool = Field(
        False, description="True: ask GET /api/features/<uuid> about records that are not finished; undocumented."
    )
    asset_base_url: str | None = Field(
        None, description="Where result keys can be read when temporaryUrl is missing, such as https://asset.1min.ai."
    )


class LocalSettings(ProviderSettings):
    """The free engine in this process: no key, no cost, no limit but the CPU."""

    engine: Literal["patchmatch", "telea", "ns", "lama-onnx"] = "patchmatch"
    lama_model: Path | None = Field(None, description="Your ONNX file, for the engine lama-onnx.")
    long_side: int = Field(512, ge=64, description="patchmatch works on a hole's surroundings scaled to this, pixels.")
    seed: int = 1
    workers: int | None = Field(None, ge=1, description="Threads; None: one a core.")


class ProvidersSettings(BaseModel):
    """One entry a provider; the field's name is the provider's key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runflow: RunflowSettings = RunflowSettings()
    maskr: MaskrSettings = MaskrSettings()
    modelslab: ModelsLabSettings = ModelsLabSettings()
    onemin: OneMinSettings = OneMinSettings()
    local: LocalSettings = LocalSettings()

    def of(self, key: str) -> ProviderSettings:
        """The settings of one provider. KeyError names the known ones."""
        if key not in type(self).model_fields:
            raise KeyError(f"unknown provider '{key}': known are {', '.join(type(self).model_fields)}")
        settings: ProviderSettings = getattr(self, key)
        return settings

    def each(self) -> dict[str, ProviderSettings]:
        """All of them by key, in the order in which they are declared."""
        return {key: self.of(key) for key in type(self).model_fields}
