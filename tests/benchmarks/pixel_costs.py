"""What one 1080p row costs in our own CPU, step by step, against the floor that no pipeline can avoid: decode and encode.

Each step is the best of several runs, CPU time. Fetching and storing are local files with their SHA-256, through the driver's own storage.
The floor decodes the picture, its mask and the answer, and encodes the picture again, with the same decoders and encoders. The
provider's work is not counted: the answer lies ready.
"""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from manifests.items import Item
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.config.providers import LocalSettings
from tasks.editing.storage import Storage, StorageError
from tasks.imaging import pnm
from tasks.imaging.allocator import keep_freed_memory
from tasks.imaging.decode import decode_picture
from tasks.imaging.encode import encode_picture
from tasks.imaging.masks import decode_mask
from tasks.preflight import Fitted, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.providers.local.engines import load_engine
from tasks.providers.local.fill import fill_holes
from tasks.providers.local.provider import CAPABILITIES
from tasks.quality import deliver, judge
from tests.factories.pictures import hole, jpeg, photo, png

T = TypeVar("T")
WIDTH, HEIGHT = 1920, 1080


@dataclass(kw_only=True)
class Timer:
    """Best of several runs, milliseconds."""

    runs: int

    def __call__(self, work: Callable[[], T]) -> tuple[T, float]:
        best, result = float("inf"), None
        for _ in range(self.runs):
            began = time.process_time()
            result = work()
            best = min(best, time.process_time() - began)
        assert result is not None
        return result, best * 1000


def main(quick: bool) -> None:
    """Print one table: steps down, source format and provider across."""
    keep_freed_memory()  # as a run does
    cv2.setNumThreads(1)
    timer = Timer(runs=3 if quick else 15)
    grain = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 3))
    picture = np.clip(photo(2, WIDTH, HEIGHT) + grain, 0, 255).astype(np.uint8)
    columns = {
        "JPEG, vendor": _row(timer, jpeg(picture, 90), Capabilities(offers=()), jpeg_answer=True),
        "JPEG, local": _row(timer, jpeg(picture, 90), CAPABILITIES, jpeg_answer=False),
        "PNG, vendor": _row(timer, png(picture), Capabilities(offers=()), jpeg_answer=False),
        "PNG, local": _row(timer, png(picture), CAPABILITIES, jpeg_answer=False),
    }
    steps = list(next(iter(columns.values())))
    print(f"Milliseconds of one core for one {WIDTH}×{HEIGHT} row, 5 % mask, best of {timer.runs}:\n")
    print("| step |", " | ".join(columns), "|")
    print("|---|" + "---:|" * len(columns))
    for step in steps:
        print(f"| {step} |", " | ".join(f"{column[step]:.1f}" for column in columns.values()), "|")
    print("| share of the floor |", " | ".join(f"{c['sum'] / c['floor']:.2f}" for c in columns.values()), "|")


def _row(timer: Timer, image: bytes, capabilities: Capabilities, *, jpeg_answer: bool) -> dict[str, float]:
    preflight_settings, quality_settings = PreflightSettings(), QualitySettings()
    mask_file = png(hole(WIDTH, HEIGHT))
    item = Item(item_id="row", image_uri="image", mask_uri="mask")
    costs: dict[str, float] = {"fetch": _fetch(timer, image, mask_file)}
    checked, costs["preflight"] = timer(lambda: check_item(item, image, mask_file, None, preflight_settings))
    fitted, costs["fit"] = timer(lambda: fit_to_provider(checked, capabilities, preflight_settings))
    assert isinstance(fitted, Fitted)
    answer = _answer(fitted, local=capabilities.local, as_jpeg=jpeg_answer)
    local = capabilities.local
    verdict, costs["gate and composite"] = timer(
        lambda: judge(checked, fitted, answer, quality_settings, trusted=local)
    )
    assert verdict.accepted, verdict.reason
    encoded, costs["encode"] = timer(lambda: deliver(checked, verdict))
    costs["store"] = _store(timer, encoded.data)
    costs["sum"] = sum(costs.values())
    decoded, decode_ms = timer(lambda: decode_picture(image))
    _, mask_ms = timer(lambda: decode_mask(mask_file))
    _, answer_ms = timer(lambda: decode_picture(answer))
    _, encode_ms = timer(lambda: encode_picture(decoded.pixels, decoded))
    costs["floor"] = decode_ms + mask_ms + answer_ms + encode_ms
    return costs


def _fetch(timer: Timer, *files: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        storage, paths = Storage(), [f"{folder}/{number}" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            Path(path).write_bytes(data)

        async def read() -> list[int]:  # not the bytes: the runner would describe its result at length
            read = await storage.read_hashed(paths)
            return [len(one[0]) for one in read if not isinstance(one, StorageError)]

        return timer(lambda: runner.run(read()))[1]


def _store(timer: Timer, data: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        storage = Storage()

        async def write() -> str:
            await storage.write(f"{folder}/out", data)
            return hashlib.sha256(data).hexdigest()

        return timer(lambda: runner.run(write()))[1]


def _answer(fitted: Fitted, *, local: bool, as_jpeg: bool) -> bytes:
    assert fitted.sent_mask is not None
    filled = fill_holes(fitted.sent, fitted.sent_mask, load_engine(LocalSettings(engine="telea")))
    if local:
        return pnm.write(filled)
    return jpeg(filled, 92) if as_jpeg else png(filled)
