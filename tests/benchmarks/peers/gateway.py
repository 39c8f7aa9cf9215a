"""What peers call: the wires that they speak, in front of the sandbox's Maskr, whose bill counts for everyone.

`python -m tests.benchmarks.peers.gateway [MASKR_URL]`. A prompt names a picture and a mask; the gateway uploads both to Maskr and
answers with the result's address, as an OpenAI-shaped chat completion, or with the picture itself (`GET /picture`). It adds
nothing: no retry, no limit, the vendor's status and Retry-After go through. A caller that dies does not stop what it has asked
for, as at a real vendor. Without MASKR_URL it answers at once by itself. The first line on stdout is its address.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PATH = "/v1/services/object-removal"
MODEL = "gpt-4o-mini"  # a name that every peer has a price and a tokenizer for


class Gateway:
    """One upstream, any number of callers."""

    def __init__(self, maskr_url: str | None) -> None:
        self.maskr_url = maskr_url
        self.client = httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None), trust_env=False)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        try:
            messages = (await request.json())["messages"]
        except ClientDisconnect:  # killed while it spoke
            return Response(status_code=400)
        if not messages:  # some ask so for the limits
            return JSONResponse({"error": {"message": "Empty input messages"}}, 400)
        prompt = messages[-1]["content"]
        if self.maskr_url is None:
            return JSONResponse(completion(prompt))
        answer = await self._edit(*prompt.split())
        if answer.is_success:
            return JSONResponse(completion(answer.json()["result"]["output_url"]))
        return JSONResponse(refusal(answer), answer.status_code, headers=_retry_after(answer))

    async def picture(self, request: Request) -> Response:
        """GET /picture?image=…&mask=…: for peers that download."""
        answer = await self._edit(request.query_params["image"], request.query_params["mask"])
        if not answer.is_success:
            return Response(status_code=answer.status_code, headers=_retry_after(answer))
        edited = await self.client.get(answer.json()["result"]["output_url"])
        return Response(edited.content, media_type="image/png")

    async def _edit(self, image: str, mask: str) -> httpx.Response:
        parts = {
            kind: (Path(name).name, Path(name).read_bytes())  # noqa: ASYNC240 - small local files
            for kind, name in (("image", image), ("mask", mask))
        }
        return await self.client.post(f"{self.maskr_url}{PATH}", files=parts, headers={"Authorization": "Bearer peer"})


def completion(text: str) -> dict[str, Any]:
    """One token in, one token out: a price a call can be set by a price a token."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The vendor's words in OpenAI's shape."""
    kind = {402: "insufficient_quota", 429: "rate_limit_exceeded"}.get(answer.status_code, "upstream")
    return {"error": {"message": str(answer.json().get("detail")), "type": kind, "code": kind, "param": None}}


def _retry_after(answer: httpx.Response) -> dict[str, str]:
    return {"Retry-After": said} if (said := answer.headers.get("Retry-After")) else {}


@contextmanager
def gateway(maskr_url: str | None = None) -> Iterator[str]:
    """The gateway in a process of its own; yields its address."""
    command = [sys.executable, "-m", "tests.benchmarks.peers.gateway", *([maskr_url] if maskr_url else [])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def serve(maskr_url: str | None) -> None:
    """Until the process is ended."""
    wires = Gateway(maskr_url)
    routes = [
        Route("/v1/chat/completions", wires.chat, methods=["POST"]),
        Route("/chat/completions", wires.chat, methods=["POST"]),
        Route("/picture", wires.picture),
    ]
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(Starlette(routes=routes), log_level="error", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def _end_with_the_parent() -> None:
    """Its end of the pipe closes when it is gone, however it went."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(sys.argv[1] if len(sys.argv) > 1 else None)
