"""Runs the receiver."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from tasks.config.services import CallbackSettings


def listen(settings: CallbackSettings) -> socket.socket:
    """The listening socket: taken before anything else, so that a taken port is told at once. OSError when it is."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family)


def address_of(listener: socket.socket) -> str:
    """Such as http://127.0.0.1:8766."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Starlette, listener: socket.socket, *, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until told to stop (SIGINT, SIGTERM). No access log: ModelsLab's token stands in its address."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        lifespan="off",
        limit_concurrency=200,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
    )
    ready()
    await uvicorn.Server(config).serve(sockets=[listener])
