"""Which part of a picture is sent, and how large: a provider's limits in pixels."""

from math import ceil, inf, sqrt

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.imaging import PreflightSettings
from tasks.imaging.holes import bounding_box, grow
from tasks.imaging.picture import Box, Picture
from tasks.imaging.placement import Placement
from tasks.preflight.values import Preflight, Unfit
from tasks.providers.base import Capabilities

_ROUNDING = 1e-6


def place(
    preflight: Preflight, picture: Picture, capabilities: Capabilities, settings: PreflightSettings
) -> Placement | Unfit:
    """The part to be sent, and its size: whole if the limits allow, else the holes with their surroundings, else that scaled down."""
    whole: Box = (0, 0, picture.width, picture.height)
    box, scale = whole, scale_within(whole, capabilities)
    if scale < 1:
        box = _box_around_edit(preflight, picture, settings) or whole
        scale = scale_within(box, capabilities)
        if scale < settings.min_scale:
            size = f"{box[2] - box[0]}×{box[3] - box[1]}"
            return Unfit(
                code=ErrorCode.IMAGE_TOO_LARGE,
                reason=f"{size} pixels would have to shrink to {scale:.0%} for this provider, below min_scale",
            )
    if scale == 1:
        scale = max(scale, _scale_up(box, capabilities))
    placement = _scaled(box, scale)
    if scale > settings.max_upscale or not _within(placement, capabilities):
        limits = f"least side of {capabilities.min_side} within its largest size"
        size = f"{picture.width}×{picture.height}"
        return Unfit(code=ErrorCode.PROVIDER_REJECTED, reason=f"{size} cannot be brought to this provider's {limits}")
    return placement


def _scaled(box: Box, scale: float) -> Placement:
    width, height = box[2] - box[0], box[3] - box[1]
    if scale > 1:
        return Placement(box=box, width=ceil(width * scale - _ROUNDING), height=ceil(height * scale - _ROUNDING))
    return Placement(box=box, width=max(1, int(width * scale)), height=max(1, int(height * scale)))


def scale_within(box: Box, capabilities: Capabilities) -> float:
    """How far this part must shrink for the provider's limits; 1 when it need not."""
    return min(1.0, _room(box, capabilities))


def _room(box: Box, capabilities: Capabilities) -> float:
    """The scale at which this part would just be within the provider's upper limits."""
    width, height = box[2] - box[0], box[3] - box[1]
    by_pixels = sqrt(capabilities.max_image_pixels / (width * height)) if capabilities.max_image_pixels else inf
    by_side = capabilities.max_side / max(width, height) if capabilities.max_side else inf
    return min(by_pixels, by_side)


def _within(placement: Placement, capabilities: Capabilities) -> bool:
    width, height = placement.width, placement.height
    return (
        width * height <= (capabilities.max_image_pixels or inf)
        and max(width, height) <= (capabilities.max_side or inf)
        and min(width, height) >= (capabilities.min_side or 1)
    )


def _scale_up(box: Box, capabilities: Capabilities) -> float:
    return (capabilities.min_side or 1) / min(box[2] - box[0], box[3] - box[1])


def _box_around_edit(preflight: Preflight, picture: Picture, settings: PreflightSettings) -> Box | None:
    """Where the edit will happen, with context; None when it may happen anywhere."""
    item = preflight.item
    if item.operation is Operation.BACKGROUND_REPLACE:
        return None
    holes = bounding_box(preflight.mask.values) if preflight.mask else item.box
    if holes is None:
        return None
    margin = max(settings.context_px, round(settings.context_share * max(holes[2] - holes[0], holes[3] - holes[1])))
    return grow(holes, margin, width=picture.width, height=picture.height)
