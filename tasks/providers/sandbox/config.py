"""What can be set about the sandbox. Defaults are the documents'; where they are silent, a plausible value that says so."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tasks.providers.sandbox.faults import Fault
from tasks.providers.sandbox.limits import Limit

VendorName = Literal["runflow", "maskr", "modelslab", "onemin"]
PictureFormat = Literal["source", "png", "jpeg", "webp"]


def _limit_parses(text: str) -> str:
    return str(Limit.parse(text))


LimitText = Annotated[str, AfterValidator(_limit_parses)]


class ScenarioError(Exception):
    """The scenario cannot be used; the message names the file, the key, what was expected."""


class VendorConfig(BaseModel):
    """What every vendor of the sandbox has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: dict[str, Decimal] = Field(
        default_factory=dict, repr=False, description="API key → what its account holds at the start."
    )
    open: bool = Field(True, description="Any other key that is not empty opens an account of its own.")
    refused_keys: tuple[str, ...] = Field(("wrong-key",), description="Keys that are refused in any case.")
    credits: Decimal = Field(
        Decimal(1_000_000), ge=0, description="What every other account holds at the start, in the vendor's unit."
    )
    limits: tuple[LimitText, ...] = Field((), description="Limits of the charged single request, an account.")
    batch_limits: tuple[LimitText, ...] = Field((), description="Limits of the charged batch request, an account.")
    retry_after_header: bool = Field(True, description="Whether a 429 carries Retry-After.")
    latency_s: float = Field(0, ge=0, description="How long the work itself takes at least.")
    output_format: PictureFormat = "png"
    url_ttl_s: float = Field(3600, gt=0, description="How long a download address is good.")

    def single_limits(self) -> tuple[Limit, ...]:
        """Limits of the charged single request."""
        return tuple(Limit.parse(text) for text in self.limits)

    def batch_request_limits(self) -> tuple[Limit, ...]:
        """Limits of the charged batch request."""
        return tuple(Limit.parse(text) for text in self.batch_limits)


class RunflowConfig(VendorConfig):
    """Runflow. Prices: seeds 000 and 003. No rate limit is published, none is set. Accounts hold US dollars."""

    usd_per_run: dict[str, Decimal] = {
        "runflow/object-removal": Decimal("0.48"),
        "runflow/background-replace": Decimal("0.35"),
    }
    retry_after_header: bool = False  # "429 responses do not currently carry rate-limit headers"
    queue_s: float = Field(0, ge=0, description="How long a run stays queued.")
    callback_secret: str | None = Field(None, repr=False, description="Signs every account's callbacks.")
    callback_backoff_s: tuple[float, ...] = Field((1, 2), description="Waits between the attempts (seed 000).")
    asset_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp", "application/zip")
    max_zip_bytes: int = 52_428_800  # the upload's bound; one for zip_url itself is not documented


class MaskrConfig(VendorConfig):
    """Maskr. Limits, batch of 50, 25 MB and the sample's 3 credits: seed 001. Accounts hold credits."""

    limits: tuple[LimitText, ...] = ("60/min",)
    batch_limits: tuple[LimitText, ...] = ("30/min",)
    credits_per_image: Decimal = Decimal(3)
    usd_per_credit: Decimal = Field(Decimal("0.01"), description="Not published: the sandbox's own.")
    max_file_bytes: int = 25 * 1024 * 1024
    max_batch: int = 50
    max_batch_bytes: int = Field(512 * 1024 * 1024, description="Of one batch request; not documented.")


class ModelsLabConfig(VendorConfig):
    """ModelsLab. 5 queue slots: pay-as-you-go plan. Price: the sandbox's own. Accounts hold US dollars."""

    output_format: PictureFormat = "jpeg"
    url_ttl_s: float = 86_400
    usd_per_image: Decimal = Decimal("0.02")
    processing_s: float = Field(0, ge=0, description="0: the first answer is `success`; else `processing` first.")
    slots: int = Field(5, ge=1, description="Jobs under way at once, an account.")
    slot_retry_after_s: int = 30
    errors_as_200: bool = Field(False, description="Say quota errors with HTTP 200 and status error, as some pages do.")
    max_upload_bytes: int = 5_000_000  # of the decoded picture; how 5 MB is counted is not documented
    fetch_timeout_s: float = 20


class OneMinConfig(VendorConfig):
    """1min.ai. Credits a call and their price: not published, the sandbox's own. Accounts hold credits."""

    url_ttl_s: float = 604_800  # X-Amz-Expires of seed 004's sample
    credits_per_image: Decimal = Decimal(1000)
    usd_per_credit: Decimal = Decimal("0.00001")
    max_file_bytes: int = 50_000_000


class SandboxConfig(BaseModel):
    """One sandbox: where it listens, how it edits, what it keeps, how it fails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65_535, description="0: any free one.")
    public_url: str | None = Field(None, description="Address in answers; else the one that the request was made to.")
    engine: Literal["inpaint", "quick"] = Field("inpaint", description="quick: a flat fill, for throughput.")
    seed: int = 1
    workers: int = Field(2, ge=1, description="Threads that edit pictures.")
    kept_bytes: int = Field(512 * 1024 * 1024, description="Pictures kept for download; the oldest go first.")
    bill: Path | None = Field(None, description="SQLite file of the bill; an existing one is continued.")
    runflow: RunflowConfig = RunflowConfig()
    maskr: MaskrConfig = MaskrConfig()
    modelslab: ModelsLabConfig = ModelsLabConfig()
    onemin: OneMinConfig = OneMinConfig()
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a scenario file.

        Raises:
            ScenarioError: no such file, no TOML, an unknown key or a wrong value.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ScenarioError(f"{path} is no valid TOML: {error}") from None
        except ValidationError as error:
            raise ScenarioError(f"{path} cannot be used:\n{explain(error)}") from None


def explain(error: ValidationError) -> str:
    """One line a fault, without the offending input, nor any name inside `keys`: they are secrets."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        names = [str(part) for part in fault["loc"]]
        shown = [*names[: names.index("keys") + 1], "…"] if "keys" in names else names
        lines.append(f"  {'.'.join(shown)}: {fault['msg']}")
    return "\n".join(lines)
