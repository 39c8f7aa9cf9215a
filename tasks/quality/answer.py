"""A provider's bytes → pixels of the size that was sent, or the reason why there are none."""

from manifests.error_codes import ErrorCode
from tasks.config.imaging import QualitySettings
from tasks.imaging.decode import decode_picture
from tasks.imaging.picture import PictureError, Pixels, Role
from tasks.imaging.placement import Placement
from tasks.imaging.resize import resized
from tasks.imaging.transparency import on_white

_MOST_ENLARGED = 16  # times the pixels sent: beyond it is no answer but a bomb


def read_answer(data: bytes, placement: Placement, settings: QualitySettings) -> tuple[Pixels, tuple[str, ...]]:
    """The answer at the size that was sent, and what had to be done for it.

    Raises:
        PictureError: OUTPUT_UNREADABLE or OUTPUT_WRONG_SIZE.
    """
    width, height = placement.width, placement.height
    limit = max(_MOST_ENLARGED * width * height, 1_000_000)
    pixels = on_white(decode_picture(data, max_pixels=limit, role=Role.OUTPUT))
    if pixels.shape[:2] == (height, width):
        return pixels, ()
    if not _may_be_rescaled(pixels.shape[1] / width, pixels.shape[0] / height, settings):
        found = f"{pixels.shape[1]}×{pixels.shape[0]}"
        raise PictureError(ErrorCode.OUTPUT_WRONG_SIZE, f"the output is {found}, sent was {width}×{height}")
    return resized(pixels, width, height), ("output_rescaled",)


def _may_be_rescaled(across: float, down: float, settings: QualitySettings) -> bool:
    """The rule: the same shape, and not so much smaller that the edit would be soft."""
    same_shape = abs(across / down - 1) <= settings.size_aspect_tolerance
    return same_shape and min(across, down) >= settings.size_min_scale
