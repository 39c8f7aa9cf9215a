"""Callbacks as vendors send them: signed, retried, and sometimes lost, late, twice or forged."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from tasks.providers.sandbox.clock import Clock, iso
from tasks.providers.sandbox.faults import OF_CALLBACK, Endpoint, FaultBox, FaultKind
from tasks.providers.sandbox.fetching import Fetcher, FetchError


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """One message to be delivered."""

    vendor: str
    url: str = field(repr=False)
    payload: dict[str, Any]
    names: tuple[str, ...]  # of the item, for faults that match
    headers: dict[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)  # signs as Runflow does
    backoff_s: tuple[float, ...] = ()  # waits between the attempts: one attempt more than waits
    timeout_s: float = 30
    history: list[dict[str, Any]] = field(default_factory=list)  # attempts, added as they happen


def signature(secret: str, body: bytes) -> str:
    """`Runflow-Signature`: HMAC-SHA256 of the raw body, 64 lowercase hex digits, no prefix."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Callbacks:
    """Delivers, retrying on 5xx and network errors only (seed 000)."""

    def __init__(self, *, fetcher: Fetcher, faults: FaultBox, clock: Clock) -> None:
        self._fetcher = fetcher
        self._faults = faults
        self._clock = clock

    async def deliver(self, callback: Callback) -> None:
        """Send until it is taken, refused or given up."""
        struck = self._faults.draw(OF_CALLBACK, vendor=callback.vendor, endpoint=Endpoint.OTHER, names=callback.names)
        kinds = {fault.kind for fault in struck}
        if FaultKind.CALLBACK_LOST in kinds:
            callback.history.append({"at": iso(self._clock.now()), "status": None, "error": "lost"})
            return
        for fault in struck:
            if fault.kind is FaultKind.CALLBACK_LATE:
                await self._clock.sleep(fault.seconds)
        if FaultKind.CALLBACK_FORGED in kinds:
            await self._send(callback, secret="whsec_forged")  # noqa: S106 - wrong on purpose
            return
        for _ in range(2 if FaultKind.CALLBACK_DUPLICATED in kinds else 1):
            await self._send(callback, secret=callback.secret)

    async def _send(self, callback: Callback, *, secret: str | None) -> None:
        body = json.dumps(callback.payload).encode()
        headers = {"Content-Type": "application/json"} | callback.headers
        if secret:
            headers["Runflow-Signature"] = signature(secret, body)
        for wait_s in (0.0, *callback.backoff_s):
            if wait_s:
                await self._clock.sleep(wait_s)
            if await self._attempt(callback, body, headers):
                return

    async def _attempt(self, callback: Callback, body: bytes, headers: dict[str, str]) -> bool:
        """True: nothing more to be done."""
        status, error = None, None
        try:
            status = await self._fetcher.post(callback.url, body, headers, timeout_s=callback.timeout_s)
        except FetchError as failure:
            error = str(failure)
        callback.history.append({"at": iso(self._clock.now()), "status": status, "error": error})
        return status is not None and status < 500
