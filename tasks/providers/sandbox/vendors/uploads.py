"""Multipart bodies: files within bounds, or the vendor's refusal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from tasks.providers.sandbox.calls import Call, VendorError


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One file of a form."""

    name: str
    media_type: str
    data: bytes = field(repr=False)


@asynccontextmanager
async def form(call: Call, *, max_bytes: int, max_files: int) -> AsyncIterator[FormData]:
    """The parsed form; its temporary files go at the end. Raises the vendor's 400 or 413."""
    length = call.request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:15]) > max_bytes:
        raise VendorError(413, "Request body too large")
    try:
        async with call.request.form(max_files=max_files, max_fields=100) as parsed:
            yield parsed
    except (MultiPartException, HTTPException) as error:
        raise VendorError(400, f"There was an error parsing the body: {getattr(error, 'message', '')}") from None


async def files(parsed: FormData, field_name: str, *, max_bytes: int) -> list[Upload]:
    """The files of one field, in order. Raises the vendor's 413."""
    found = [value for value in parsed.getlist(field_name) if isinstance(value, UploadFile)]
    for file in found:
        if (file.size or 0) > max_bytes:
            raise VendorError(413, f"File '{file.filename}' exceeds the maximum size of {max_bytes // 2**20} MB")
    return [
        Upload(name=file.filename or "", media_type=file.content_type or "", data=await file.read()) for file in found
    ]
