"""The answer, let into the original where the mask allows and nowhere else."""

import numpy as np

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.imaging import QualitySettings
from tasks.imaging.colour_match import Fields
from tasks.imaging.composite import composite, fill_alpha
from tasks.imaging.matte import composite_background
from tasks.imaging.picture import Picture, Pixels, Plane
from tasks.imaging.placement import Placement
from tasks.imaging.resize import resized_mask
from tasks.imaging.transparency import on_white
from tasks.preflight.values import Fitted
from tasks.quality import surface
from tasks.quality.values import Composed, Refusal


def compose(
    picture: Picture,
    mask: Plane,
    edited: Pixels,
    operation: Operation,
    settings: QualitySettings,
    *,
    match_colour: bool,
    fields: Fields,
) -> Composed:
    """All at the picture's full size: the original, where to edit, and the answer put back in its place."""
    if operation is Operation.BACKGROUND_REPLACE:
        return _in_front(picture, mask, edited, settings)
    shown = on_white(picture)
    pixels = composite(shown, edited, mask, feather_px=settings.feather_px, match_colour=match_colour, fields=fields)
    if picture.alpha is None:
        return Composed(pixels=pixels, alpha=None, region=mask)
    # What lies under transparency is the source's own too, though nobody sees it.
    return Composed(
        pixels=np.where(mask[..., None] > 0, pixels, picture.pixels), alpha=fill_alpha(picture.alpha, mask), region=mask
    )


def _in_front(picture: Picture, mask: Plane, edited: Pixels, settings: QualitySettings) -> Composed:
    """A cut-out's own transparency is its matte: the scene shines through it, and the result is opaque."""
    pixels = composite_background(picture.pixels, edited, mask, matte_px=settings.matte_px)
    if picture.alpha is None:
        return Composed(pixels=pixels, alpha=None, region=mask)
    rows, columns = np.nonzero((picture.alpha < 255) & (mask == 0))
    share = picture.alpha[rows, columns, None].astype(np.float32) / 255
    front, behind = picture.pixels[rows, columns].astype(np.float32), edited[rows, columns].astype(np.float32)
    pixels[rows, columns] = np.rint(share * front + (1 - share) * behind).astype(np.uint8)
    return Composed(pixels=pixels, alpha=None, region=mask)


def region_in_full(region: Plane, placement: Placement, *, width: int, height: int) -> Plane:
    """A region found in what was sent, in the full picture."""
    x1, y1, x2, y2 = placement.box
    full = np.zeros((height, width), np.uint8)
    full[y1:y2, x1:x2] = resized_mask(region, x2 - x1, y2 - y1)
    return full


def measure_composed(picture: Picture, composed: Composed, fitted: Fitted) -> dict[str, float]:
    """How the edit sits in its surroundings. A new background has none that it should resemble."""
    if fitted.item.operation is Operation.BACKGROUND_REPLACE:
        return {}
    return {
        "seam": surface.seam(picture.pixels, composed.pixels, composed.region),
        "sharpness": surface.sharpness(picture.pixels, composed.pixels, composed.region),
    }


def look(measured: dict[str, float], settings: QualitySettings) -> Refusal | None:
    """Why the composed picture may not be delivered; None: it may."""
    seam, sharpness = measured.get("seam", 0.0), measured.get("sharpness", 1.0)
    if seam > settings.max_seam:
        return Refusal(code=ErrorCode.OUTPUT_POOR, reason=f"the seam shows: {seam:.0f} levels of extra step")
    if sharpness < settings.min_sharpness:
        reason = f"the edit is blurred: it has {sharpness:.2f} of the detail around it"
        return Refusal(code=ErrorCode.OUTPUT_POOR, reason=reason)
    return None
