"""The ASGI application: one router a vendor below its prefix, and the controls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from tasks.providers.sandbox.clock import Clock
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.control import Control
from tasks.providers.sandbox.state import SandboxState
from tasks.providers.sandbox.vendors.maskr import Maskr
from tasks.providers.sandbox.vendors.modelslab import ModelsLab
from tasks.providers.sandbox.vendors.onemin import OneMin
from tasks.providers.sandbox.vendors.runflow import Runflow

VENDORS = (Runflow, Maskr, ModelsLab, OneMin)


def create_app(config: SandboxConfig | None = None, clock: Clock | None = None) -> Starlette:
    """Every vendor under `/<its name>`, the controls under `/_sandbox`."""
    state = SandboxState(config or SandboxConfig(), clock)
    mounts = [Mount(f"/{vendor.key}", routes=vendor(state).routes()) for vendor in VENDORS]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await state.aclose()

    app = Starlette(routes=[*mounts, Mount("/_sandbox", routes=Control(state).routes())], lifespan=lifespan)
    app.state.sandbox = state
    return app
