"""What the gate answers: values, never exceptions."""

from dataclasses import dataclass, field

from manifests.error_codes import ErrorCode
from tasks.imaging.picture import Pixels, Plane


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why an answer may not be delivered."""

    code: ErrorCode
    reason: str  # one sentence for people


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Composed:
    """What would be delivered, at the picture's full size."""

    pixels: Pixels = field(repr=False)
    alpha: Plane | None = field(repr=False)
    region: Plane = field(repr=False)  # where the edit was let in; elsewhere the source's own pixels, every byte


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verdict:
    """A provider's answer, measured. A refused one may still be composed: the best of them is kept aside for review."""

    metrics: dict[str, float] = field(default_factory=dict)  # names without "quality_": columns of the results
    composed: Composed | None = None
    repairs: tuple[str, ...] = ()
    refusal: Refusal | None = None

    @property
    def accepted(self) -> bool:
        """Whether it may be delivered."""
        return self.refusal is None

    @property
    def code(self) -> ErrorCode | None:
        """Why it was refused; None when it was not."""
        return self.refusal.code if self.refusal else None

    @property
    def reason(self) -> str | None:
        """The same for people."""
        return self.refusal.reason if self.refusal else None

    @property
    def rank(self) -> float:
        """Among refused answers the highest is the one worth a person's look; minus infinity: nothing to look at."""
        if self.composed is None:
            return float("-inf")
        seen = self.metrics
        return 100 * seen.get("similarity", 0.0) - seen.get("outside_mean_delta", 255.0) - seen.get("seam", 0.0)
