"""Download of finished pictures: signed, expiring, without the API key."""

from starlette.responses import Response

from tasks.providers.sandbox.calls import Call, Vendor, VendorError
from tasks.providers.sandbox.edits import Edited
from tasks.providers.sandbox.files import StoredFile

KEY_HEADERS = ("authorization", "api-key")


def keep(vendor: Vendor, path: str, edited: Edited, names: tuple[str, ...]) -> None:
    """Put a finished picture on the vendor's shelf."""
    file = StoredFile(data=edited.data, media_type=edited.media_type, names=names)
    vendor.state.shelf.put(f"/{vendor.key}{path}", file)


def address(vendor: Vendor, base_url: str, path: str, *, expired: bool = False) -> str:
    """A signed address of a file of this vendor; `expired`: one that is over already."""
    root = base_url.removesuffix(f"/{vendor.key}")
    ttl_s = -60 if expired else vendor.config.url_ttl_s
    return vendor.state.shelf.sign(root, f"/{vendor.key}{path}", ttl_s=ttl_s)


async def download(call: Call) -> Response:
    """Serve a file. 403: tampered with or expired; 404: no longer kept."""
    path = call.request.scope["path"]
    query = call.request.query_params
    if any(header in call.request.headers for header in KEY_HEADERS):
        call.state.traffic.keys_leaked[call.vendor.key] += 1
    if not call.state.shelf.admits(path, query.get("expires"), query.get("sig")):
        raise VendorError(403, "This address is not valid, or has expired")
    file = call.state.shelf.get(path)
    if file is None:
        raise VendorError(404, "File not found")
    await call.meet_faults(file.names)
    return Response(file.data, media_type=file.media_type)
