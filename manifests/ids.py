"""Identities that are computed, not drawn: the same work has the same id on every machine and every night."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
    item_id, run nor provider is part of it. The digest is that of the facts as JSON, keys in alphabetical order. Points without labels are the same work as points that are all labelled 1.
    """
    box_text, labels_text, between = _wishes(
        operation,
        tuple(tuple(map(int, point)) for point in points),
        tuple(map(int, labels or [1] * len(points))),
        tuple(map(int, box)) if box else None,
        object_name or None,
        prompt or None,
        output_format,
    )
    image, mask, reference = map(_hex_json, (image_sha256, mask_sha256, reference_sha256))
    text = (
        f'{{"box":{box_text},"image":{image},"labels":{labels_text},"mask":{mask},{between},"reference":{reference}}}'
    )
    return _CONTENT + hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1024)  # millions of rows ask for the same in other pictures
def _wishes(
    operation: Operation,
    points: tuple[tuple[int, ...], ...],
    labels: tuple[int, ...],
    box: tuple[int, ...] | None,
    object_name: str | None,
    prompt: str | None,
    output_format: str,
) -> tuple[str, str, str]:
    """What a content key's JSON says beside the files: the box, the labels, and all that stands between mask and reference."""
    between = {
        "object_name": object_name,
        "operation": str(operation),
        "output_format": output_format,
        "points": points,
        "prompt": prompt,
    }
    return _json(box), _json(labels), _json(between)[1:-1]


def _hex_json(sha256: str | None) -> str:
    return f'"{sha256.lower()}"' if sha256 else "null"


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
    return hashlib.sha256(_json(facts).encode()).hexdigest()


def _json(facts: object) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
