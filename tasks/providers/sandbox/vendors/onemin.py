"""1min.ai's wire: upload an asset, call a feature, read `temporaryUrl` (seed 004). The shape of its errors is not documented."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account, Hold, Price, Work
from tasks.providers.sandbox.calls import Call, Door, Vendor, VendorError
from tasks.providers.sandbox.config import OneMinConfig
from tasks.providers.sandbox.edits import PLAIN_BACKGROUND, Order, scene_in_words
from tasks.providers.sandbox.faults import Endpoint, FaultKind
from tasks.providers.sandbox.fetching import FetchError
from tasks.providers.sandbox.files import StoredFile
from tasks.providers.sandbox.pictures import PictureError
from tasks.providers.sandbox.recent import Recent
from tasks.providers.sandbox.selections import ByMask
from tasks.providers.sandbox.state import SandboxState, sha256
from tasks.providers.sandbox.vendors.downloads import address, download, keep
from tasks.providers.sandbox.vendors.uploads import files, form

REMOVER, REPLACER = "IMAGE_OBJECT_REMOVER", "BACKGROUND_REPLACER"
MODELS = {REMOVER: ("recraft", "stable-image"), REPLACER: ("recraft", "clipdrop", "gpt-image-1", "gpt-image-1-mini")}
FIXED_SIZES = {"1024x1024": (1024, 1024), "1024x1536": (1024, 1536), "1536x1024": (1536, 1024)}
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
OUTPUT_FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Feature:
    """One valid request."""

    type: str
    model: str
    prompt: dict[str, Any]


class OneMin(Vendor):
    """Assets and the two image features."""

    key = "onemin"
    unit = "credits"

    config: OneMinConfig

    def __init__(self, state: SandboxState) -> None:
        super().__init__(state)
        amount = self.config.credits_per_image
        self.price = Price(unit="credits", credits=amount, usd=amount * self.config.usd_per_credit)
        self._records: Recent[str, tuple[Account, dict[str, Any]]] = Recent()

    def routes(self) -> list[Route]:
        """Paths below this vendor's prefix."""
        return [
            Route("/api/assets", Door(self, Endpoint.UPLOAD, self.upload), methods=["POST"]),
            Route("/api/features", Door(self, Endpoint.SUBMIT, self.feature), methods=["POST"]),
            Route("/api/features/{uuid}", Door(self, Endpoint.POLL, self.poll), methods=["GET"]),
            Route("/models", Door(self, Endpoint.OTHER, self.models), methods=["GET"]),
            Route("/images/{name}", Door(self, Endpoint.DOWNLOAD, self.temporary), methods=["GET"]),
        ]

    def refusal(self, error: VendorError) -> Response:
        """`message` is what clients read first."""
        body = {"message": error.message, "statusCode": error.status}
        return JSONResponse(body, error.status, headers=self.retry_headers(error))

    def _who(self, call: Call) -> Account:
        return call.account(call.request.headers.get("api-key"))

    async def upload(self, call: Call) -> Response:
        """POST /api/assets."""
        account = self._who(call)
        async with form(call, max_bytes=self.config.max_file_bytes + 65_536, max_files=5) as parsed:
            uploads = await files(parsed, "asset", max_bytes=self.config.max_file_bytes)
        if not uploads:
            raise VendorError(400, "asset is required")
        upload = uploads[0]
        suffix = upload.name.rpartition(".")[2].lower()
        if suffix not in MEDIA_TYPES:
            raise VendorError(400, "file type isn't supported")
        await call.meet_faults([upload.name])
        asset_key = self._asset_key(upload.name)
        file = StoredFile(data=upload.data, media_type=MEDIA_TYPES[suffix], names=(upload.name,), owner=account.id)
        self.state.shelf.put(f"/{self.key}/{asset_key}", file)
        asset = {
            "fieldname": "asset",
            "originalname": upload.name,
            "encoding": "7bit",
            "mimetype": file.media_type,
            "size": len(upload.data),
            "bucket": "asset.1min.ai",
            "key": asset_key,
            "acl": "private",
        }
        content = {"uuid": str(uuid4()), "path": asset_key, "type": suffix, "name": upload.name}
        return JSONResponse({"asset": asset, "fileContent": content})

    def _asset_key(self, name: str) -> str:
        """`images/2024_09_30_13_38_59_100_example.png`; a number keeps two of one millisecond apart."""
        stamp = _stamp(self.state.clock.now())
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-100:]
        return f"images/{stamp}_{self.state.new_number()}_{plain}"

    async def feature(self, call: Call) -> Response:
        """POST /api/features."""
        account = self._who(call)
        call.admit(account, self.config.single_limits())
        feature = _valid(await call.json())
        image_file = self._asset(account, feature.prompt["imageUrl"])
        names = image_file.names if image_file else (feature.prompt["imageUrl"].rpartition("/")[2][:200],)
        await call.meet_faults(names)
        hold = call.hold(account, self.price)
        try:
            record = await self._work(call, account, feature, names, hold)
        finally:
            hold.release()
        self._records[record["uuid"]] = (account, record)
        return JSONResponse({"aiRecord": record})

    async def _work(
        self, call: Call, account: Account, feature: _Feature, names: tuple[str, ...], hold: Hold
    ) -> dict[str, Any]:
        faults = self.state.picture_faults(self.key, call.endpoint, names)
        record = self._record(account, feature)
        if FaultKind.STUCK_JOB in faults:
            return record | {"status": "PROCESSING"}
        try:
            image = await self._read(account, feature.prompt["imageUrl"])
            edited = await self.state.edit(await self._order(account, feature, image), faults)
        except (FetchError, PictureError) as error:
            raise VendorError(400, str(error)) from None
        await self.state.clock.sleep(self.config.latency_s)
        if FaultKind.ITEM_FAILURE in faults:
            return record | {"status": "FAILED", "error": "Processing failed"}
        suffix = edited.media_type.partition("/")[2]
        path = f"/{self._asset_key(f'{feature.type.lower()}.{suffix}')}"
        keep(self, path, edited, names)
        work = Work(request_id=call.request_id, job_id=record["uuid"], item=names[0], picture_sha256=sha256(image))
        hold.charge(work)
        record["aiRecordDetail"]["resultObject"] = [path.removeprefix("/")]
        record["teamUser"]["usedCredit"] = int(account.credits_charged)
        url = address(self, call.base_url, path, expired=FaultKind.EXPIRED_URL in faults)
        return record | {"status": "SUCCESS", "temporaryUrl": url}

    async def _order(self, account: Account, feature: _Feature, image: bytes) -> Order:
        if feature.type == REMOVER:
            mask = await self._read(account, feature.prompt["maskUrl"])
            wanted = feature.prompt.get("output_format") if feature.model == "stable-image" else None
            return Order(image=image, select=ByMask(data=mask), output_format=str(wanted or self.config.output_format))
        size = FIXED_SIZES[feature.prompt.get("size", "1024x1024")] if feature.model.startswith("gpt-") else None
        scene = scene_in_words(feature.prompt["prompt"])
        return Order(
            image=image, select=PLAIN_BACKGROUND, scene=scene, size=size, output_format=self.config.output_format
        )

    def _asset(self, account: Account, key: str) -> StoredFile | None:
        file = self.state.shelf.get(f"/{self.key}/{key}")
        return file if file and file.owner == account.id else None

    async def _read(self, account: Account, key: str) -> bytes:
        """Asset key or absolute address. Raises FetchError."""
        file = self._asset(account, key)
        if file:
            return file.data
        if key.startswith("images/"):
            raise FetchError("asset not found")
        return await self.state.fetcher.fetch(key, max_bytes=self.config.max_file_bytes)

    def _record(self, account: Account, feature: _Feature) -> dict[str, Any]:
        now = _zulu(self.state.clock.now())
        team_user = {
            "teamId": f"team-{account.id}",
            "userId": f"user-{account.id}",
            "userName": "Sandbox",
            "userAvatar": None,
            "status": "ACTIVE",
            "role": "ADMIN",
            "creditLimit": int(account.opened + account.topped_up),
            "usedCredit": int(account.credits_charged),
            "createdAt": now,
            "createdBy": "SYSTEM",
            "updatedAt": now,
            "updatedBy": "SYSTEM",
        }
        return {
            "uuid": str(uuid4()),
            "userId": f"user-{account.id}",
            "teamId": f"team-{account.id}",
            "teamUser": team_user,
            "model": feature.model,
            "type": feature.type,
            "metadata": None,
            "rating": None,
            "feedback": None,
            "conversationId": None,
            "status": "SUCCESS",
            "createdAt": now,
            "aiRecordDetail": {"promptObject": feature.prompt, "resultObject": [], "responseObject": {}},
            "additionalData": None,
            "temporaryUrl": None,
        }

    async def poll(self, call: Call) -> Response:
        """GET /api/features/{uuid}; seen in clients, not in the documents."""
        account = self._who(call)
        known = self._records.get(call.request.path_params["uuid"])
        if known is None or known[0] is not account:
            raise VendorError(404, "Record not found")
        return JSONResponse({"aiRecord": known[1]})

    async def models(self, call: Call) -> Response:
        """GET /models?feature=TYPE, without a key."""
        wanted = call.request.query_params.get("feature", "")
        found = [{"modelId": model, "name": model, "features": [wanted]} for model in MODELS.get(wanted, ())]
        return JSONResponse({"models": found})

    async def temporary(self, call: Call) -> Response:
        """The bucket: a signed address refuses a request that brings another means of authentication."""
        if "authorization" in call.request.headers:
            call.state.traffic.keys_leaked[self.key] += 1
            raise VendorError(400, "Only one auth mechanism allowed")
        return await download(call)


def _valid(body: dict[str, Any]) -> _Feature:
    """Raises the vendor's 400."""
    kind, model, prompt = body.get("type"), body.get("model"), body.get("promptObject")
    if not isinstance(kind, str) or kind not in MODELS:
        raise VendorError(400, "type is not supported")
    if model not in MODELS[kind]:
        raise VendorError(400, f"model is not supported for {kind}")
    if not isinstance(prompt, dict):
        raise VendorError(400, "promptObject is required")
    for name in ("imageUrl", "maskUrl" if kind == REMOVER else "prompt"):
        if not isinstance(prompt.get(name), str) or not prompt[name]:
            raise VendorError(400, f"promptObject.{name} is required")
    if model == "stable-image" and prompt.get("output_format", "png") not in OUTPUT_FORMATS:
        raise VendorError(400, "promptObject.output_format is not supported")
    if prompt.get("size", "1024x1024") not in list(FIXED_SIZES):
        raise VendorError(400, "promptObject.size is not supported")
    return _Feature(type=kind, model=str(model), prompt=prompt)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}"


def _zulu(moment: datetime) -> str:
    """`2026-01-02T13:13:31.000Z`, as 1min.ai writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
