"""Whether a provider can take a row at all: what it offers, and the sizes that no preparation can mend.

Formats and most sizes are soft: preflight converts, re-encodes, crops a picture around its holes and scales it. Hard are
those that would have to be scaled further than `PreflightSettings` allows. Preflight itself decides to the pixel; here
only what is sure is ruled out, from the number of pixels alone.
"""

from dataclasses import dataclass
from math import inf, sqrt

from manifests.error_codes import ErrorCode
from tasks.routing.views import ProviderView
from tasks.routing.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a provider can never take a row."""

    code: ErrorCode
    message: str


def misfit(work: Work, view: ProviderView) -> Misfit | None:
    """The reason, or None when it can."""
    if work.pinned is not None and work.pinned != view.key:
        return Misfit(code=ErrorCode.NO_PROVIDER, message=f"the row asks for {work.pinned}")
    can = view.capabilities
    if can.offer(work.operation, work.selectors) is None:
        given = ", ".join(sorted(work.selectors)) or "nothing"
        return Misfit(code=ErrorCode.NO_PROVIDER, message=f"no {work.operation} by {given}")
    if work.pixels is None:
        return None
    side = sqrt(work.pixels)
    if can.min_side is not None and side * view.max_upscale < can.min_side:
        return Misfit(code=ErrorCode.PROVIDER_REJECTED, message=f"takes no picture below {can.min_side} pixels a side")
    if not work.croppable and side * view.min_scale > _largest_side(view):
        return Misfit(
            code=ErrorCode.IMAGE_TOO_LARGE,
            message=f"takes {_largest_side(view) ** 2 / 1e6:.1f} megapixels, and there is no hole to crop around",
        )
    return None


def too_large(work: Work, view: ProviderView) -> bool:
    """Whether the picture must be made smaller for this provider. Unknown sizes are taken to fit."""
    return work.pixels is not None and sqrt(work.pixels) > _largest_side(view)


def _largest_side(view: ProviderView) -> float:
    """Of the largest square that it takes, pixels."""
    can = view.capabilities
    by_pixels = sqrt(can.max_image_pixels) if can.max_image_pixels is not None else inf
    return min(by_pixels, can.max_side if can.max_side is not None else inf)
