"""Rows a second when the vendor takes no time: the whole flow with its ledger, beside a loop that does nothing but the calls.

Tiny pictures, a vendor that answers from memory (Maskr's wire), SQLite ledger with an fsync each commit. "steady" is the
rate between the first and the last tenth of the rows; CPU is of the caller's process, start-up and all, which also tells
something on a machine that is not idle.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import httpx
import pandas as pd
import pyarrow.parquet as pq

from tasks.config import CleanupConfig
from tests.benchmarks.stub_vendor import stub_vendor
from tests.factories.catalogs import picture_with_disc, write_catalog
from tests.services import clean_environment, prefect_server

SIDE = 48
AT_ONCE = 50
FLOW = """
import sys
from flows.catalog_cleanup import catalog_cleanup
from tasks.config import CleanupConfig
catalog_cleanup(CleanupConfig.model_validate_json(sys.argv[1]))
"""


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows = 1000 if quick else 5000
    print("| what | rows/s, steady | of the floor | CPU, ms a row |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="rate-") as name:
        folder = Path(name)
        manifest = catalog(folder / "in", rows)
        with stub_vendor(folder / "in") as url, prefect_server(folder) as api:
            before = cpu_s(resource.RUSAGE_SELF)
            floor = asyncio.run(plain_loop(url, manifest, folder / "plain"))
            took = 1000 * (cpu_s(resource.RUSAGE_SELF) - before) / rows
            print(
                f"| asyncio and httpx alone, {AT_ONCE} at once (the floor) | {floor:.0f} | 1.00 | {took:.1f} |",
                flush=True,
            )
            for label, size, runner in (
                ("cleanplate without Prefect, single requests", 1, ["-m", "tests.without_prefect"]),
                ("cleanplate in a Prefect flow, single requests", 1, ["-c", FLOW]),
                ("cleanplate in a Prefect flow, requests of 50", 50, ["-c", FLOW]),
            ):
                before = cpu_s(resource.RUSAGE_CHILDREN)
                rate = of_product(folder, manifest, url, api, batch_size=size, runner=runner)
                took = 1000 * (cpu_s(resource.RUSAGE_CHILDREN) - before) / rows
                print(f"| {label} | {rate:.0f} | {rate / floor:.2f} | {took:.1f} |", flush=True)


def cpu_s(whose: int) -> float:
    """User and system time so far."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def catalog(folder: Path, rows: int) -> Path:
    """Pictures, masks and the vendor's answers: each picture as it was before the disc was drawn into it."""
    manifest = write_catalog(folder, rows, side=SIDE)
    for number in range(rows):
        with_disc = cv2.imread(str(folder / f"{number}.jpg"))
        clean = picture_with_disc(SIDE, seed=number, disc=False)
        mask = cv2.imread(str(folder / f"{number}_mask.png"), cv2.IMREAD_GRAYSCALE)
        with_disc[mask > 0] = clean[mask > 0]
        cv2.imwrite(str(folder / f"{number}_clean.png"), with_disc)
    return manifest


async def plain_loop(url: str, manifest: Path, to: Path) -> float:
    """Read, post, fetch, write: no checks, no ledger, no composite. Rows a second, steady."""
    to.mkdir()  # noqa: ASYNC240 - the floor touches files the simplest way
    ended: list[float] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: httpx.AsyncClient, row: dict[str, str]) -> None:
        async with gate:
            image, mask = Path(row["image_uri"]), Path(row["mask_uri"])
            files = [("image", _part(image)), ("mask", _part(mask))]
            answer = await client.post(f"{url}/maskr/v1/services/object-removal", files=files)
            picture = await client.get(answer.json()["result"]["output_url"])
            (to / image.name).write_bytes(picture.content)
            ended.append(time.monotonic())

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_keepalive_connections=AT_ONCE)) as client:
        await asyncio.gather(*(one(client, row) for row in pq.read_table(manifest).to_pylist()))
    return steady(pd.Series(ended))


def _part(path: Path) -> tuple[str, bytes, str]:
    return path.name, path.read_bytes(), "image/jpeg" if path.suffix == ".jpg" else "image/png"


def of_product(folder: Path, manifest: Path, url: str, api: str, *, batch_size: int, runner: list[str]) -> float:
    """One run of the product, in a process of its own. Rows a second, steady."""
    run_id = f"rate-{time.time_ns()}"
    environment = clean_environment(
        folder,
        PREFECT_API_URL=api,
        PYTHONPATH=os.getcwd(),
        CLEANPLATE_LEDGER_URL=f"sqlite:///{folder / run_id}.sqlite3",
        CLEANPLATE_LEDGER_DURABLE="true",
        CLEANPLATE_ALLOW_PRIVATE_HOSTS="true",
        CLEANPLATE_PROVIDERS__MASKR__BASE_URL=f"{url}/maskr",
        CLEANPLATE_PROVIDERS__MASKR__API_KEY="stub",
        CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE=str(batch_size),
        CLEANPLATE_PROVIDERS__MASKR__LIMITS='["1000000/min"]',
        CLEANPLATE_PROVIDERS__MASKR__BATCH_LIMITS='["1000000/min"]',
        CLEANPLATE_PROVIDERS__MASKR__MAX_IN_FLIGHT=str(AT_ONCE),
    )
    config = CleanupConfig(manifest=str(manifest), to=str(folder / "out"), run_id=run_id, providers=("maskr",))
    ended = subprocess.run(
        [sys.executable, *runner, config.model_dump_json()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])
    results = pd.read_parquet(folder / "out" / f"run_id={run_id}" / "results.parquet")
    if set(results.state) != {"succeeded"}:
        raise RuntimeError(str(results.groupby(["state", "error_message"]).size()))
    return steady(results.finished_at.astype("int64") / 1e6)


def steady(ended: "pd.Series[float]") -> float:
    """Rows a second between the first and the last tenth."""
    inner = ended.sort_values().iloc[len(ended) // 10 : -len(ended) // 10]
    return float((len(inner) - 1) / (inner.iloc[-1] - inner.iloc[0]))
