"""Full-HD JPEGs from a real S3 server through a vendor that takes no time: the driver against the sum of what cannot be left out.

The unavoidable of a row: its picture and mask are read from S3, decoded, the vendor's answer is decoded, the result is encoded
and written to S3. Measured one after another in one process and divided by the cores, which is the best that any driver
could do.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.config import CleanupConfig
from tests.benchmarks.stub_vendor import stub_vendor
from tests.s3 import S3Server, rclone_server

WIDTH, HEIGHT = 1920, 1080


def main(quick: bool) -> None:
    """Print a Markdown table."""
    rows, cores = (40, 2) if quick else (400, 2)
    with tempfile.TemporaryDirectory(prefix="s3-") as name:
        folder = Path(name)
        catalog(folder / "in", rows)
        with rclone_server(folder / "s3") as s3, stub_vendor(folder / "in") as url:
            files = s3.filesystem()
            files.put(f"{folder / 'in'}/", "shop/in/", recursive=True)
            best = cores / unavoidable_s(files, folder / "in", min(rows, 40))
            rate = of_product(folder, s3, url)
    print("| what | rows/s | of the best possible |\n|---|---|---|")
    print(f"| read, decode, decode the answer, encode, write; {cores} cores | {best:.1f} | 1.00 |")
    print(f"| cleanplate | {rate:.1f} | {rate / best:.2f} |")


def catalog(folder: Path, rows: int) -> None:
    """Noisy pictures with a bright disc, masks, the vendor's answers, and the manifest with addresses on S3."""
    folder.mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (WIDTH // 2, HEIGHT // 2), 170, (255,), -1)
    for number in range(rows):
        clean = picture(number)
        with_disc = clean.copy()
        cv2.circle(with_disc, (WIDTH // 2, HEIGHT // 2), 150, (250, 250, 250), -1)
        _, jpeg = cv2.imencode(".jpg", with_disc, [cv2.IMWRITE_JPEG_QUALITY, 90])
        answer = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        answer[mask > 0] = clean[mask > 0]
        (folder / f"{number}.jpg").write_bytes(jpeg.tobytes())
        cv2.imwrite(str(folder / f"{number}_clean.png"), answer, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        cv2.imwrite(str(folder / f"{number}_mask.png"), mask)
    names = range(rows)
    columns = {
        "item_id": [f"item-{n:05d}" for n in names],
        "image_uri": [f"s3://shop/in/{n}.jpg" for n in names],
        "mask_uri": [f"s3://shop/in/{n}_mask.png" for n in names],
    }
    pq.write_table(pa.table(columns), folder / "manifest.parquet")


def picture(seed: int) -> np.ndarray[Any, Any]:
    """Soft colours with the noise of a camera, BGR."""
    dice = np.random.default_rng(seed)
    soft = cv2.resize(dice.integers(40, 200, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise = dice.normal(0, 3, (HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(soft + noise, 0, 255), np.uint8)


def unavoidable_s(files: Any, folder: Path, rows: int) -> float:
    """Seconds a row, one step after another."""
    began = time.monotonic()
    for number in range(rows):
        image = cv2.imdecode(read(files, f"shop/in/{number}.jpg"), cv2.IMREAD_COLOR)
        cv2.imdecode(read(files, f"shop/in/{number}_mask.png"), cv2.IMREAD_GRAYSCALE)
        cv2.imread(str(folder / f"{number}_clean.png"))
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        files.pipe_file(f"shop/plain/{number}.jpg", encoded.tobytes())
    return (time.monotonic() - began) / rows


def read(files: Any, path: str) -> np.ndarray[Any, Any]:
    """One request: with more than one at once a file, s3fs asks for the size first."""
    return np.frombuffer(files.cat_file(path, max_concurrency=1), np.uint8)


def of_product(folder: Path, s3: S3Server, url: str) -> float:
    """One run in a process of its own. Rows a second, from the first row's start to the last one's end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEANPLATE_", "AWS_"))}
    environment = {
        **kept,
        **s3.environment,
        "CLEANPLATE_LEDGER_URL": f"sqlite:///{folder / 'ledger.sqlite3'}",
        "CLEANPLATE_ALLOW_PRIVATE_HOSTS": "true",
        "CLEANPLATE_PROVIDERS__MASKR__BASE_URL": f"{url}/maskr",
        "CLEANPLATE_PROVIDERS__MASKR__API_KEY": "stub",
        "CLEANPLATE_PROVIDERS__MASKR__BATCH_SIZE": "1",
        "CLEANPLATE_PROVIDERS__MASKR__LIMITS": '["1000000/min"]',
    }
    to = "s3://shop/out"
    config = CleanupConfig(manifest="s3://shop/in/manifest.parquet", to=to, run_id="r", providers=("maskr",))
    command = [sys.executable, "-m", "tests.without_prefect", config.model_dump_json()]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=3600)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])
    with s3.filesystem().open("shop/out/run_id=r/results.parquet") as file:
        results = pd.read_parquet(file)
    took = results.finished_at.max() - results.started_at.min()
    return float(len(results) / took.total_seconds())
