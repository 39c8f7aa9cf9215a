"""The zip that Runflow takes its pictures in: what is in it, and where it is put."""

import base64
import io
import zipfile
from typing import Final
from urllib.parse import quote

from PIL import Image

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import RunflowSettings
from tasks.providers.adapter import Kit
from tasks.providers.answers import identifier, record, text
from tasks.providers.base import EditRequest
from tasks.providers.errors import RejectedItemError
from tasks.providers.statuses import Purpose

_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)  # of the zip format: the same pictures are the same bytes, staged once
_INLINE_BYTES: Final = 1024 * 1024  # the documents advise data: URIs below this only
_UPLOAD_BYTES: Final = 52_428_800  # asset-uploads: the most that size_bytes may say
_ZIP: Final = "application/zip"


def file_names(request: EditRequest, *, whiten: bool) -> dict[str, str]:
    """What each picture is called inside the zip, as in the seeds' examples."""
    if request.operation is Operation.OBJECT_REMOVAL:
        return {"image": f"photo{request.image.suffix}", "mask": "mask.png"}
    suffix = ".png" if whiten and request.mask else request.image.suffix
    reference = request.reference.suffix if request.reference else ".png"
    return {"image": f"image{suffix}", "reference": f"reference{reference}"}


def compose(request: EditRequest, *, whiten: bool) -> bytes:
    """The zip, stored: pictures do not shrink, and storing costs a hundredth of the time.

    Raises:
        RejectedItemError: a picture that this operation needs is missing, or cannot be read.
    """
    names = file_names(request, whiten=whiten)
    second = request.mask if request.operation is Operation.OBJECT_REMOVAL else request.reference
    if second is None:
        missing = "mask" if request.operation is Operation.OBJECT_REMOVAL else "reference"
        raise RejectedItemError(f"runflow: {request.operation} needs a {missing}", code=ErrorCode.NO_PROVIDER)
    image = request.image.data
    if request.operation is Operation.BACKGROUND_REPLACE and whiten and request.mask:
        image = _whitened(image, request.mask.data)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, data in zip(names.values(), (image, second.data), strict=True):
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DAY), data)
    return packed.getvalue()


class ZipHost:
    """Puts zips where Runflow can read them."""

    def __init__(self, kit: Kit[RunflowSettings]) -> None:
        """`kit`: the adapter's tools."""
        self._kit = kit
        self._uploads_refused = False

    async def address_of(self, archive: bytes) -> str:
        """Where the zip can be read: an https address, a runflow:// reference or a data: URI."""
        hosting, stage = self._kit.settings.zip_hosting, self._kit.pictures.stage
        if stage is not None and hosting in ("auto", "staging"):
            return await stage.put(archive, ".zip", _ZIP)
        small = len(archive) <= _INLINE_BYTES
        if hosting == "inline" or (hosting == "auto" and self._uploads_refused and small):
            return _inlined(archive)
        try:
            return await self._uploaded(archive)
        except RejectedItemError:
            if hosting != "auto" or not small:
                raise
            self._uploads_refused = True  # no document says whether assets may be zips
            return _inlined(archive)

    async def _uploaded(self, archive: bytes) -> str:
        """Runflow's own three steps: announce, put, confirm."""
        if len(archive) > _UPLOAD_BYTES:
            raise _too_large(_UPLOAD_BYTES)
        wire, unexpected = self._kit.wire, self._kit.interpreter.unexpected
        asked = {"filename": "inputs.zip", "mime_type": _ZIP, "size_bytes": len(archive)}
        answer = await wire.send("POST", "/v1/asset-uploads", purpose=Purpose.PREPARE, json=asked)
        asset_id, upload_url = identifier(answer.record().get("asset_id")), text(answer.record().get("upload_url"))
        if asset_id is None or upload_url is None:
            raise unexpected(answer, "no upload_url", Purpose.PREPARE)
        await self._kit.downloads.put(upload_url, archive, _ZIP)
        path = f"/v1/asset-uploads/{quote(asset_id, safe='')}/confirmations"
        answer = await wire.send("POST", path, purpose=Purpose.PREPARE, json={})
        asset = record(answer.record().get("asset")) or answer.record()
        url = text(asset.get("url"))
        if self._kit.settings.asset_reference == "runflow":
            return f"runflow://assets/{identifier(asset.get('id')) or asset_id}"
        if url is None:
            raise unexpected(answer, "no url of the asset", Purpose.PREPARE)
        return url


def _whitened(image: bytes, mask: bytes) -> bytes:
    """The picture with everything white where the mask is white, as PNG: nothing outside the mask changes by a bit."""
    try:
        with Image.open(io.BytesIO(image)) as opened, Image.open(io.BytesIO(mask)) as region:
            picture = opened.convert("RGB")
            picture.paste((255, 255, 255), mask=region.convert("L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise RejectedItemError(
            f"runflow: the background cannot be whitened ({type(error).__name__})", code=ErrorCode.IMAGE_UNREADABLE
        ) from None
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _inlined(archive: bytes) -> str:
    if len(archive) > _INLINE_BYTES:
        raise _too_large(_INLINE_BYTES)
    return f"data:{_ZIP};base64,{base64.b64encode(archive).decode()}"


def _too_large(limit: int) -> RejectedItemError:
    return RejectedItemError(
        f"runflow: the zip is larger than {limit} bytes: set CLEANPLATE_STAGING_URI", code=ErrorCode.IMAGE_TOO_LARGE
    )
