"""Identities that are computed, not drawn: the same work has the same id on every machine and every night."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from manifests.items import Operation
from manifests.storage import shown

_CONTENT: Final = (
    "c1-"  # the version of the recipe: another recipe, another prefix, and nothing is mistaken for reusable
)
_ATTEMPT: Final = "a1-"
_TIMESTAMP: Final = re.compile(r"-\d{8}T\d{6}Z$")
_LONGEST_STEM: Final = 60


def content_key(
    *,
    image_sha256: str,
    mask_sha256: str | None = None,
    reference_sha256: str | None = None,
    operation: Operation,
    points: Sequence[Sequence[int]] = (),
    labels: Sequence[int] = (),
    box: Sequence[int] | None = None,
    object_name: str | None = None,
    prompt: str | None = None,
    output_format: str = "source",
) -> str:
    """Identity of the work that an item asks for: `c1-` and 64 hex digits.

    Made of the files' bytes (SHA-256, hex), not of their addresses, and of all that changes the delivered picture; neither
    item_id, run nor provider is part of it. Points without labels are the same work as points that are all labelled 1.
    """
    facts = {
        "image": image_sha256.lower(),
        "mask": mask_sha256.lower() if mask_sha256 else None,
        "reference": reference_sha256.lower() if reference_sha256 else None,
        "operation": str(operation),
        "points": [list(map(int, point)) for point in points],
        "labels": list(map(int, labels or [1] * len(points))),
        "box": list(map(int, box)) if box else None,
        "object_name": object_name or None,
        "prompt": prompt or None,
        "output_format": output_format,
    }
    return _CONTENT + _digest(facts)


def attempt_key(content: str, provider: str, try_number: int) -> str:
    """Identity of one request: `a1-` and 64 hex digits; sent as the idempotency key where the provider knows such a thing.

    `content` is the item's content key, which no run is part of: the same try of the same work after a crash is the same request.
    """
    return _ATTEMPT + _digest([content, provider, try_number])


def new_run_id(manifest_uri: str, now: datetime) -> str:
    """A readable id for a run that was given none: `spring-catalog-20261120T131500Z`."""
    path = PurePosixPath(re.sub(r"[*?\[\]{}]", "", shown(manifest_uri)).rstrip("/"))
    name = path.name.split(".")[0]
    name = path.parent.name if name in ("", "results") else name
    name = _TIMESTAMP.sub("", name.removeprefix("run_id="))
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:_LONGEST_STEM]
    return f"{stem or 'run'}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _digest(facts: object) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
