"""Rows a second when the vendor takes no time: the whole flow with its ledger, beside a loop that does nothing but the calls.

Tiny pictures, a vendor that answers from memory (Maskr's wire), SQLite ledger with an fsync each commit. "steady" is the
rate between the first and the last tenth of the rows, the median of several rounds; CPU is of the caller's process, start-up
and all, which also tells something on a machine that is not idle. The plain loops read, post, fetch and write, and do nothing
else: no checks, no ledger, no composite.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
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
    rows, rounds = (1000, 1) if quick else (5000, 3)
    with tempfile.TemporaryDirectory(prefix="rate-") as name:
        folder = Path(name)
        manifest = catalog(folder / "in", rows)
        with stub_vendor(folder / "in") as url, prefect_server(folder) as api:
            contenders = {
                f"asyncio and httpx alone, {AT_ONCE} at once (the floor)": plainly(by_httpx, url, manifest, folder),
                f"asyncio and aiohttp alone, {AT_ONCE} at once": plainly(by_aiohttp, url, manifest, folder),
                **{
                    label: lambda size=size, runner=runner: of_product(
                        folder, manifest, url, api, batch_size=size, runner=runner
                    )
                    for label, size, runner in (
                        ("cleanplate without Prefect, single requests", 1, ["-m", "tests.without_prefect"]),
                        ("cleanplate without Prefect, requests of 50", 50, ["-m", "tests.without_prefect"]),
                        ("cleanplate in a Prefect flow, single requests", 1, ["-c", FLOW]),
                        ("cleanplate in a Prefect flow, requests of 50", 50, ["-c", FLOW]),
                    )
                },
            }
            in_rounds(contenders, rows, rounds)


def in_rounds(contenders: "dict[str, Callable[[], float]]", rows: int, rounds: int) -> None:
    """Everybody once, then everybody again, so that what else the machine does strikes all alike; then the table."""
    rates: dict[str, list[float]] = {label: [] for label in contenders}
    costs: dict[str, list[float]] = {label: [] for label in contenders}
    for _ in range(rounds):
        for label, run in contenders.items():
            before = cpu_s()
            rates[label].append(run())
            costs[label].append(1000 * (cpu_s() - before) / rows)
    floor = statistics.median(next(iter(rates.values())))
    print("| what | rows/s, steady | slowest and fastest | of the floor | CPU, ms a row |\n|---|---|---|---|---|")
    for label, measured in rates.items():
        rate, cost = statistics.median(measured), statistics.median(costs[label])
        spread = f"{min(measured):.0f} to {max(measured):.0f}"
        print(f"| {label} | {rate:.0f} | {spread} | {rate / floor:.2f} | {cost:.1f} |", flush=True)


def cpu_s() -> float:
    """User and system time so far, of this process and of those that it has waited for."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


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


Edit = Callable[[str, str], Awaitable[bytes]]
"""One picture and its mask to the vendor, by path; the picture that it made."""


def plainly(
    client: "Callable[[str, Callable[[Edit], Awaitable[float]]], Awaitable[float]]", url: str, manifest: Path, to: Path
) -> Callable[[], float]:
    """A loop that reads, posts, fetches and writes. Rows a second, steady."""
    rows = pq.read_table(manifest).to_pylist()
    (to / "plain").mkdir(exist_ok=True)

    async def all_rows(edit: Edit) -> float:
        ended: list[float] = []
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: dict[str, str]) -> None:
            async with gate:
                picture = await edit(row["image_uri"], row["mask_uri"])
                (to / "plain" / Path(row["image_uri"]).name).write_bytes(picture)
                ended.append(time.monotonic())

        await asyncio.gather(*(one(row) for row in rows))
        return steady(pd.Series(ended))

    return lambda: asyncio.run(client(f"{url}/maskr/v1/services/object-removal", all_rows))  # type: ignore[arg-type]


async def by_httpx(url: str, work: Callable[[Edit], Awaitable[float]]) -> float:
    """Fifty connections kept alive."""

    async def edit(image: str, mask: str) -> bytes:
        answer = await client.post(url, files=[("image", _part(Path(image))), ("mask", _part(Path(mask)))])
        return (await client.get(answer.json()["result"]["output_url"])).content

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_keepalive_connections=AT_ONCE)) as client:
        return await work(edit)


async def by_aiohttp(url: str, work: Callable[[Edit], Awaitable[float]]) -> float:
    """The same with another client."""

    async def edit(image: str, mask: str) -> bytes:
        form = aiohttp.FormData()
        for field, path in (("image", image), ("mask", mask)):
            name, data, kind = _part(Path(path))
            form.add_field(field, data, filename=name, content_type=kind)
        async with client.post(url, data=form) as answer:
            job = await answer.json()
        async with client.get(job["result"]["output_url"]) as picture:
            return await picture.read()

    async with aiohttp.ClientSession() as client:
        return await work(edit)


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
