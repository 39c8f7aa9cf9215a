"""What the sandbox's tests share: pictures, a clock that tests move, a client in process, and a host that listens."""

import asyncio
import base64
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tasks.providers.sandbox.app import create_app
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.state import SandboxState

WIDTH, HEIGHT = 96, 64
BOX = (36, 22, 60, 42)  # x1, y1, x2, y2 of the red thing
KEY = "a-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
OBJECT_REMOVAL = "/maskr/v1/services/object-removal"


def scene() -> np.ndarray:
    """A smooth scene with a red thing in the middle, RGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.dstack([40 + x, 60 + y, np.full_like(x, 120)]).astype(np.uint8)
    x1, y1, x2, y2 = BOX
    pixels[y1:y2, x1:x2] = (230, 20, 20)
    return pixels


def selection() -> np.ndarray:
    """White over the red thing and two pixels about it."""
    x1, y1, x2, y2 = BOX
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2] = 255
    return mask


def as_file(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Encoded."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind)
    return target.getvalue()


def as_pixels(data: bytes) -> np.ndarray:
    """Decoded to RGB."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


PHOTO, MASK = as_file(scene()), as_file(selection())
PHOTO_URI = "data:image/png;base64," + base64.b64encode(PHOTO).decode()
MASK_URI = "data:image/png;base64," + base64.b64encode(MASK).decode()
PAIR = {"image": ("photo.png", PHOTO, "image/png"), "mask": ("mask.png", MASK, "image/png")}


def zipped(**files: bytes) -> bytes:
    """A zip; `photo_png=…` becomes photo.png."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_", "."), data)
    return target.getvalue()


def zip_uri(archive: bytes | None = None) -> str:
    """The example's zip as a data URI."""
    archive = archive or zipped(photo_png=PHOTO, mask_png=MASK)
    return "data:application/zip;base64," + base64.b64encode(archive).decode()


def pairs(number: int, *, first: int = 0) -> list[tuple[str, tuple[str, bytes, str]]]:
    """A batch's form: photo-0.png … with their masks."""
    names = range(first, first + number)
    images = [("images", (f"photo-{n}.png", PHOTO, "image/png")) for n in names]
    return images + [("masks", (f"mask-{n}.png", MASK, "image/png")) for n in names]


class MovableClock:
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self) -> None:
        self.passed_s = 1000.0

    def monotonic_s(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return datetime(2026, 5, 6, 10, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


class Inside:
    """A sandbox in this process, with a clock that the test moves."""

    def __init__(self, client: httpx.AsyncClient, state: SandboxState, clock: MovableClock) -> None:
        self.client = client
        self.state = state
        self.clock = clock

    async def get(self, url: str, **arguments: Any) -> httpx.Response:
        return await self.client.get(url, **arguments)

    async def post(self, url: str, **arguments: Any) -> httpx.Response:
        return await self.client.post(url, **arguments)

    async def remove_object(self, name: str = "photo.png", **arguments: Any) -> httpx.Response:
        """Maskr's single request."""
        files = {"image": (name, PHOTO, "image/png"), "mask": PAIR["mask"]}
        return await self.post(OBJECT_REMOVAL, **({"files": files, "headers": BEARER} | arguments))

    async def create_run(self, url: str | None = None, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Runflow's object removal."""
        given = {"zip_url": url or zip_uri(), "file_input": "photo.png", "file_mask": "mask.png"}
        body = {"input": given} | more
        path = "/runflow/v1/models/runflow/object-removal/runs"
        return await self.post(path, json=body, headers=BEARER | (headers or {}))

    async def finished_run(self, **arguments: Any) -> dict[str, Any]:
        """Create a run, let it end, read it."""
        run = (await self.create_run(**arguments)).json()
        await self.state.settled()
        return (await self.get(f"/runflow/v1/runs/{run['id']}", headers=BEARER)).json()

    async def remove_by_words(self, family: str = "interior", **more: Any) -> httpx.Response:
        """ModelsLab's object removal."""
        body = {"key": KEY, "init_image": PHOTO_URI}
        body |= {"object_name": "the red thing"} if family == "interior" else {"mask_image": MASK_URI}
        return await self.post(f"/modelslab/api/v6/{family}/object_removal", json=body | more)

    async def erase(self, **more: Any) -> httpx.Response:
        """1min.ai's object removal, with its two uploads."""
        image, mask = [await self.upload_asset(name, data) for name, data in (("a.png", PHOTO), ("m.png", MASK))]
        body = {"type": "IMAGE_OBJECT_REMOVER", "model": "recraft"}
        body |= {"promptObject": {"imageUrl": image, "maskUrl": mask}} | more
        return await self.post("/onemin/api/features", json=body, headers={"API-KEY": KEY})

    async def upload_asset(self, name: str, data: bytes) -> str:
        answer = await self.post("/onemin/api/assets", files={"asset": (name, data)}, headers={"API-KEY": KEY})
        return answer.json()["fileContent"]["path"]

    async def bill(self, **narrowed: str) -> dict[str, Any]:
        return (await self.get("/_sandbox/bill", params=narrowed)).json()

    async def fault(self, **fault: Any) -> int:
        answer = await self.post("/_sandbox/faults", json=fault)
        return answer.json()["ids"][0]

    async def injected(self) -> dict[str, int]:
        return (await self.get("/_sandbox/faults")).json()["injected"]


@asynccontextmanager
async def inside(config: SandboxConfig | None = None) -> AsyncIterator[Inside]:
    """A sandbox in this process, in the quick setting unless told otherwise."""
    clock = MovableClock()
    app = create_app(config or SandboxConfig(engine="quick"), clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Inside(client, app.state.sandbox, clock)
    await app.state.sandbox.aclose()


class Host:
    """A web server on loopback: gives `files`, takes callbacks, answers them with `statuses` in turn (then 200)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: list[int] = []
        self.received: list[tuple[dict[str, str], bytes]] = []  # headers in lower case, raw body
        self.arrived = Event()
        self.url = ""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        self.received.append((headers, body))
        self.arrived.set()
        return self.statuses.pop(0) if self.statuses else 200


@contextmanager
def host() -> Iterator[Host]:
    """A Host on an ephemeral port."""
    this = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = this.files.get(self.path)
            self._answer(200 if data is not None else 404, data or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(this.take({name.lower(): value for name, value in self.headers.items()}, body), b"")

        def _answer(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    this.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield this
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
