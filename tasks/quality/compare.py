"""An answer against what was sent: is it the same picture, was it edited, and was it left alone outside the mask?

The checks run in the order in which a fault makes the next one meaningless.
"""

from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config.imaging import QualitySettings
from tasks.imaging.colour_match import Fields
from tasks.imaging.picture import Pixels, Plane
from tasks.quality import likeness, metrics
from tasks.quality.surface import spread
from tasks.quality.values import Refusal

_OF_P99, _OF_GRAIN = 1.5, 2.0
"""An echo stored again as JPEG changes inside by less than this, times what it changes around the hole."""
_OF_CONTENT: Final = 0.16
"""An echo that was stored well changes inside by less than this, times what was to be removed; true fills by at least 0.2 of it."""
_COARSE: Final = 1.0
"""Levels of grain; stored so coarsely, a busy hole may change by more than its plain surroundings tell."""
_MOST_CHANGE_OF_AN_ECHO: Final = 40.0  # levels; JPEG of quality 30 changes a smoothed picture by at most 11
_KEPT: Final = 0.65
"""An echo stored worse inside than outside still has more than this of what was to be removed: measured, echoes of JPEG quality
30 to 80 have 0.73 and more, fills 0.61 and less (576 echoes and 107 fills that changed little, of photographs)."""
_STILL: Final = 5.0  # levels: smoothed surroundings that change less have not moved, or have nothing that could show it
_FAINT: Final = 1.5  # times `unchanged_p99`: what stood out less was no object but a sky's own gradient


def measure_answer(sent: Pixels, returned: Pixels, region: Plane, fields: Fields) -> dict[str, float]:
    """Everything about the answer that is a number. Where the outside is untouched, most of it need not be computed.

    The drift around the holes is left in `fields`.
    """
    measured = metrics.differences(sent, returned, region, fields)
    if measured["outside_max_delta"] == 0:
        return measured | {"similarity": 1.0, "outside_shift_px": 0.0}
    measured["similarity"] = likeness.similarity(sent, returned, region)
    moved = measured["outside_p99"] > _STILL
    measured["outside_shift_px"] = likeness.shift_px(sent, returned, region) if moved else 0.0
    return measured


def compare(
    sent: Pixels,
    returned: Pixels,
    region: Plane,
    measured: dict[str, float],
    settings: QualitySettings,
    *,
    nsfw: bool,
) -> Refusal | None:
    """Why this answer may not be composed into the product; None: it may. `measured`: what `measure_answer` gave."""
    if nsfw:
        return Refusal(code=ErrorCode.OUTPUT_NSFW, reason="the provider flagged its own result as not safe for work")
    if measured["similarity"] < settings.min_similarity:
        return _another_picture(sent, returned, settings)
    return _drift(measured, settings) or _echo(sent, returned, region, measured, settings)


def _another_picture(sent: Pixels, returned: Pixels, settings: QualitySettings) -> Refusal:
    if spread(returned) < settings.blank_std <= spread(sent):
        return Refusal(code=ErrorCode.OUTPUT_BLANK, reason="the output is blank: one colour all over")
    reason = "the output is another picture: a placeholder, or a page that says so"
    return Refusal(code=ErrorCode.OUTPUT_POOR, reason=reason)


def _echo(
    sent: Pixels, returned: Pixels, region: Plane, measured: dict[str, float], settings: QualitySettings
) -> Refusal | None:
    """Inside, an edit changes more than storing does, and takes away what stands out there; if anything did."""
    inside = measured["inside_p99"]
    stored = max(settings.unchanged_p99, _OF_P99 * measured["outside_p99"], _OF_GRAIN * measured["grain"])
    if inside > max(stored, _MOST_CHANGE_OF_AN_ECHO):
        return None
    content, kept = metrics.content(sent, returned, region)
    nothing_there = content <= _FAINT * settings.unchanged_p99
    edited = kept < _KEPT or (measured["grain"] <= _COARSE and inside > _OF_CONTENT * content)
    if nothing_there or (inside > stored and edited):
        return None
    return Refusal(code=ErrorCode.OUTPUT_UNCHANGED, reason="inside the mask the output is the input")


def _drift(measured: dict[str, float], settings: QualitySettings) -> Refusal | None:
    mean, shift = measured["outside_mean_delta"], measured["outside_shift_px"]
    if shift > settings.max_shift_px:
        reason = f"the output is moved by {shift:.1f} pixels against the input"
        return Refusal(code=ErrorCode.OUTPUT_DRIFTED, reason=reason)
    if mean > settings.max_outside_mean_delta:
        reason = f"outside the mask the output differs by {mean:.0f} of 255 levels on average"
        return Refusal(code=ErrorCode.OUTPUT_DRIFTED, reason=reason)
    return None
