"""Maskr's wire: multipart in, finished picture's address out, one at a time or 50 pairs at once (seed 001)."""

import asyncio
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account, Hold, Price, Work
from tasks.providers.sandbox.calls import Call, Door, Vendor, VendorError
from tasks.providers.sandbox.config import MaskrConfig
from tasks.providers.sandbox.edits import Edited, Order
from tasks.providers.sandbox.faults import OF_BATCH, Endpoint, FaultKind
from tasks.providers.sandbox.pictures import PictureError
from tasks.providers.sandbox.selections import ByBox, ByMask, ByPoints, Select
from tasks.providers.sandbox.state import SandboxState, sha256
from tasks.providers.sandbox.vendors.downloads import address, download, keep
from tasks.providers.sandbox.vendors.uploads import Upload, files, form

PATH = "/v1/services/object-removal"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """One picture and what is to go from it."""

    image: Upload
    select: Select


class Maskr(Vendor):
    """The object-removal service."""

    key = "maskr"
    unit = "credits"
    invalid_key = "Missing or invalid API key"

    config: MaskrConfig

    def __init__(self, state: SandboxState) -> None:
        super().__init__(state)
        self.price = Price(
            unit="credits",
            credits=self.config.credits_per_image,
            usd=self.config.credits_per_image * self.config.usd_per_credit,
        )

    def routes(self) -> list[Route]:
        """Paths below this vendor's prefix."""
        return [
            Route(PATH, Door(self, Endpoint.SUBMIT, self.single), methods=["POST"]),
            Route(f"{PATH}/batch", Door(self, Endpoint.BATCH, self.batch), methods=["POST"]),
            Route("/v1/files/{job_id}", Door(self, Endpoint.DOWNLOAD, download), methods=["GET"]),
        ]

    def refusal(self, error: VendorError) -> Response:
        """FastAPI's shape: `detail` is a sentence, on 422 a list."""
        detail: Any = list(error.details) if error.details else error.message
        return JSONResponse({"detail": detail}, error.status, headers=self.retry_headers(error))

    async def single(self, call: Call) -> Response:
        """POST /v1/services/object-removal."""
        account = call.account(_bearer(call))
        call.admit(account, self.config.single_limits())
        bound = 2 * self.config.max_file_bytes + 65_536
        async with form(call, max_bytes=bound, max_files=10) as parsed:
            pair = await self._pair(call, parsed)
        await call.meet_faults([pair.image.name])
        hold = call.hold(account, self.price)
        result = await self._work(call, pair, hold)
        if result["status"] == "rejected":
            raise VendorError(400, result["error"])
        outer = {key: result[key] for key in ("job_id", "status")}
        return JSONResponse(outer | {"result": result, "error": result["error"]})

    async def _pair(self, call: Call, parsed: FormData) -> _Pair:
        images = await files(parsed, "image", max_bytes=self.config.max_file_bytes)
        masks = await files(parsed, "mask", max_bytes=self.config.max_file_bytes)
        if not images:
            raise _invalid(["body", "image"], "field required", "value_error.missing")
        select = ByMask(data=masks[0].data) if masks else _prompted(call)
        return _Pair(image=images[0], select=select)

    async def batch(self, call: Call) -> Response:
        """POST /v1/services/object-removal/batch."""
        started_s = self.state.clock.monotonic_s()
        account = call.account(_bearer(call))
        call.admit(account, self.config.batch_request_limits())
        async with form(call, max_bytes=self.config.max_batch_bytes, max_files=1000) as parsed:
            pairs = await self._pairs(parsed)
        await call.meet_faults([pair.image.name for pair in pairs])
        results = await self._work_all(call, account, pairs)
        completed = [result for result in results if result["status"] == "completed"]
        answer = {
            "batch_id": self.state.new_id("batch-"),
            "status": "completed",
            "total_files": len(pairs),
            "completed": len(completed),
            "failed": len(results) - len(completed),
            "results": self._as_faults_leave(call, results),
            "total_processing_time_ms": round((self.state.clock.monotonic_s() - started_s) * 1000, 1),
            "total_credits_used": sum(result["credits_used"] for result in completed),
            "error": None,
        }
        return JSONResponse(answer)

    async def _pairs(self, parsed: FormData) -> list[_Pair]:
        images = await files(parsed, "images", max_bytes=self.config.max_file_bytes)
        masks = await files(parsed, "masks", max_bytes=self.config.max_file_bytes)
        if not images:
            raise VendorError(400, "No files provided")
        if len(images) != len(masks):
            raise VendorError(400, f"Number of images ({len(images)}) and masks ({len(masks)}) don't match")
        if len(images) > self.config.max_batch:
            raise VendorError(400, f"Batch size exceeds the maximum of {self.config.max_batch}")
        return [_Pair(image=image, select=ByMask(data=mask.data)) for image, mask in zip(images, masks, strict=True)]

    async def _work_all(self, call: Call, account: Account, pairs: list[_Pair]) -> list[dict[str, Any]]:
        """As many as there are credits for, in order; the rest is marked as failed."""
        holds = [self.state.bill.hold(account, self.price) for _ in pairs]
        if not any(holds):
            raise VendorError(402, self.out_of_credits)
        work = [
            self._work(call, pair, hold) if hold else self._unpaid(pair)
            for pair, hold in zip(pairs, holds, strict=True)
        ]
        results = await asyncio.gather(*work)
        return [result | {"status": "failed"} if result["status"] == "rejected" else result for result in results]

    async def _unpaid(self, pair: _Pair) -> dict[str, Any]:
        return self._result(pair, error=self.out_of_credits)

    async def _work(self, call: Call, pair: _Pair, hold: Hold) -> dict[str, Any]:
        """One picture's result: completed, failed, or rejected when the fault is the client's."""
        names = (pair.image.name,)
        faults = self.state.picture_faults(self.key, call.endpoint, names)
        started_s = self.state.clock.monotonic_s()
        try:
            order = Order(image=pair.image.data, select=pair.select, output_format=self.config.output_format)
            edited = await self.state.edit(order, faults)
            await self.state.clock.sleep(self.config.latency_s)
            if FaultKind.ITEM_FAILURE in faults:
                return self._result(pair, error="Processing failed")
            if FaultKind.STUCK_JOB in faults:
                return self._result(pair, error=None) | {"status": "processing"}
            result = self._result(pair, edited=edited)
            result["processing_time_ms"] = round((self.state.clock.monotonic_s() - started_s) * 1000, 1)
            keep(self, f"/v1/files/{result['job_id']}", edited, names)
            expired = FaultKind.EXPIRED_URL in faults
            result["output_url"] = address(self, call.base_url, f"/v1/files/{result['job_id']}", expired=expired)
            hold.charge(_work_of(call, pair, result["job_id"]))
        except PictureError as error:
            return self._result(pair, error=str(error)) | {"status": "rejected"}
        finally:
            hold.release()
        return result

    def _result(self, pair: _Pair, *, edited: Edited | None = None, error: str | None = None) -> dict[str, Any]:
        used = self.price.credits if edited else Decimal(0)
        return {
            "job_id": self.state.new_id("job-"),
            "status": "completed" if edited else "failed",
            "input_filename": pair.image.name,
            "output_url": None,
            "processing_time_ms": None,
            "error": error,
            "original_width": edited.width if edited else None,
            "original_height": edited.height if edited else None,
            "output_width": edited.output_width if edited else None,
            "output_height": edited.output_height if edited else None,
            "credits_used": int(used) if used == int(used) else float(used),
        }

    def _as_faults_leave(self, call: Call, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = [str(result["input_filename"]) for result in results]
        struck = self.state.faults.draw(OF_BATCH, vendor=self.key, endpoint=call.endpoint, names=names)
        kinds = {fault.kind for fault in struck}
        if FaultKind.BATCH_SHUFFLED in kinds:
            results = results[::-1]
        return results[:-1] if FaultKind.BATCH_SHORT in kinds else results


def _work_of(call: Call, pair: _Pair, job_id: str) -> Work:
    return Work(request_id=call.request_id, job_id=job_id, item=pair.image.name, picture_sha256=sha256(pair.image.data))


def _bearer(call: Call) -> str | None:
    scheme, _, key = call.request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _invalid(where: list[str], message: str, kind: str) -> VendorError:
    return VendorError(422, message, details=[{"loc": where, "msg": message, "type": kind}])


def _prompted(call: Call) -> Select:
    """Points with labels, or a box, from the query's JSON text. Raises the vendor's 422."""
    query = call.request.query_params
    if "points" in query:
        points = _numbers(query["points"], "points", depth=2)
        labels = _numbers(query["labels"], "labels", depth=1) if "labels" in query else [1] * len(points)
        if not points or any(len(point) != 2 for point in points):
            raise _invalid(["query", "points"], "expected a list of [x,y]", "value_error")
        if len(labels) != len(points) or any(label not in (0, 1) for label in labels):
            raise _invalid(["query", "labels"], "expected one label, 1 or 0, a point", "value_error")
        return ByPoints(points=tuple((x, y) for x, y in points), labels=tuple(int(label) for label in labels))
    if "box" in query:
        box = _numbers(query["box"], "box", depth=1)
        if len(box) != 4:
            raise _invalid(["query", "box"], "expected [x1,y1,x2,y2]", "value_error")
        return ByBox(box=(box[0], box[1], box[2], box[3]))
    raise _invalid(["body", "mask"], "field required", "value_error.missing")


def _numbers(text: str, name: str, *, depth: int) -> Any:
    """JSON text of a list of finite numbers, or of such lists."""
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        value = None
    rows = value if depth == 2 else [value]
    if isinstance(rows, list) and all(isinstance(row, list) and all(map(_is_number, row)) for row in rows):
        return value
    raise _invalid(["query", name], "expected JSON", "value_error.jsondecode")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
