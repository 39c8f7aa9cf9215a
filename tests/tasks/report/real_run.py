"""A real run, without Prefect: real photographs, the real driver and ledger, the sandbox's vendors with their faults."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.config import CleanupConfig, load_settings
from tasks.editing.batch import edit_rows
from tasks.editing.planning import plan_run
from tasks.editing.results import join_results
from tasks.editing.runtimes import closing_runtime, runtime_of
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess, sandbox_settings
from tests.factories.run_folders import Picture

PROVIDERS = ("maskr", "runflow", "local")


def write_manifest(folder: Path, made: Sequence[Picture], *, rows: int) -> Path:
    """A manifest of real pictures in which some rows are broken, one comes twice, and two pin their provider."""
    (folder / "truncated.jpg").write_bytes(made[0].image.read_bytes()[:900])
    black = folder / "black.png"
    black.write_bytes(_black(made[0]))
    table = []
    for number in range(rows):
        picture = made[number % len(made)]
        row = {"item_id": f"item-{number:03d}", "image_uri": str(picture.image), "mask_uri": str(picture.mask)}
        row |= {"sku": f"SKU-{number}", "season": ("autumn", "winter", None)[number % 3], "provider": None}
        row |= {4: {"image_uri": str(folder / "truncated.jpg")}, 9: {"mask_uri": str(black)}}.get(number, {})
        row |= {11: {"image_uri": str(folder / "nowhere.jpg")}, 13: {"item_id": "item-012"}}.get(number, {})
        row |= {2: {"provider": "runflow"}, 5: {"provider": "runflow"}, 7: {"provider": "local"}}.get(number, {})
        table.append(row)
    pq.write_table(pa.Table.from_pylist(table), folder / "manifest.parquet")
    return folder / "manifest.parquet"


def _black(picture: Picture) -> bytes:
    mask = cv2.imread(str(picture.mask), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    return cv2.imencode(".png", np.zeros_like(mask))[1].tobytes()


def run_catalog(folder: Path, made: Sequence[Picture], *, rows: int = 24, run_id: str = "nightly") -> Path:
    """Edit a catalog, and return its run folder. The ledger stays at `folder/ledger.sqlite3`."""
    manifest = write_manifest(folder, made, rows=rows)
    config = CleanupConfig(
        manifest=str(manifest),
        to=str(folder / "out"),
        run_id=run_id,
        providers=PROVIDERS,
        policy="ordered",
        passes=2,
        budget_usd=5,
    )
    with SandboxProcess(SandboxConfig(engine="quick")) as sandbox, _environment(folder, sandbox):
        plan = plan_run(config, load_settings())
        with closing_runtime(plan):
            runtime = runtime_of(plan)
            for pass_number in (1, 2):
                for batch in plan.batches():
                    runtime.run(edit_rows(runtime, batch, pass_number))
            expected = runtime.expected()
        join_results(plan, expected)
    return Path(plan.folder_uri)


@contextmanager
def _environment(folder: Path, sandbox: SandboxProcess) -> Iterator[None]:
    settings = sandbox_settings(sandbox.url, sandbox.config)
    settings["CLEANPLATE_LEDGER_URL"] = f"sqlite:///{folder}/ledger.sqlite3"
    settings["CLEANPLATE_PROVIDERS__LOCAL__ENGINE"] = "ns"
    with mock.patch.dict(os.environ, settings):
        yield
