"""ModelsLab's wire: JSON with the key inside, an address in, `processing` or `success` out, fetch and webhook (seed 002)."""

import base64
import math
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account, Hold, Price, Work
from tasks.providers.sandbox.callbacks import Callback
from tasks.providers.sandbox.calls import Call, Door, Vendor, VendorError
from tasks.providers.sandbox.config import ModelsLabConfig
from tasks.providers.sandbox.edits import Edited, Order
from tasks.providers.sandbox.faults import Endpoint, FaultKind
from tasks.providers.sandbox.fetching import FetchError
from tasks.providers.sandbox.limits import Limit
from tasks.providers.sandbox.pictures import SUFFIXES, PictureError
from tasks.providers.sandbox.recent import Recent
from tasks.providers.sandbox.selections import ByMask, ByWords, Select
from tasks.providers.sandbox.state import SandboxState, sha256
from tasks.providers.sandbox.vendors.downloads import address, download, keep
from tasks.providers.sandbox.vendors.modelslab_uploads import Uploads

MAX_INPUT_BYTES = 50_000_000  # of init_image by address; not documented
COUNT_LIMIT = (Limit(amount=30, period_s=60),)  # of processing/request_count (rate-limits page)
FAMILIES = ("interior", "image_editing")
BASES = ("/api/v6", "/api/v1/enterprise")


@dataclass(kw_only=True, slots=True)
class Job:
    """One generation."""

    id: int
    family: str
    account: Account
    item: str
    request_id: str
    base_url: str
    as_base64: bool
    track_id: str | None
    webhook: str | None
    ready_at_s: float
    status: str = "processing"
    message: str = ""
    path: str | None = None
    output: list[str] = field(default_factory=list)
    seconds: float = 0
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """For faults that match."""
        return tuple(name for name in (self.item, str(self.id), self.track_id) if name)


class ModelsLab(Vendor):
    """Both object-removal endpoints, fetch, uploads, wallet."""

    key = "modelslab"
    unit = "usd"
    out_of_credits = "Insufficient credits. Please add more credits to continue."

    config: ModelsLabConfig

    def __init__(self, state: SandboxState) -> None:
        super().__init__(state)
        self.too_many_requests = f"Rate limit exceeded. Maximum {self.config.slots} queued requests allowed."
        self.messages[429] = self.too_many_requests
        self.price = Price(unit="usd", usd=self.config.usd_per_image)
        self.uploads = Uploads(self)
        self._jobs: Recent[str, Job] = Recent()

    def routes(self) -> list[Route]:
        """Paths below this vendor's prefix."""
        submit, poll = Endpoint.SUBMIT, Endpoint.POLL
        families = [
            route
            for base in BASES
            for family in FAMILIES
            for route in (
                Route(f"{base}/{family}/object_removal", Door(self, submit, self.submit), methods=["POST"]),
                Route(f"{base}/{family}/fetch/{{job_id}}", Door(self, poll, self.fetch), methods=["POST"]),
            )
        ]
        count = Door(self, Endpoint.OTHER, self.request_count)
        return [
            *families,
            Route("/api/v6/processing/request_count", count, methods=["POST", "GET"]),
            Route("/api/wallet_balance", Door(self, Endpoint.BALANCE, self.balance), methods=["POST"]),
            Route("/generations/{name}", Door(self, Endpoint.DOWNLOAD, download), methods=["GET"]),
            *self.uploads.routes(),
        ]

    def refusal(self, error: VendorError) -> Response:
        """`status: error` and a message; `retry_after` in the body, in whole seconds."""
        body: dict[str, Any] = {"status": "error", "message": error.message}
        if error.retry_after_s is not None:
            body["retry_after"] = math.ceil(error.retry_after_s)
        quota = self.config.errors_as_200 and error.status in (401, 402, 429)
        return JSONResponse(body, 200 if quota else error.status)

    async def who(self, call: Call) -> tuple[Account, dict[str, Any]]:
        """The account behind the key in the body, and the body."""
        body = await call.json()
        key = body.get("key")
        return call.account(key if isinstance(key, str) else None), body

    async def submit(self, call: Call) -> Response:
        """POST /api/v6/{interior,image_editing}/object_removal."""
        account, body = await self.who(call)
        call.admit(account, self.config.single_limits())
        masked = "/image_editing/" in call.request.scope["path"]
        self._validate(body, masked=masked)
        job = self._job(call, account, body, "image_editing" if masked else "interior")
        await call.meet_faults(job.names)
        if self._under_way(account) >= self.config.slots:
            raise VendorError(429, self.too_many_requests, retry_after_s=self.config.slot_retry_after_s)
        hold = call.hold(account, self.price)
        self.state.traffic.job_began(self.key, account.id)
        try:
            image, select = await self._inputs(body, masked=masked)
        except VendorError:
            self.state.traffic.job_ended(self.key, account.id)
            hold.release()
            raise
        self._jobs[str(job.id)] = job
        if self.config.processing_s > 0:
            self.state.spawn(self._live(job, image, select, hold))
        else:
            await self._live(job, image, select, hold)
        return self._answer(job)

    def _under_way(self, account: Account) -> int:
        return self.state.traffic.jobs[self.key, account.id]

    def _validate(self, body: dict[str, Any], *, masked: bool) -> None:
        second = "mask_image" if masked else "object_name"
        for name in ("init_image", second):
            if not isinstance(body.get(name), str) or not body[name]:
                raise VendorError(200 if masked else 400, f"The {name} field is required.")
        for name in ("webhook", "track_id"):
            if not isinstance(body.get(name), str | int | None):
                raise VendorError(200 if masked else 400, f"The {name} field is invalid.")

    def _job(self, call: Call, account: Account, body: dict[str, Any], family: str) -> Job:
        init_image = body["init_image"]
        item = "data" if init_image.startswith("data:") else init_image.partition("?")[0].rpartition("/")[2]
        track_id = body.get("track_id")
        return Job(
            id=self.state.new_number(),
            family=family,
            account=account,
            item=item[:200],
            request_id=call.request_id,
            base_url=call.base_url,
            as_base64=body.get("base64") in (True, "true", "yes"),
            track_id=None if track_id is None else str(track_id),
            webhook=body.get("webhook") or None,
            ready_at_s=self.state.clock.monotonic_s() + self.config.processing_s,
        )

    async def _inputs(self, body: dict[str, Any], *, masked: bool) -> tuple[bytes, Select]:
        try:
            image = await self._read(body["init_image"])
            return image, ByMask(data=await self._read(body["mask_image"])) if masked else ByWords()
        except FetchError as error:
            message = f"Unable to fetch image from provided URL ({error})"
            raise VendorError(200 if masked else 400, message) from None

    async def _read(self, address_text: str) -> bytes:
        own = self.uploads.read(address_text)
        if own is not None:
            return own
        timeout_s = self.config.fetch_timeout_s
        return await self.state.fetcher.fetch(address_text, max_bytes=MAX_INPUT_BYTES, timeout_s=timeout_s)

    async def _live(self, job: Job, image: bytes, select: Select, hold: Hold) -> None:
        """From processing to success or error, then the webhook. Charged only on success."""
        faults = self.state.picture_faults(self.key, Endpoint.SUBMIT, job.names)
        started_s = self.state.clock.monotonic_s()
        if FaultKind.STUCK_JOB in faults:
            return  # processing for ever, its slot and its money for ever taken
        try:
            edited = await self._worked(image, select, faults)
            await self.state.clock.sleep(max(self.config.latency_s, job.ready_at_s - self.state.clock.monotonic_s()))
            job.seconds = round(self.state.clock.monotonic_s() - started_s, 3)
            self._deliver(job, edited, expired=FaultKind.EXPIRED_URL in faults)
            hold.charge(
                Work(
                    request_id=job.request_id,
                    job_id=str(job.id),
                    item=job.item,
                    reference=job.track_id,
                    picture_sha256=sha256(image),
                )
            )
            job.status = "success"
        except PictureError as error:
            job.status, job.message = "error", str(error)
        finally:
            hold.release()
            self.state.traffic.job_ended(self.key, job.account.id)
        if job.webhook:
            self.state.spawn(self._call_back(job))

    async def _worked(self, image: bytes, select: Select, faults: frozenset[FaultKind]) -> Edited:
        if FaultKind.ITEM_FAILURE in faults:
            raise PictureError("Generation failed, please try again")
        order = Order(image=image, select=select, output_format=self.config.output_format)
        return await self.state.edit(order, faults)

    def _deliver(self, job: Job, edited: Edited, *, expired: bool) -> None:
        if job.as_base64:
            job.output = [base64.b64encode(edited.data).decode()]
            return
        picture_format = edited.media_type.partition("/")[2]
        job.path = f"/generations/{job.id}-0{SUFFIXES[picture_format]}"
        keep(self, job.path, edited, job.names)
        job.output = [address(self, job.base_url, job.path, expired=expired)]

    async def _call_back(self, job: Job) -> None:
        payload: dict[str, Any] = {"status": job.status, "id": job.id, "track_id": job.track_id}
        if job.status == "success":
            payload |= {"output": job.output, "generationTime": job.seconds, "meta": {}}
        else:
            payload |= {"status": "failed", "message": job.message}
        callback = Callback(
            vendor=self.key, url=str(job.webhook), payload=payload, names=job.names, history=job.callbacks
        )
        await self.state.callbacks.deliver(callback)

    def _answer(self, job: Job) -> Response:
        if job.status == "success":
            body: dict[str, Any] = {
                "status": "success",
                "generationTime": job.seconds,
                "id": job.id,
                "output": job.output,
                "proxy_links": job.output,
                "meta": {},
            }
            return JSONResponse(body)
        if job.status == "error":
            code = 200 if job.family == "image_editing" else 400
            return JSONResponse({"status": "error", "message": job.message}, code)
        left_s = max(1, math.ceil(job.ready_at_s - self.state.clock.monotonic_s()))
        body = {
            "status": "processing",
            "tip": "Your image is processing in background, you can get this image using fetch API",
            "eta": left_s,
            "message": f"Try to fetch request after {left_s} seconds",
            "fetch_result": f"{job.base_url}/api/v6/{job.family}/fetch/{job.id}",
            "id": job.id,
            "output": [],
            "meta": {},
            "future_links": [],
        }
        return JSONResponse(body)

    async def fetch(self, call: Call) -> Response:
        """POST /api/v6/{family}/fetch/{id}."""
        account, _ = await self.who(call)
        job = self._jobs.get(call.request.path_params["job_id"])
        if job is None or job.account is not account:
            raise VendorError(400, "Request not found")
        await call.meet_faults(job.names)
        return self._answer(job)

    async def request_count(self, call: Call) -> Response:
        """POST or GET /api/v6/processing/request_count: jobs under way, itself limited to 30 a minute."""
        if call.request.method == "GET":
            account = call.account(call.request.query_params.get("key"))
        else:
            account, _ = await self.who(call)
        call.admit(account, COUNT_LIMIT)
        number = self._under_way(account)
        return JSONResponse({"status": "success", "processing_count": number, "message": f"{number} in queue"})

    async def balance(self, call: Call) -> Response:
        """POST /api/wallet_balance."""
        account, _ = await self.who(call)
        data = {"balance": float(account.balance), "currency": "USD"}  # a JSON number, as documented
        return JSONResponse({"status": "success", "data": data})
