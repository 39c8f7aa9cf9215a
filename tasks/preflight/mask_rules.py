"""What makes a mask usable for a picture, and which mistakes can be put right without guessing."""

from typing import Final

import cv2
import numpy as np

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.imaging import PreflightSettings
from tasks.imaging.channels import least
from tasks.imaging.decode import turn
from tasks.imaging.holes import bounding_box, grow
from tasks.imaging.picture import Mask, Picture, PictureError, Plane
from tasks.imaging.transparency import on_white

_WHITE: Final = 245  # studio white after JPEG: a few levels below 255
_LEAST_WHITE_BORDER: Final = 0.9
_LEAST_SUBJECT: Final = 0.005
_SURROUNDINGS_PX: Final = 3
_BORDER_ALL: Final = 0.98
"""Share of the border that counts as all of it: masks painted by hand leave nicks."""


def match_mask(mask: Mask, picture: Picture, settings: PreflightSettings) -> Mask:
    """The mask at the picture's size, when that can be had without guessing.

    A mask drawn on the stored picture, before its EXIF rotation, is rotated the same way. One whose width / height is the
    picture's is resized, nearest neighbour.

    Raises:
        PictureError: MASK_SIZE_MISMATCH.
    """
    size, wanted = (mask.width, mask.height), (picture.width, picture.height)
    if size == wanted:
        return mask
    if _same_aspect(size, wanted, settings.mask_aspect_tolerance):
        values = np.asarray(cv2.resize(mask.values, wanted, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return Mask(values=values, repairs=(*mask.repairs, "mask_resized"))
    if picture.source.orientation >= 5 and _same_aspect(size[::-1], wanted, settings.mask_aspect_tolerance):
        turned = turn(mask.values, picture.source.orientation)
        return match_mask(Mask(values=turned, repairs=(*mask.repairs, "mask_rotated")), picture, settings)
    found, needed = f"{size[0]}×{size[1]}", f"{wanted[0]}×{wanted[1]}"
    raise PictureError(ErrorCode.MASK_SIZE_MISMATCH, f"the mask is {found}, the image {needed}: another shape")


def _same_aspect(a: tuple[int, int], b: tuple[int, int], tolerance: float) -> bool:
    return abs((a[0] / a[1]) / (b[0] / b[1]) - 1) <= tolerance


def mask_fault(mask: Plane, operation: Operation, settings: PreflightSettings) -> PictureError | None:
    """What is wrong with a mask for this operation; None: nothing."""
    white = cv2.countNonZero(mask)
    share = white / mask.size
    if white < settings.min_mask_pixels:
        return PictureError(ErrorCode.MASK_EMPTY, f"the mask marks {white} pixels: nothing to edit")
    if mask.size - white < settings.min_mask_pixels:
        return PictureError(ErrorCode.MASK_FULL, "the mask marks the whole picture: nothing would stay")
    if _inverted(mask, share, operation, settings):
        return PictureError(ErrorCode.MASK_INVERTED, f"the mask looks inverted: {_inverted_words(share, operation)}")
    if operation is Operation.OBJECT_REMOVAL and share > settings.max_mask_share:
        limit = f"{settings.max_mask_share:.0%} (max_mask_share)"
        return PictureError(ErrorCode.MASK_COVERS_TOO_MUCH, f"the mask covers {share:.0%} of the picture, over {limit}")
    return None


def _inverted(mask: Plane, share: float, operation: Operation, settings: PreflightSettings) -> bool:
    """An object lies inside the picture and its surroundings reach the border: whichever way round it should be."""
    border = np.concatenate((mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1])) > 0
    if operation is Operation.OBJECT_REMOVAL:
        return bool(share > settings.inverted_share and border.mean() >= _BORDER_ALL)
    return bool(share < 1 - settings.inverted_share and border.mean() <= 1 - _BORDER_ALL)


def _inverted_words(share: float, operation: Operation) -> str:
    if operation is Operation.OBJECT_REMOVAL:
        return f"white reaches all borders and covers {share:.0%}, around a black hole"
    return f"a background reaches the border, but white covers {share:.0%} inside a black frame"


def plain_ground(mask: Plane, picture: Picture, settings: PreflightSettings) -> PictureError | None:
    """Whether the mask marks plain ground with nothing on it: the provider would charge for the picture as it was."""
    box = bounding_box(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = grow(box, _SURROUNDINGS_PX, width=picture.width, height=picture.height)
    seen = cv2.dilate(np.ascontiguousarray(mask[y1:y2, x1:x2]), np.ones((2 * _SURROUNDINGS_PX + 1,) * 2, np.uint8))
    planes = [picture.pixels[y1:y2, x1:x2], *([picture.alpha[y1:y2, x1:x2]] if picture.alpha is not None else [])]
    # Every eighth row tells first: where they vary three times as much, all of them vary enough (√8 < 3).
    for every, least_spread in ((8, 3 * settings.min_ground_spread), (1, settings.min_ground_spread)):
        where = np.ascontiguousarray(np.asarray(seen, dtype=np.uint8)[::every])
        spread = max(float(cv2.meanStdDev(plane[::every], mask=where)[1].max()) for plane in planes)
        if where.any() and spread >= least_spread:
            return None
    return PictureError(ErrorCode.MASK_EMPTY, "the mask marks plain ground: there is nothing on it to remove")


def white_background(picture: Picture) -> Mask | None:
    """The background of a product on white, or of a cut-out on nothing; None when there is no such background."""
    if picture.alpha is not None:
        background, how = np.where(picture.alpha < 128, 255, 0).astype(np.uint8), "mask_from_transparency"
    else:
        background, how = _white_around(least(on_white(picture))), "mask_from_white_background"
    border = np.concatenate((background[0], background[-1], background[:, 0], background[:, -1])) > 0
    subject = 1 - cv2.countNonZero(background) / background.size
    if border.mean() < _LEAST_WHITE_BORDER or subject < _LEAST_SUBJECT:
        return None
    return Mask(values=background, repairs=(how,))


def _white_around(darkest: Plane) -> Plane:
    """Near-white that hangs together with the border; white inside the product is the product's."""
    white = np.where(darkest >= _WHITE, 255, 0).astype(np.uint8)
    framed = cv2.copyMakeBorder(white, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    reached = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    cv2.floodFill(framed, reached, (0, 0), 0, 0, 0, 8 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY)
    return np.ascontiguousarray(reached[2:-2, 2:-2])
