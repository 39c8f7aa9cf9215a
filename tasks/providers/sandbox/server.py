"""The sandbox as a server of its own."""

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tasks.providers.sandbox.app import create_app
from tasks.providers.sandbox.config import SandboxConfig

BACKLOG = 4096


class SandboxProtocol(H11Protocol):
    """Hands the connection to the application, which cuts it off when a fault says so."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """A client came."""
        # asyncio does this itself only for sockets made with an explicit protocol number; without it each answer,
        # head and body being two writes, waits 40 ms for the client's delayed acknowledgement
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


def listen(config: SandboxConfig) -> socket.socket:
    """Take the port. Raises OSError when it is taken, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)


def address_of(listener: socket.socket) -> str:
    """`http://host:port`, with the port that was really taken."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    config: SandboxConfig, listener: socket.socket, *, ready: Callable[[], None], stop: asyncio.Event | None = None
) -> None:
    """Serve on `listener` until a signal comes or `stop` is set; `ready` is called when clients may come."""
    settings = uvicorn.Config(
        create_app(config),
        http=SandboxProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        log_level=logging.CRITICAL,  # it complains of every connection that a fault cuts off
        timeout_keep_alive=75,  # a client whose pool keeps a connection for 5 s must not meet ours closing at 5 s
        timeout_graceful_shutdown=1,  # hanging requests are part of the game
        server_header=False,
        backlog=BACKLOG,
    )
    server = uvicorn.Server(settings)
    watching = asyncio.create_task(_stop_when(stop, server)) if stop else None
    ready()  # the port is taken already: who comes now waits a moment in its backlog
    await server.serve(sockets=[listener])
    if watching:
        watching.cancel()


async def _stop_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True
