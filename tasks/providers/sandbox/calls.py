"""One request to one vendor: who asks, may they, what is to go wrong, and what is counted."""

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tasks.providers.sandbox.bill import Account, Hold, Price
from tasks.providers.sandbox.config import VendorConfig
from tasks.providers.sandbox.faults import AFTER, BEFORE, Endpoint, Fault, FaultKind
from tasks.providers.sandbox.limits import Limit
from tasks.providers.sandbox.state import SandboxState

LOG = logging.getLogger("cleanplate.sandbox")
MAX_JSON_BYTES = 80_000_000  # room for a data: URI
HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)
SLOW_CHUNKS = 10


class VendorError(Exception):
    """The vendor refuses; each vendor says it in a shape of its own."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        """`code` and `details` for vendors that have such; `retry_after_s` on 429 and 503."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.details = tuple(details)
        self.retry_after_s = retry_after_s


class DroppedError(Exception):
    """The connection is to be cut without an answer."""


class Call:
    """A request on its way through the sandbox."""

    def __init__(self, state: SandboxState, vendor: "Vendor", endpoint: Endpoint, request: Request) -> None:
        self.state = state
        self.vendor = vendor
        self.endpoint = endpoint
        self.request = request
        self.arrived_s = state.clock.monotonic_s()
        self.request_id = secrets.token_hex(8)
        self.after: list[Fault] = []  # what is to happen to the answer

    @property
    def base_url(self) -> str:
        """The vendor's own address as the client sees it."""
        root = self.state.config.public_url or f"{self.request.url.scheme}://{self.request.url.netloc}"
        return f"{root.rstrip('/')}/{self.vendor.key}"

    def account(self, key: str | None) -> Account:
        """Who asks. Raises the vendor's 401."""
        config = self.vendor.config
        if not key or key in config.refused_keys or (not config.open and key not in config.keys):
            raise VendorError(401, self.vendor.invalid_key)
        opening = config.keys.get(key, config.credits)
        return self.state.bill.account(self.vendor.key, key, unit=self.vendor.unit, opening=opening)

    def admit(self, account: Account, limits: tuple[Limit, ...]) -> None:
        """Keep the rate limit, measured at the request's arrival. Raises the vendor's 429."""
        lane = self.state.traffic.lane(self.vendor.key, self.endpoint, account.id, limits)
        wait_s = lane.admit(self.arrived_s)
        if wait_s is not None:
            raise VendorError(429, self.vendor.too_many_requests, retry_after_s=wait_s)

    def hold(self, account: Account, price: Price) -> Hold:
        """Set the price aside. Raises the vendor's 402."""
        hold = self.state.bill.hold(account, price)
        if hold is None:
            raise VendorError(402, self.vendor.out_of_credits)
        return hold

    async def meet_faults(self, names: Sequence[str] = ()) -> None:
        """What strikes this request: without names on arrival, with names those that match them."""
        struck = self.state.faults.draw(
            BEFORE | AFTER,
            vendor=self.vendor.key,
            endpoint=self.endpoint,
            names=names,
            only_matching=bool(names),
        )
        self.after += [fault for fault in struck if fault.kind in AFTER]
        for fault in struck:
            if fault.kind in BEFORE:
                await self._suffer(fault)

    async def _suffer(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.LATENCY:
                await self.state.clock.sleep(fault.seconds)
            case FaultKind.STATUS | FaultKind.OUTAGE:
                message = self.vendor.messages.get(fault.status, "Something went wrong")
                raise VendorError(fault.status, message, retry_after_s=fault.retry_after_s)
            case FaultKind.HANG_BEFORE:
                await self.hang(fault.seconds)
                raise DroppedError
            case _:
                raise DroppedError

    async def hang(self, seconds: float) -> None:
        """Keep silent until the time is over or the client has gone."""
        await self.drain()
        gone = asyncio.ensure_future(self.request.receive())
        rest = asyncio.ensure_future(self.state.clock.sleep(seconds))
        await asyncio.wait((gone, rest), return_when=asyncio.FIRST_COMPLETED)
        for waiting in (gone, rest):
            waiting.cancel()

    async def drain(self) -> None:
        """Read what the client still sends, so that the connection can serve the next request."""
        with contextlib.suppress(ClientDisconnect, RuntimeError):  # gone, or read already
            async for _ in self.request.stream():
                pass

    async def json(self) -> dict[str, Any]:
        """The body as an object. Raises the vendor's 400, or 413."""
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_JSON_BYTES:
                raise VendorError(413, "Request body too large")
        try:
            value = json.loads(body, parse_constant=_refuse_constant)
            if b"\\u" in body:
                json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair can be neither kept nor answered
        except (ValueError, RecursionError):
            raise VendorError(400, "Request body is not valid JSON") from None
        if not isinstance(value, dict):
            raise VendorError(400, "Request body must be a JSON object")
        return value


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise ValueError(name)


Handler = Callable[[Call], Awaitable[Response]]


class Vendor:
    """What the vendors have in common; a subclass speaks one vendor's wire."""

    key: str
    unit: str  # what its accounts hold: credits or usd
    invalid_key = "Invalid API key"
    too_many_requests = "Rate limit exceeded"
    out_of_credits = "Insufficient credits"

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self.config: VendorConfig = getattr(state.config, self.key)
        self.messages = {
            401: self.invalid_key,
            402: self.out_of_credits,
            429: self.too_many_requests,
            500: "Internal server error",
            503: "Service temporarily unavailable",
        }

    def refusal(self, error: VendorError) -> Response:
        """An error in this vendor's shape."""
        raise NotImplementedError

    def retry_headers(self, error: VendorError) -> dict[str, str]:
        """Retry-After in whole seconds, where this vendor sends it."""
        if error.retry_after_s is None or not self.config.retry_after_header:
            return {}
        return {"Retry-After": str(max(1, -int(-error.retry_after_s // 1)))}


class Door:
    """The ASGI endpoint about a handler: counts, faults, errors, and the answer's way out."""

    def __init__(self, vendor: Vendor, endpoint: Endpoint, handler: Handler) -> None:
        self.vendor = vendor
        self.endpoint = endpoint
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        call = Call(self.vendor.state, self.vendor, self.endpoint, Request(scope, receive))
        traffic = self.vendor.state.traffic
        traffic.began(self.vendor.key)
        status = "hung_up"
        try:
            response = await self._answer(call)
            await call.drain()
            status = await _send_out(call, response, scope, receive, send)
        except DroppedError:
            status = "dropped"
            await cut_off(scope, receive)
        except ClientDisconnect:
            pass
        finally:
            traffic.ended(self.vendor.key, self.endpoint, status)

    async def _answer(self, call: Call) -> Response:
        try:
            await call.meet_faults()
            return await self.handler(call)
        except VendorError as error:
            return self.vendor.refusal(error)
        except (DroppedError, ClientDisconnect):
            raise
        except Exception:
            self.vendor.state.traffic.defects += 1
            LOG.exception("a request met a defect of the sandbox")
            return self.vendor.refusal(VendorError(500, "A defect of the sandbox; see its log"))


async def _send_out(call: Call, response: Response, scope: Scope, receive: Receive, send: Send) -> str:
    """The answer as the faults leave it; the status to be counted."""
    slow_s = cut = 0.0
    for fault in call.after:
        match fault.kind:
            case FaultKind.DROP_AFTER:
                raise DroppedError
            case FaultKind.HANG_AFTER:
                await call.hang(fault.seconds)
                raise DroppedError
            case FaultKind.HTML:
                response = Response(HTML_PAGE, 502, media_type="text/html")
            case FaultKind.MALFORMED_JSON:
                half = bytes(response.body)[: max(1, len(response.body) // 2)]
                response = Response(half, response.status_code, media_type="application/json")
            case FaultKind.SLOW_BODY:
                slow_s = fault.seconds
            case FaultKind.TRUNCATED_BODY:
                cut = 0.5
            case _:
                pass
    if slow_s or cut:
        await _send_in_pieces(call, response, send, slow_s=slow_s, cut=bool(cut))
        if cut:
            await cut_off(scope, receive, at_once=False)
            return "truncated"
    else:
        await response(scope, receive, send)
    return str(response.status_code)


async def _send_in_pieces(call: Call, response: Response, send: Send, *, slow_s: float, cut: bool) -> None:
    body = bytes(response.body)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    size = max(1, -(-len(body) // SLOW_CHUNKS))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for piece in pieces[: len(pieces) // 2] if cut else pieces:
        await call.state.clock.sleep(slow_s / SLOW_CHUNKS)
        await send(_body(piece, more=True))
    if not cut:
        await send(_body(b"", more=False))


def _body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def cut_off(scope: Scope, receive: Receive, *, at_once: bool = True) -> None:
    """Break the connection: with a reset at once, or after what was sent is out."""
    transport = scope.get("state", {}).get("transport")
    if transport is None:
        raise ConnectionResetError("the sandbox dropped this request")  # no socket: under a test transport
    transport.abort() if at_once else transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
