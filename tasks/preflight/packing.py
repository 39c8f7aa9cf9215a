"""The file that is sent: the source's own bytes when they may be, else the smallest change that the provider takes."""

from dataclasses import dataclass
from typing import Final

from tasks.config.imaging import PreflightSettings
from tasks.imaging import pnm
from tasks.imaging.encode import encode_jpeg, encode_png, encode_webp
from tasks.imaging.picture import Mask, Picture, Pixels, Plane
from tasks.imaging.resize import resized
from tasks.imaging.transparency import on_white
from tasks.preflight.placing import scale_within
from tasks.providers.base import Asset, Capabilities

SENDABLE: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_LOSSLESS_SOURCES: Final = frozenset({"PNG", "BMP", "TIFF", "GIF", "PPM"})
_SMALLER: Final = 0.8  # each try under a byte limit has this much of the last one's sides
_TRIES: Final = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Packer:
    """Makes files for one provider."""

    capabilities: Capabilities
    settings: PreflightSettings

    @property
    def raw(self) -> bool:
        """Whether pixels may be handed over as they lie in memory."""
        return pnm.MEDIA_TYPE in self.capabilities.media_types

    def as_is(self, picture: Picture, data: bytes, uri: str | None) -> Asset | None:
        """The source's own bytes, if they show this provider what we see; else None."""
        source = picture.source
        plain = source.orientation == 1 and source.bits == 8 and picture.alpha is None and not source.notes
        media_type = SENDABLE.get(source.format)
        if self.raw or not plain or media_type not in self.capabilities.media_types or not self._small_enough(data):
            return None
        return Asset(data=data, media_type=media_type, width=picture.width, height=picture.height, source_uri=uri)

    def pack(self, sent: Pixels, *, lossless: bool) -> Asset | None:
        """These pixels as a file; None: too many bytes at this size, in every way that the settings allow."""
        if self.raw:
            return _asset(pnm.write(sent), pnm.MEDIA_TYPE, sent)
        accepted = self.capabilities.media_types
        if "image/png" in accepted and (lossless or not accepted & {"image/jpeg", "image/webp"}):
            data = encode_png(sent)
            if self._small_enough(data):
                return _asset(data, "image/png", sent)
        if not accepted & {"image/jpeg", "image/webp"}:
            return None
        jpeg = "image/jpeg" in accepted
        write, media_type = (encode_jpeg, "image/jpeg") if jpeg else (encode_webp, "image/webp")
        for quality in range(self.settings.sent_jpeg_quality, self.settings.least_sent_quality - 1, -5):
            data = write(sent, quality=quality)
            if self._small_enough(data):
                return _asset(data, media_type, sent)
        return None

    def mask(self, mask: Mask, data: bytes | None, uri: str | None, sent: Plane | None) -> Asset:
        """The mask's file. `sent` is None when the mask goes whole, at its own size."""
        values = mask.values if sent is None else sent
        if self.raw:
            return _asset(pnm.write(values), pnm.MEDIA_TYPE, values)
        asset = self.mask_as_is(mask, data, uri) if sent is None else None
        return asset or _asset(encode_png(values), "image/png", values)

    def mask_as_is(self, mask: Mask, data: bytes | None, uri: str | None) -> Asset | None:
        """The mask's own bytes, if this provider takes them; else None."""
        media_type = mask.media_type
        if self.raw or data is None or not media_type or media_type not in self.capabilities.media_types:
            return None
        return Asset(data=data, media_type=media_type, width=mask.width, height=mask.height, source_uri=uri)

    def reference(self, reference: Picture, data: bytes, uri: str | None) -> Asset | None:
        """The reference's file, scaled down as far as it takes; None: not even then."""
        scale = scale_within((0, 0, reference.width, reference.height), self.capabilities)
        asset = self.as_is(reference, data, uri) if scale == 1 else None
        pixels = on_white(reference)
        for _ in range(_TRIES):
            if asset is not None:
                return asset
            size = max(1, int(reference.width * scale)), max(1, int(reference.height * scale))
            asset = self.pack(resized(pixels, *size), lossless=False)
            scale *= _SMALLER
        return asset

    def _small_enough(self, data: bytes) -> bool:
        return self.capabilities.max_image_bytes is None or len(data) <= self.capabilities.max_image_bytes


def is_lossless(picture: Picture) -> bool:
    """Whether the source was stored without loss, so that sending it lossily would be the first loss."""
    return picture.source.format in _LOSSLESS_SOURCES or picture.source.lossless


def sent_as(asset: Asset) -> tuple[str, ...]:
    """The repair's name; raw pixels never leave this process and are none."""
    return () if asset.media_type == pnm.MEDIA_TYPE else (f"sent_as_{asset.media_type.removeprefix('image/')}",)


def smaller(width: int, height: int) -> tuple[int, int]:
    """The size of the next try."""
    return max(1, round(width * _SMALLER)), max(1, round(height * _SMALLER))


def _asset(data: bytes, media_type: str, pixels: Pixels | Plane) -> Asset:
    return Asset(data=data, media_type=media_type, width=pixels.shape[1], height=pixels.shape[0])
