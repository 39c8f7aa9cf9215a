"""Runflow's asset upload: create, PUT to the signed address, confirm."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account
from tasks.providers.sandbox.calls import Call, Door, VendorError
from tasks.providers.sandbox.faults import Endpoint
from tasks.providers.sandbox.fetching import FetchError
from tasks.providers.sandbox.files import StoredFile
from tasks.providers.sandbox.recent import Recent
from tasks.providers.sandbox.vendors.downloads import address, download

if TYPE_CHECKING:
    from tasks.providers.sandbox.vendors.runflow import Runflow

MAX_BYTES = 52_428_800  # guides/upload-large-files


@dataclass(kw_only=True, slots=True)
class _Asset:
    id: str
    filename: str
    mime_type: str
    size_bytes: int
    owner: str  # account id

    @property
    def path(self) -> str:
        return f"/assets/{self.id}"


class Assets:
    """Files that clients put here to be named in `zip_url`."""

    def __init__(self, vendor: "Runflow") -> None:
        self._vendor = vendor
        self._assets: Recent[str, _Asset] = Recent()

    def routes(self) -> list[Route]:
        """Paths below the vendor's prefix."""
        vendor, upload = self._vendor, Endpoint.UPLOAD
        return [
            Route("/v1/asset-uploads", Door(vendor, upload, self.create), methods=["POST"]),
            Route("/v1/asset-uploads/{asset_id}/confirmations", Door(vendor, upload, self.confirm), methods=["POST"]),
            Route("/v1/assets/types", Door(vendor, Endpoint.OTHER, self.types), methods=["GET"]),
            Route("/assets/{asset_id}", Door(vendor, upload, self.put), methods=["PUT"]),
            Route("/assets/{asset_id}", Door(vendor, Endpoint.DOWNLOAD, download), methods=["GET"]),
        ]

    async def create(self, call: Call) -> Response:
        """POST /v1/asset-uploads."""
        account = self._vendor.who(call)
        body = await call.json()
        name, mime_type, size = (body.get(field) for field in ("filename", "mime_type", "size_bytes"))
        if not isinstance(name, str) or not 1 <= len(name) <= 500:
            raise VendorError(422, "filename must have from 1 to 500 characters")
        if mime_type not in self._vendor.config.asset_types:
            raise VendorError(422, "mime_type is not supported")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_BYTES:
            raise VendorError(422, f"size_bytes must be from 1 to {MAX_BYTES}")
        asset = _Asset(
            id=self._vendor.state.new_id("asset_"),
            filename=name,
            mime_type=str(mime_type),
            size_bytes=size,
            owner=account.id,
        )
        self._assets[asset.id] = asset
        root = call.base_url.removesuffix(f"/{self._vendor.key}")
        path = f"/{self._vendor.key}{asset.path}"
        upload_url = self._vendor.state.shelf.sign(root, path, ttl_s=900, purpose="PUT")
        return JSONResponse({"asset_id": asset.id, "upload_url": upload_url}, 201)

    async def put(self, call: Call) -> Response:
        """PUT to the signed address: same Content-Type, the size that was announced, no key."""
        path, query = call.request.scope["path"], call.request.query_params
        asset = self._assets.get(call.request.path_params["asset_id"])
        signed = self._vendor.state.shelf.admits(path, query.get("expires"), query.get("sig"), purpose="PUT")
        if asset is None or not signed or call.request.headers.get("content-type") != asset.mime_type:
            raise VendorError(403, "The upload address is not valid for this upload, or has expired")
        data = await _body(call, asset.size_bytes)
        file = StoredFile(data=data, media_type=asset.mime_type, names=(asset.filename,), owner=asset.owner)
        self._vendor.state.shelf.put(path, file)
        return Response(status_code=200)

    async def confirm(self, call: Call) -> Response:
        """POST /v1/asset-uploads/{asset_id}/confirmations."""
        account = self._vendor.who(call)
        asset = self._assets.get(call.request.path_params["asset_id"])
        if asset is None or asset.owner != account.id:
            raise VendorError(404, "Asset not found", code="ASSET_NOT_FOUND")
        if self._vendor.state.shelf.get(f"/{self._vendor.key}{asset.path}") is None:
            raise VendorError(409, "Nothing was uploaded")
        url = address(self._vendor, call.base_url, asset.path)
        known: dict[str, Any] = {"id": asset.id, "name": asset.filename, "url": url, "mime_type": asset.mime_type}
        return JSONResponse(known | {"size_bytes": asset.size_bytes, "folder_id": None}, 201)

    async def types(self, call: Call) -> Response:
        """GET /v1/assets/types."""
        self._vendor.who(call)
        return JSONResponse({"items": list(self._vendor.config.asset_types)})

    def read(self, named: str, account: Account) -> bytes:
        """What lies behind `runflow://assets/{id}`, or a signed address with its query. Raises FetchError."""
        asset_id, signed, query = named.partition("?")
        asset = self._assets.get(asset_id)
        path = f"/{self._vendor.key}/assets/{asset_id}"
        given = dict(parse_qsl(query))
        if signed and not self._vendor.state.shelf.admits(path, given.get("expires"), given.get("sig")):
            raise FetchError("the address answered 403")
        file = self._vendor.state.shelf.get(path)
        if asset is None or file is None or asset.owner != account.id:
            raise FetchError("no such asset")
        return file.data


async def _body(call: Call, size: int) -> bytes:
    data = bytearray()
    async for chunk in call.request.stream():
        data += chunk
        if len(data) > size:
            break
    if len(data) != size:
        raise VendorError(400, "The body has not the size that was announced")
    return bytes(data)
