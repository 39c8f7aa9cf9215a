"""The server that providers call back: verifies, drops repetitions, hands over. Answers with 2xx only when the callback is safely kept.

POST /runflow                          signed: Runflow-Signature over the raw body
POST /modelslab/<token>/<endpoint>     unsigned: known by the token in its address
GET  /health
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.callbacks.inbox import Inbox, Recent
from tasks.callbacks.signatures import is_signed, is_token
from tasks.config import ConfigurationError
from tasks.config.services import CallbackSettings
from tasks.providers.answers import identifier, record

logger = logging.getLogger("cleanplate.callbacks")
_BODY_TIMEOUT_S: Final = 10
_KEEP_TIMEOUT_S: Final = 20  # ModelsLab wants its answer within 30 s
_MODELSLAB_ENDPOINTS: Final = ("interior", "image_editing")


class RefusedError(Exception):
    """The callback is not taken; `status` tells the sender whether to come again."""

    def __init__(self, status: int, reason: str) -> None:
        """4xx: never; 5xx: again."""
        super().__init__(reason)
        self.status = status


def make_app(settings: CallbackSettings, inbox: Inbox) -> Starlette:
    """The ASGI application. Only providers whose callbacks can be verified have an address.

    Raises:
        ConfigurationError: none can.
    """
    receiver = _Receiver(settings, inbox)
    routes = [Route("/health", _health)]
    if settings.secrets:
        routes.append(Route("/runflow", receiver.runflow, methods=["POST"]))
    if settings.modelslab_tokens:
        routes.append(Route("/modelslab/{token}/{endpoint}", receiver.modelslab, methods=["POST"]))
    if len(routes) == 1:
        raise ConfigurationError(
            "no callback could be verified: set CLEANPLATE_CALLBACKS__SECRETS (Runflow's signing secrets) "
            "or CLEANPLATE_CALLBACKS__MODELSLAB_TOKENS"
        )
    return Starlette(routes=routes, exception_handlers={RefusedError: _refused})


class _Receiver:
    def __init__(self, settings: CallbackSettings, inbox: Inbox) -> None:
        self._max_bytes = settings.max_body_bytes
        self._secrets = _clear(settings.secrets)
        self._tokens = _clear(settings.modelslab_tokens)
        self._inbox = inbox
        self._recent = Recent()

    async def runflow(self, request: Request) -> Response:
        """`run_id` names the run; the signature is over the bytes as they came."""
        body = await self._body(request)
        if not is_signed(body, request.headers.get("runflow-signature", ""), self._secrets):
            raise RefusedError(401, "Runflow-Signature is missing or wrong")
        run_id = identifier(_parsed(body).get("run_id"))
        if run_id is None:
            raise RefusedError(400, "run_id is missing")
        return await self._keep("runflow", run_id, body)

    async def modelslab(self, request: Request) -> Response:
        """`id` names the job; which endpoint made it is in the address, as the adapter gave it out."""
        endpoint = request.path_params["endpoint"]
        if not is_token(request.path_params["token"], self._tokens) or endpoint not in _MODELSLAB_ENDPOINTS:
            raise RefusedError(404, "not found")
        body = await self._body(request)
        job_id = identifier(_parsed(body).get("id"))
        if job_id is None:
            raise RefusedError(400, "id is missing")
        return await self._keep("modelslab", f"{endpoint}/{job_id}", body)

    async def _keep(self, provider: str, remote_id: str, body: bytes) -> Response:
        delivery = (provider, remote_id, hashlib.sha256(body).digest())
        if not self._recent.add(delivery):
            return JSONResponse({"kept": True, "repeated": True})
        try:
            async with asyncio.timeout(_KEEP_TIMEOUT_S):
                await self._inbox.put(provider, remote_id, body.decode())
        except BaseException as error:
            self._recent.forget(delivery)
            if not isinstance(error, Exception):
                raise
            logger.error("callback of %s for %s could not be kept (%s)", provider, remote_id, type(error).__name__)  # noqa: TRY400 - a traceback could hold the payload's signed addresses
            raise RefusedError(503, "could not be kept now: send it again") from None
        logger.info("callback of %s for %s", provider, remote_id)
        return JSONResponse({"kept": True})

    async def _body(self, request: Request) -> bytes:
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and int(stated[:20]) > self._max_bytes:
            raise RefusedError(413, "too large")
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._max_bytes:
                        raise RefusedError(413, "too large")
        except TimeoutError:
            raise RefusedError(408, "too slow") from None
        except ClientDisconnect:
            raise RefusedError(400, "broken off") from None
        return bytes(body)


def _parsed(body: bytes) -> dict[str, object]:
    try:
        found = record(json.loads(body.decode()))
    except (ValueError, RecursionError):
        found = {}
    if not found:
        raise RefusedError(400, "the body is no JSON object")
    return found


def _clear(secrets: Sequence[SecretStr]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]


async def _refused(_request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else 500
    return JSONResponse({"error": str(error)}, status_code=status)


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
