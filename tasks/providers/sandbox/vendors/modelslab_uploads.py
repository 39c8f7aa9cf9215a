"""ModelsLab's uploads: base64 in, an address out that is good for a day."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.calls import Call, Door, VendorError
from tasks.providers.sandbox.faults import Endpoint
from tasks.providers.sandbox.fetching import FetchError
from tasks.providers.sandbox.files import StoredFile
from tasks.providers.sandbox.pictures import MEDIA_TYPES, SUFFIXES, PictureError, decode
from tasks.providers.sandbox.vendors.downloads import address, download

if TYPE_CHECKING:
    from tasks.providers.sandbox.vendors.modelslab import ModelsLab


class Uploads:
    """Small pictures that clients hand over instead of an address."""

    def __init__(self, vendor: "ModelsLab") -> None:
        self._vendor = vendor

    def routes(self) -> list[Route]:
        """Paths below the vendor's prefix."""
        upload = Endpoint.UPLOAD
        return [
            Route("/api/v6/base64_to_url", Door(self._vendor, upload, self.base64_to_url), methods=["POST"]),
            Route(
                "/api/v6/image_editing/base64_to_url", Door(self._vendor, upload, self.base64_to_url), methods=["POST"]
            ),
            Route("/api/v3/base64_crop", Door(self._vendor, upload, self.base64_crop), methods=["POST"]),
            Route("/uploads/{name}", Door(self._vendor, Endpoint.DOWNLOAD, download), methods=["GET"]),
        ]

    async def base64_to_url(self, call: Call) -> Response:
        """`base64_string`, or `init_image` at the image_editing twin."""
        _, body = await self._vendor.who(call)
        number, url = await self._keep(call, body.get("base64_string") or body.get("init_image"))
        return JSONResponse({"status": "success", "id": number, "output": [url]})

    async def base64_crop(self, call: Call) -> Response:
        """The older upload, with its `messege`. `crop` must be "false": cropping is not imitated."""
        _, body = await self._vendor.who(call)
        if str(body.get("crop", "true")).lower() != "false":
            raise VendorError(400, "The sandbox does not crop: send crop=false")
        number, url = await self._keep(call, body.get("image"))
        return JSONResponse({"status": "success", "messege": "image uploaded", "link": url, "request_id": number})

    async def _keep(self, call: Call, text: Any) -> tuple[int, str]:
        vendor = self._vendor
        if not isinstance(text, str) or not text:
            raise VendorError(400, "The base64 string field is required.")
        uri = text if text.startswith("data:") else f"data:;base64,{text}"
        try:
            data = await vendor.state.fetcher.fetch(uri, max_bytes=vendor.config.max_upload_bytes)
            picture_format = decode(data, "image").format
        except (FetchError, PictureError) as error:
            raise VendorError(400, f"Invalid image: {error}") from None
        number = vendor.state.new_number()
        path = f"/uploads/{number}{SUFFIXES[picture_format]}"
        vendor.state.shelf.put(f"/{vendor.key}{path}", StoredFile(data=data, media_type=MEDIA_TYPES[picture_format]))
        return number, address(vendor, call.base_url, path)

    def read(self, url: str) -> bytes | None:
        """What lies at one of our own upload addresses, without going through the door; None: not ours."""
        if f"/{self._vendor.key}/uploads/" not in url[:200]:
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        given = dict(parse_qsl(parts.query))
        if not self._vendor.state.shelf.admits(parts.path, given.get("expires"), given.get("sig")):
            return None
        file = self._vendor.state.shelf.get(parts.path)
        return file.data if file else None
