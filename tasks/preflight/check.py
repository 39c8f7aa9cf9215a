"""Is a row sound? Its files are decoded whole, its mask is understood, and what is safe to repair is repaired."""

from dataclasses import replace

from manifests.error_codes import ErrorCode
from manifests.items import Item, Operation
from tasks.config.imaging import PreflightSettings
from tasks.imaging.decode import decode_picture
from tasks.imaging.masks import decode_mask
from tasks.imaging.picture import Mask, Picture, PictureError, Role
from tasks.preflight.mask_rules import mask_fault, match_mask, plain_ground, white_background
from tasks.preflight.values import Preflight


def check_item(
    item: Item,
    image_bytes: bytes,
    mask_bytes: bytes | None,
    reference_bytes: bytes | None,
    settings: PreflightSettings,
) -> Preflight:
    """Look at a row's files before anything is reserved or sent. Never raises for what a file may hold.

    Args:
        item: the row.
        image_bytes: what lies at `image_uri`.
        mask_bytes: what lies at `mask_uri`; None when the row names none.
        reference_bytes: what lies at `reference_uri`; None when the row names none.
        settings: thresholds.
    """
    try:
        picture = _picture(image_bytes, settings, Role.IMAGE)
        item, clipped = _within(item, picture)
        reference = None if reference_bytes is None else _picture(reference_bytes, settings, Role.REFERENCE)
        mask = _mask(item, mask_bytes, picture, settings)
        _check_operation(item, mask, reference)
    except PictureError as error:
        return Preflight.rejected(item, error.code, error.message)
    return Preflight(
        item=item,
        picture=picture,
        mask=mask,
        reference=reference,
        image_bytes=image_bytes,
        mask_bytes=mask_bytes,
        reference_bytes=reference_bytes,
        repairs=(*picture.source.notes, *clipped, *(mask.repairs if mask else ())),
    )


def _picture(data: bytes, settings: PreflightSettings, role: Role) -> Picture:
    if len(data) > settings.max_image_bytes:
        code = ErrorCode.IMAGE_TOO_LARGE if role is Role.IMAGE else role.unreadable
        raise PictureError(
            code, f"the {role} has {len(data):,} bytes, more than {settings.max_image_bytes:,} (max_image_bytes)"
        )
    picture = decode_picture(data, max_pixels=settings.max_image_pixels, role=role)
    if min(picture.width, picture.height) < settings.min_side:
        found = f"the {role} is {picture.width}×{picture.height}"
        raise PictureError(role.unreadable, f"{found}: no photograph has a side below {settings.min_side} (min_side)")
    return picture


def _mask(item: Item, data: bytes | None, picture: Picture, settings: PreflightSettings) -> Mask | None:
    """The row's mask at the picture's size; for a product on white, the white; None when the row selects otherwise.

    Raises PictureError with the reason when there is a mask that cannot be used.
    """
    if data is None:
        unselected = not item.selectors & {"points", "box"}
        wanted = item.operation is Operation.BACKGROUND_REPLACE and unselected
        return white_background(picture) if wanted else None
    if len(data) > settings.max_image_bytes:
        raise PictureError(ErrorCode.MASK_UNREADABLE, f"the mask has {len(data):,} bytes (max_image_bytes)")
    mask = match_mask(decode_mask(data, max_pixels=settings.max_image_pixels), picture, settings)
    fault = mask_fault(mask.values, item.operation, settings)
    if fault is None and item.operation is Operation.OBJECT_REMOVAL:
        fault = plain_ground(mask.values, picture, settings)
    if fault is None:
        return mask
    if fault.code is ErrorCode.MASK_INVERTED and settings.invert_masks:
        turned = Mask(values=255 - mask.values, repairs=(*mask.repairs, "mask_inverted"))
        fault = mask_fault(turned.values, item.operation, settings)
        if fault is None:
            return turned
    raise fault


def _check_operation(item: Item, mask: Mask | None, reference: Picture | None) -> None:
    if item.operation is Operation.BACKGROUND_REPLACE:
        if reference is None and not item.prompt:
            raise PictureError(ErrorCode.REFERENCE_MISSING, "background-replace needs a reference picture or a prompt")
        if mask is None and not item.selectors & {"points", "box"}:
            reason = "background-replace needs a mask, unless the background is plain white or transparent"
            raise PictureError(ErrorCode.MASK_MISSING, reason)
    elif mask is None and not item.selectors & {"points", "box", "text"}:
        raise PictureError(ErrorCode.MASK_MISSING, "the row has no mask, points, box or object_name")


def _within(item: Item, picture: Picture) -> tuple[Item, tuple[str, ...]]:
    """Points must lie in the picture; a box is cut off at its borders."""
    for x, y in item.points:
        if not (0 <= x < picture.width and 0 <= y < picture.height):
            where = f"the picture is {picture.width}×{picture.height}"
            raise PictureError(ErrorCode.SELECTION_FAILED, f"point ({x}, {y}) lies outside: {where}")
    if item.box is None:
        return item, ()
    x1, y1, x2, y2 = item.box
    box = max(0, x1), max(0, y1), min(picture.width, x2), min(picture.height, y2)
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        where = f"the picture is {picture.width}×{picture.height}"
        raise PictureError(ErrorCode.SELECTION_FAILED, f"box {list(item.box)} holds no pixel: {where}")
    return (item, ()) if box == item.box else (replace(item, box=box), ("box_clipped",))
