"""Requests, answers and stand-ins for the network that the provider tests share."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
from PIL import Image

from manifests.items import Operation
from tasks.config import Settings, load_settings
from tasks.providers.base import Asset, EditRequest, Provider
from tasks.providers.network import Network
from tasks.providers.registry import make_providers

T = TypeVar("T")
SEEDS = Path(__file__).parents[2] / "seeds"
KEY = "sk-live-0123456789abcdef"
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
PUBLIC_IP = "93.184.216.34"


def seed(name: str) -> dict[str, Any]:
    """The facts of one seed document."""
    return json.loads((SEEDS / f"{name}.json").read_text())


@cache
def picture(fmt: str = "PNG", size: tuple[int, int] = (64, 48), mode: str = "RGB", colour: int = 90) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour if mode == "L" else (colour, 120, 30)).save(out, fmt)
    return out.getvalue()


PNG = picture()


def asset(fmt: str = "PNG", *, mode: str = "RGB", url: str | None = None, source_uri: str | None = None) -> Asset:
    data = picture(fmt, mode=mode)
    return Asset(data=data, media_type=f"image/{fmt.lower()}", width=64, height=48, url=url, source_uri=source_uri)


def removal(**changes: Any) -> EditRequest:
    """Object removal by mask, unless changed."""
    given: dict[str, Any] = {
        "attempt_key": "attempt-1",
        "item_id": "sku-1",
        "operation": Operation.OBJECT_REMOVAL,
        "image": asset(),
        "mask": asset(mode="L"),
    }
    return EditRequest(**(given | changes))


def replacement(**changes: Any) -> EditRequest:
    """Background replacement by reference and prompt, unless changed."""
    given: dict[str, Any] = {
        "operation": Operation.BACKGROUND_REPLACE,
        "mask": None,
        "reference": asset("WEBP"),
        "prompt": "on a marble counter",
    }
    return removal(**(given | changes))


def settings_for(key: str, **own: Any) -> Settings:
    """The installation's settings with one provider switched on. Names with a dot-free capital are its own; `settings_` are the rest."""
    rest = {name.removeprefix("settings_"): own.pop(name) for name in list(own) if name.startswith("settings_")}
    return load_settings(providers={key: {"api_key": KEY, **own}}, **rest)


async def resolve_public(_host: str, _port: int) -> list[str]:
    return [PUBLIC_IP]


Answerer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


@dataclass
class Vendor:
    """A scripted vendor: `answers` by "METHOD /path", the last one repeated; results are a PNG. Remembers what it was asked."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    def answer(self, place: str, *answers: Any) -> "Vendor":
        """Each an httpx.Response, an exception to raise, or JSON to send with status 200."""
        self.answers[place] = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        path = request.url.path
        scripted = self.answers.get(f"{request.method} {path}")
        if scripted is None:
            return httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
        reply = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            # a fresh one each time: a response is read once
            return httpx.Response(reply.status_code, content=reply.content, headers=reply.headers)
        return httpx.Response(200, json=reply)

    def at(self, place: str) -> list[httpx.Request]:
        """The requests that came to "METHOD /path"."""
        return [r for r in self.asked if f"{r.method} {r.url.path}" == place]

    def paths(self) -> list[str]:
        return [f"{r.method} {r.url.path}" for r in self.asked]


@asynccontextmanager
async def provider(key: str, vendor: Callable[[httpx.Request], httpx.Response], **own: Any) -> AsyncIterator[Provider]:
    """An adapter whose network is the scripted vendor."""
    network = Network(transport=httpx.MockTransport(vendor), resolve=resolve_public, clock=lambda: NOW)
    made = make_providers([key], settings_for(key, **own), network=network)[key]
    try:
        yield made
    finally:
        await made.aclose()


async def unobserved() -> None:
    """An `on_sent` that nobody listens to."""


class Sent:
    """An `on_sent` that counts."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    return asyncio.run(main())
