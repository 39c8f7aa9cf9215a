"""The page of `cleanplate manifest check --deep`: what is wrong with a catalog, with pictures, in one file that needs no network."""

import base64
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from markupsafe import Markup

from manifests.catalog_findings import CatalogFindings, Example, Found, by_rows
from manifests.repairs import REPAIRS
from manifests.storage import shown
from tasks.report.gallery import fitting
from tasks.report.pictures import PictureLimits, Thumbnail
from tasks.report.rendering import asset, environment
from tasks.report.wording import count, money

_PICTURES_BYTES: Final = 4_000_000  # of all thumbnails together
_DEADLINE_S: Final = 60.0  # after this, unread pictures are shown as missing
_LIMITS: Final = PictureLimits(long_side=280, webp_quality=70, read_timeout_s=10)
_READERS: Final = 8
_FILES: Final = (("image", "image_uri"), ("mask", "mask_uri"), ("reference", "reference_uri"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One example with its pictures: role and thumbnail."""

    example: Example
    pictures: tuple[tuple[str, Thumbnail], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One finding of the page."""

    name: str
    advice: str
    found: Found
    examples: tuple[Shown, ...]


def render_check(manifest: str, found: CatalogFindings, *, made_at: datetime) -> str:
    """The page itself. Everything from the catalog is escaped; its policy allows its own style sheet alone."""
    faults = [(code.value, code.advice, one) for code, one in by_rows(found.faults)]
    repairs = [(name, REPAIRS.get(name, ""), one) for name, one in by_rows(found.repairs)]
    wanted = [example for *_, one in (*faults, *repairs) for example in one.examples]
    pictures = iter(_pictures(wanted))
    css = asset("cleanplate.css")
    return (
        environment()
        .get_template("check.html")
        .render(
            manifest=shown(manifest),
            found=found,
            verdict=_verdict(found),
            figures=_figures(found),
            faults=[_part(*one, pictures) for one in faults],
            repairs=[_part(*one, pictures) for one in repairs],
            policy=f"default-src 'none'; img-src data:; style-src {_digest(css)}; base-uri 'none'; form-action 'none'",
            css=Markup(css),  # noqa: S704 - our own file
            made_at=made_at,
        )
    )


def _part(name: str, advice: str, found: Found, pictures: Iterator[Shown]) -> Part:
    return Part(name=name, advice=advice, found=found, examples=tuple(islice(pictures, len(found.examples))))


def _pictures(examples: list[Example]) -> list[Shown]:
    """Thumbnails of all examples, within a budget of bytes and time."""
    each = _PICTURES_BYTES * 3 // 4 // (len(_FILES) * max(len(examples), 1))
    ends = time.monotonic() + _DEADLINE_S

    def load(example: Example) -> Shown:
        left_s = max(ends - time.monotonic(), 0.001)
        limits = replace(_LIMITS, read_timeout_s=min(_LIMITS.read_timeout_s, left_s))
        named = [(role, getattr(example, column)) for role, column in _FILES]
        return Shown(
            example=example,
            pictures=tuple((role, fitting(uri, limits, each)) for role, uri in named if uri),
        )

    with ThreadPoolExecutor(_READERS, thread_name_prefix="check-page") as pool:
        return list(pool.map(load, examples))


def _verdict(found: CatalogFindings) -> str:
    if not found.rejected:
        return f"All {count(found.rows)} rows can be sent."
    saved = f" At the least price they would have cost {money(found.saved_usd)}." if found.priced_by else ""
    return f"{count(found.rejected)} of {count(found.rows)} rows would be rejected before anything is spent.{saved}"


def _figures(found: CatalogFindings) -> list[tuple[str, str, str]]:
    by = f"at the least price of {', '.join(found.priced_by)}" if found.priced_by else "no provider with a price is on"
    return [
        ("Rows", count(found.rows), ""),
        ("Sound as they are", count(found.untouched), ""),
        ("Sent after a repair", count(found.repaired), ""),
        ("Rejected", count(found.rejected), ""),
        ("Saved", money(found.saved_usd) if found.priced_by else "–", by),
    ]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
