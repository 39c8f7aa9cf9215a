"""Bring an accepted row within one provider's limits: unchanged if it may be, else converted, cropped around the holes or scaled."""

from dataclasses import replace

from manifests.error_codes import ErrorCode
from tasks.config.imaging import PreflightSettings
from tasks.imaging.picture import Picture, Pixels
from tasks.imaging.placement import Placement
from tasks.imaging.transparency import on_white
from tasks.preflight.packing import Packer, is_lossless, sent_as, smaller
from tasks.preflight.placing import place
from tasks.preflight.values import Fitted, Preflight, Unfit
from tasks.providers.base import Asset, Capabilities


def fit_to_provider(preflight: Preflight, capabilities: Capabilities, settings: PreflightSettings) -> Fitted | Unfit:
    """The row as this provider gets it, or why it cannot be had.

    Args:
        preflight: an accepted row.
        capabilities: the provider's limits; None there means no limit.
        settings: how far scaling and compression may go.

    Raises:
        ValueError: the row was rejected.
    """
    picture = preflight.picture
    if not preflight.accepted or picture is None:
        raise ValueError(f"{preflight.item.item_id} was rejected: {preflight.reason}")
    placement = place(preflight, picture, capabilities, settings)
    if isinstance(placement, Unfit):
        return placement
    packer = Packer(capabilities=capabilities, settings=settings)
    packed = _pack_image(preflight, picture, placement, packer)
    if packed is None:
        limit = (
            f"{capabilities.max_image_bytes:,} bytes" if capabilities.max_image_bytes else "the media types it takes"
        )
        return _unfit(f"the image cannot be brought under this provider's limit of {limit}")
    return _with_the_rest(preflight, picture, packer, *packed)


def unchanged(preflight: Preflight, capabilities: Capabilities, settings: PreflightSettings) -> Fitted | None:
    """An accepted row's own files, if this provider takes them: what `fit_to_provider` would give, in microseconds. None: it takes work."""
    picture, mask = preflight.picture, preflight.mask
    if picture is None or preflight.reference is not None:
        return None
    packer = Packer(capabilities=capabilities, settings=settings)
    image = packer.as_is(picture, preflight.image_bytes, preflight.item.image_uri)
    if image is None or not (mask is None or packer.mask_as_is(mask, preflight.mask_bytes, None)):
        return None
    placement = place(preflight, picture, capabilities, settings)
    if isinstance(placement, Unfit) or not _whole(placement, picture):
        return None
    fitted = _with_the_rest(preflight, picture, packer, placement, on_white(picture), image, ())
    return None if isinstance(fitted, Unfit) else fitted


def _pack_image(
    preflight: Preflight, picture: Picture, placement: Placement, packer: Packer
) -> tuple[Placement, Pixels, Asset, tuple[str, ...]] | None:
    """The picture's file at the largest size that fits, the pixels in it, and what was done."""
    shown = on_white(picture)
    if _whole(placement, picture):
        asset = packer.as_is(picture, preflight.image_bytes, preflight.item.image_uri)
        if asset is not None:
            return placement, shown, asset, ()
    least = packer.settings.min_scale * (placement.box[2] - placement.box[0])
    while True:
        sent = shown if _whole(placement, picture) else placement.cut(shown)
        asset = packer.pack(sent, lossless=is_lossless(picture))
        if asset is not None:
            return placement, sent, asset, sent_as(asset)
        width, height = smaller(placement.width, placement.height)
        if width < least or min(width, height) < (packer.capabilities.min_side or 1):
            return None
        placement = replace(placement, width=width, height=height)


def _with_the_rest(
    preflight: Preflight,
    picture: Picture,
    packer: Packer,
    placement: Placement,
    sent: Pixels,
    image: Asset,
    how: tuple[str, ...],
) -> Fitted | Unfit:
    item, mask, whole = preflight.item, preflight.mask, _whole(placement, picture)
    cut = None if mask is None or whole else placement.cut_mask(mask.values)
    reference = None
    if preflight.reference is not None:
        reference = packer.reference(preflight.reference, preflight.reference_bytes or b"", item.reference_uri)
        if reference is None:
            return _unfit("the reference cannot be brought under this provider's limits")
    return Fitted(
        item=item,
        image=image,
        mask=None if mask is None else packer.mask(mask, preflight.mask_bytes, item.mask_uri, cut),
        reference=reference,
        points=tuple(placement.point_out(point) for point in item.points),
        box=None if item.box is None else placement.box_out(item.box),
        placement=placement,
        sent=sent,
        sent_mask=mask.values if mask is not None and whole else cut,
        repairs=(*preflight.repairs, *_placement_repairs(placement, picture), *how),
    )


def _unfit(reason: str) -> Unfit:
    return Unfit(code=ErrorCode.IMAGE_TOO_LARGE, reason=reason)


def _whole(placement: Placement, picture: Picture) -> bool:
    return placement.covers(picture.width, picture.height) and not placement.scaled


def _placement_repairs(placement: Placement, picture: Picture) -> tuple[str, ...]:
    cropped = () if placement.covers(picture.width, picture.height) else ("sent_crop",)
    return (*cropped, "sent_scaled") if placement.scaled else cropped
