"""Faults on command: what goes wrong, where, how often. Drawn from a seeded generator, counted by kind."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tasks.providers.sandbox.clock import Clock


class FaultKind(StrEnum):
    """Every way in which the sandbox can misbehave."""

    # Of a request, before anything is charged
    LATENCY = "latency"
    STATUS = "status"
    OUTAGE = "outage"
    DROP_BEFORE = "drop_before"
    HANG_BEFORE = "hang_before"
    # Of the answer, after everything was done and charged
    DROP_AFTER = "drop_after"
    HANG_AFTER = "hang_after"
    SLOW_BODY = "slow_body"
    TRUNCATED_BODY = "truncated_body"
    MALFORMED_JSON = "malformed_json"
    HTML = "html"
    BATCH_SHUFFLED = "batch_shuffled"
    BATCH_SHORT = "batch_short"
    # Of one picture
    ITEM_FAILURE = "item_failure"
    STUCK_JOB = "stuck_job"
    EXPIRED_URL = "expired_url"
    BLANK = "blank"
    UNCHANGED = "unchanged"
    WRONG_SIZE = "wrong_size"
    COLOUR_DRIFT = "colour_drift"
    SHIFTED_COLOUR = "shifted_colour"
    SHIFTED_POSITION = "shifted_position"
    PLACEHOLDER = "placeholder"
    NOT_A_PICTURE = "not_a_picture"
    TRUNCATED_PICTURE = "truncated_picture"
    # Of a callback
    CALLBACK_LOST = "callback_lost"
    CALLBACK_LATE = "callback_late"
    CALLBACK_DUPLICATED = "callback_duplicated"
    CALLBACK_FORGED = "callback_forged"


BEFORE = frozenset(
    {FaultKind.LATENCY, FaultKind.STATUS, FaultKind.OUTAGE, FaultKind.DROP_BEFORE, FaultKind.HANG_BEFORE}
)
AFTER = frozenset(
    {
        FaultKind.DROP_AFTER,
        FaultKind.HANG_AFTER,
        FaultKind.SLOW_BODY,
        FaultKind.TRUNCATED_BODY,
        FaultKind.MALFORMED_JSON,
        FaultKind.HTML,
    }
)
OF_BATCH = frozenset({FaultKind.BATCH_SHUFFLED, FaultKind.BATCH_SHORT})
OF_CALLBACK = frozenset(
    {
        FaultKind.CALLBACK_LOST,
        FaultKind.CALLBACK_LATE,
        FaultKind.CALLBACK_DUPLICATED,
        FaultKind.CALLBACK_FORGED,
    }
)
OF_PICTURE = frozenset(FaultKind) - BEFORE - AFTER - OF_BATCH - OF_CALLBACK
STACKABLE = frozenset({FaultKind.LATENCY, FaultKind.CALLBACK_LATE})  # the others exclude each other
DAMAGE = OF_PICTURE - {FaultKind.ITEM_FAILURE, FaultKind.STUCK_JOB, FaultKind.EXPIRED_URL}


class Endpoint(StrEnum):
    """What a request is for: the same words at every vendor."""

    SUBMIT = "submit"  # the charged request for one picture
    BATCH = "batch"  # the charged request for many
    POLL = "poll"
    LOOKUP = "lookup"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    BALANCE = "balance"
    OTHER = "other"


def _pattern_compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


class Fault(BaseModel):
    """One standing order to misbehave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    vendor: Literal["runflow", "maskr", "modelslab", "onemin"] | None = Field(None, description="None: all of them.")
    endpoint: Endpoint | None = Field(None, description="None: every one where this kind makes sense.")
    match: Annotated[str, AfterValidator(_pattern_compiles)] | None = Field(
        None, description="Regular expression searched in the item's file name, id and reference."
    )
    share: float = Field(1, ge=0, le=1, description="Probability at each occasion.")
    count: int | None = Field(None, ge=1, description="At most so often.")
    skip: int = Field(0, ge=0, description="Spare the first occasions.")
    from_s: float = Field(0, ge=0, description="Begins so long after it was set.")
    until_s: float | None = Field(None, gt=0, description="Ends so long after it was set.")
    status: int = Field(503, ge=400, le=599, description="Of `status` and `outage`.")
    seconds: float = Field(5, ge=0, description="Of latency, hangs, slow bodies and late callbacks.")
    retry_after_s: float | None = Field(None, ge=0, description="What a `status` fault says about when to come back.")


@dataclass(slots=True)
class _Standing:
    """A fault that is set, and how it has fared."""

    id: int
    fault: Fault
    set_at_s: float
    dice: random.Random
    occasions: int = 0
    injected: int = 0


@dataclass
class FaultBox:
    """The standing faults. Each has dice of its own, so that its n-th occasion comes out the same in every run."""

    seed: int
    clock: Clock
    injected: Counter[str] = field(default_factory=Counter)  # by kind, also of faults since removed
    _standing: list[_Standing] = field(default_factory=list)
    _next_id: int = 1

    def add(self, fault: Fault) -> int:
        """Set a fault; the id removes it again."""
        dice = random.Random(f"{self.seed}:{self._next_id}:{fault.kind}")  # noqa: S311 - reproducible, not secret
        self._standing.append(_Standing(id=self._next_id, fault=fault, set_at_s=self.clock.monotonic_s(), dice=dice))
        self._next_id += 1
        return self._next_id - 1

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; how many went."""
        kept = [] if fault_id is None else [s for s in self._standing if s.id != fault_id]
        gone = len(self._standing) - len(kept)
        self._standing = kept
        return gone

    def draw(
        self,
        kinds: Iterable[FaultKind],
        *,
        vendor: str,
        endpoint: Endpoint,
        names: Sequence[str] = (),
        only_matching: bool = False,
    ) -> list[Fault]:
        """Those that strike now, counted: delays, and at most one that is more than a delay.

        A fault with `match` is asked only where `names` (file name, id, reference) are known; `only_matching` asks no
        other, for the second look at a request whose faults without `match` were drawn on arrival.
        """
        if not self._standing:
            return []
        wanted = frozenset(kinds)
        struck: list[Fault] = []
        for standing in self._standing:
            fault = standing.fault
            if fault.kind not in wanted or (only_matching and fault.match is None):
                continue
            if self._concerns(standing, vendor, endpoint, names) and self._strikes(standing):
                struck.append(fault)
                if fault.kind not in STACKABLE:
                    break
        return struck

    def _concerns(self, standing: _Standing, vendor: str, endpoint: Endpoint, names: Sequence[str]) -> bool:
        fault = standing.fault
        age_s = self.clock.monotonic_s() - standing.set_at_s
        return (
            fault.vendor in (None, vendor)
            and fault.endpoint in (None, endpoint)
            and fault.from_s <= age_s < (fault.until_s or float("inf"))
            and not (fault.kind is FaultKind.MALFORMED_JSON and endpoint is Endpoint.DOWNLOAD)
            and (fault.match is None or any(re.search(fault.match, name) for name in names))
        )

    def _strikes(self, standing: _Standing) -> bool:
        fault = standing.fault
        standing.occasions += 1
        if standing.occasions <= fault.skip or (fault.count is not None and standing.injected >= fault.count):
            return False
        if fault.share < 1 and standing.dice.random() >= fault.share:
            return False
        standing.injected += 1
        self.injected[fault.kind] += 1
        return True

    def report(self) -> dict[str, object]:
        """What is set, and what was injected by kind."""
        standing = [
            {"id": s.id, "occasions": s.occasions, "injected": s.injected}
            | s.fault.model_dump(mode="json", exclude_defaults=True)
            for s in self._standing
        ]
        return {"standing": standing, "injected": dict(self.injected), "total": self.injected.total()}
