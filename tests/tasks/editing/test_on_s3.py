"""The whole driver with everything on S3: manifest, pictures, masks and results; and with pictures on the web."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config import CleanupConfig
from tests.factories.catalogs import write_catalog
from tests.s3 import S3Server, moto_server, rclone_server

ROWS = 60
WORK = """
import sys
from tasks.config import CleanupConfig, load_settings
from tasks.editing.planning import plan_run
from tasks.editing.runtimes import closing_runtime, runtime_of
from tasks.editing.sweep import batches_with_work
plan = plan_run(CleanupConfig.model_validate_json(sys.argv[1]), load_settings())
with closing_runtime(plan):
    print(len(list(batches_with_work(plan, lambda: runtime_of(plan)))))
"""


@pytest.fixture(params=["moto", "rclone"])
def s3(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    with moto_server() if request.param == "moto" else rclone_server(tmp_path / "s3") as server:
        yield server


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEANPLATE_", "AWS_"))}
    ledger = f"sqlite:///{folder / 'ledger.sqlite3'}"
    return {
        **kept,
        "HOME": str(folder),
        "CLEANPLATE_LEDGER_URL": ledger,
        "CLEANPLATE_PROVIDERS__LOCAL__ENGINE": "telea",
        **more,
    }


def in_a_process(arguments: list[str], settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], env=settings, capture_output=True, text=True, check=False, timeout=150
    )


def upload(catalog: Path, s3: S3Server) -> None:
    """A local catalog, with its addresses on S3."""
    table = pq.read_table(catalog)
    for name in ("image_uri", "mask_uri"):
        moved = [f"s3://shop/in/{Path(uri).name}" for uri in table[name].to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(moved))
    pq.write_table(table, catalog)
    s3.filesystem().put(f"{catalog.parent}/", "shop/in/", recursive=True)


def test_a_catalog_on_s3_is_cleaned_there_and_recognised_the_next_night(s3: S3Server, tmp_path: Path) -> None:
    upload(write_catalog(tmp_path / "in", ROWS), s3)
    settings = environment(tmp_path, **s3.environment)
    night, next_night = (
        CleanupConfig(manifest="s3://shop/in/manifest.parquet", to="s3://shop/out", run_id=run_id).model_dump_json()
        for run_id in ("night", "next-night")
    )

    first = in_a_process(["-m", "tests.without_prefect", night], settings)
    with_work = in_a_process(["-c", WORK, next_night], settings)
    second = in_a_process(["-m", "tests.without_prefect", next_night], settings)

    assert first.returncode == 0, first.stderr
    assert "Unclosed" not in first.stderr
    assert with_work.stdout.strip() == "0", with_work.stderr
    assert second.returncode == 0, second.stderr
    files = s3.filesystem()
    found = {}
    for run_id in ("night", "next-night"):
        with files.open(f"shop/out/run_id={run_id}/results.parquet") as file:
            found[run_id] = pd.read_parquet(file)
    assert set(found["night"].state) == {"succeeded"}
    assert all(files.exists(uri) for uri in found["night"].output_uri)
    assert found["next-night"].reused.all()
    assert list(found["next-night"].output_uri) == list(found["night"].output_uri)
    assert not files.exists("shop/out/run_id=night/_parts")


def test_an_object_that_is_missing_costs_its_row_alone(tmp_path: Path) -> None:
    with moto_server() as s3:
        upload(write_catalog(tmp_path / "in", 3), s3)
        s3.filesystem().rm("shop/in/1.jpg")
        config = CleanupConfig(manifest="s3://shop/in/manifest.parquet", to=str(tmp_path / "out"), run_id="r")
        ended = in_a_process(
            ["-m", "tests.without_prefect", config.model_dump_json()], environment(tmp_path, **s3.environment)
        )

    assert ended.returncode == 3, ended.stderr
    found = pd.read_parquet(tmp_path / "out" / "run_id=r" / "results.parquet")
    assert list(found.error_code.fillna("")) == ["", "image_not_found", ""]


def test_a_store_that_refuses_the_key_is_said_so_and_nothing_hangs(tmp_path: Path) -> None:
    with rclone_server(tmp_path / "s3") as s3:
        manifest = write_catalog(tmp_path / "in", 2)
        upload(manifest, s3)
        config = CleanupConfig(manifest=str(manifest), to=str(tmp_path / "out"), run_id="r")
        wrong = {**s3.environment, "AWS_SECRET_ACCESS_KEY": "another-secret-1"}
        ended = in_a_process(["-m", "tests.without_prefect", config.model_dump_json()], environment(tmp_path, **wrong))

    assert ended.returncode == 3, ended.stderr
    found = pd.read_parquet(tmp_path / "out" / "run_id=r" / "results.parquet")
    assert set(found.state) == {"failed"}
    assert "another-secret-1" not in "".join(found.error_message)


def test_pictures_on_the_web_are_read_from_there(tmp_path: Path) -> None:
    manifest = write_catalog(tmp_path / "in", 3)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "in"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        table = pq.read_table(manifest)
        web = [f"http://127.0.0.1:{server.server_address[1]}/{n}.jpg" for n in (0, 1, 7)]
        pq.write_table(table.set_column(1, "image_uri", pa.array(web)), manifest)
        config = CleanupConfig(manifest=str(manifest), to=str(tmp_path / "out"), run_id="r")
        ended = in_a_process(["-m", "tests.without_prefect", config.model_dump_json()], environment(tmp_path))
        server.shutdown()

    assert ended.returncode == 3, ended.stderr
    assert "Unclosed" not in ended.stderr
    found = pd.read_parquet(tmp_path / "out" / "run_id=r" / "results.parquet")
    assert list(found.error_code.fillna("")) == ["", "", "image_not_found"]
