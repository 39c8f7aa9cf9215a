"""Is a provider's answer fit to be sold with? It is read, compared with what was sent, let into the original, and looked at."""

from manifests.error_codes import ErrorCode
from tasks.config.imaging import QualitySettings
from tasks.imaging.colour_match import Fields
from tasks.imaging.picture import Picture, PictureError, Pixels, Plane
from tasks.imaging.transparency import on_white
from tasks.preflight.values import Fitted, Preflight
from tasks.quality.answer import read_answer
from tasks.quality.compare import compare, measure_answer
from tasks.quality.compose import compose, look, measure_composed, region_in_full
from tasks.quality.region import edited_region
from tasks.quality.values import Composed, Refusal, Verdict


def judge(
    preflight: Preflight,
    fitted: Fitted,
    result_bytes: bytes,
    settings: QualitySettings,
    *,
    nsfw: bool | None = None,
    trusted: bool = False,
) -> Verdict:
    """Measure an answer, compose it and decide. Never raises for what an answer may hold.

    Args:
        preflight: the accepted row.
        fitted: what was sent for it.
        result_bytes: what the provider returned.
        settings: thresholds.
        nsfw: the provider's own flag, where it gives one.
        trusted: the provider is the local engine, whose colours cannot have drifted: they are not matched.
    """
    picture = preflight.picture
    if picture is None:
        raise ValueError(f"{preflight.item.item_id} was rejected: {preflight.reason}")
    try:
        returned, repairs = read_answer(result_bytes, fitted.placement, settings)
    except PictureError as error:
        return Verdict(refusal=Refusal(code=error.code, reason=error.message))
    region = fitted.sent_mask
    if region is None:
        region = edited_region(fitted.sent, returned, box=fitted.box)
    if not region.any():
        unchanged = Refusal(code=ErrorCode.OUTPUT_UNCHANGED, reason="the output is the input: nothing was edited")
        return Verdict(repairs=repairs, refusal=unchanged)
    fields: Fields = {}
    measured = measure_answer(fitted.sent, returned, region, fields)
    refusal = compare(fitted.sent, returned, region, measured, settings, nsfw=bool(nsfw))
    if refusal is not None and refusal.code in {ErrorCode.OUTPUT_NSFW, ErrorCode.OUTPUT_BLANK}:
        return Verdict(metrics=measured, repairs=repairs, refusal=refusal)
    match_colour = settings.match_colour and not trusted
    same_pixels = fitted.placement.covers(picture.width, picture.height) and not fitted.placement.scaled
    composed = _compose(
        preflight,
        picture,
        fitted,
        returned,
        region,
        settings,
        match_colour=match_colour,
        fields=fields if same_pixels else {},
    )
    measured |= measure_composed(picture, composed, fitted)
    return Verdict(metrics=measured, composed=composed, repairs=repairs, refusal=refusal or look(measured, settings))


def _compose(
    preflight: Preflight,
    picture: Picture,
    fitted: Fitted,
    returned: Pixels,
    region: Plane,
    settings: QualitySettings,
    *,
    match_colour: bool,
    fields: Fields,
) -> Composed:
    edited = fitted.placement.put_back(returned, on_white(picture))
    mask = preflight.mask.values if preflight.mask else None
    if mask is None:
        mask = region_in_full(region, fitted.placement, width=picture.width, height=picture.height)
    return compose(picture, mask, edited, fitted.item.operation, settings, match_colour=match_colour, fields=fields)
