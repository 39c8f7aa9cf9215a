"""What a user gets wrong, and what they read: manifest faults end with exit code 2 before anything is written; row faults are outcomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli import application
from tests.factories.catalogs import disc, picture_with_disc, write_catalog
from tests.flows.conftest import Cleanplate


def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> str:
    """What the command says on its way out with exit code 2; it gets no further than reading, so no server is needed."""
    monkeypatch.setenv("CLEANPLATE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__LOCAL__ENGINE", "telea")  # so that what --engine sets is undone

    ended = CliRunner().invoke(application("run"), ["run", *arguments, "--to", str(tmp_path / "out")])

    assert ended.exit_code == 2, ended.output
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in ended.output
    return "".join(ended.output.split())


def _table(columns: dict[str, Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


BAD_MANIFESTS = {
    "missing column": (_table({"picture": ["a.jpg"]}), "image_uri"),
    "wrong type": (_table({"image_uri": [1.5]}), "image_uri"),
    "no rows": (_table({"image_uri": pa.array([], pa.string())}), "no rows"),
    "not Parquet": (lambda path: path.write_text("item_id,image_uri\n1,a.jpg\n"), "not a Parquet file"),
    "not there": (lambda _path: None, "manifest.parquet"),
}


@pytest.mark.parametrize("fault", BAD_MANIFESTS)
def test_a_manifest_that_cannot_be_used_exits_2_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    write, named = BAD_MANIFESTS[fault]
    write(tmp_path / "manifest.parquet")

    said = refused(monkeypatch, tmp_path, str(tmp_path / "manifest.parquet"))

    assert named.replace(" ", "") in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--provider", "maskr"), "CLEANPLATE_PROVIDERS__MASKR__API_KEY"),
        (("--provider", "nobody"), "nobody"),
        (("--budget-usd", "much"), "--budget-usd"),
        (("--deadline", "soon"), "deadline"),
        (("--run-id", "../../x"), "run_id"),
        (("--engine", "magic"), "ENGINE"),
    ],
)
def test_a_wrong_option_exits_2_and_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    manifest = write_catalog(tmp_path / "in", 1)

    said = refused(monkeypatch, tmp_path, str(manifest), *arguments)

    assert named in said


@pytest.mark.xdist_group("prefect")
def test_faults_of_rows_become_their_outcomes_and_never_stop_the_run(cleanplate: Cleanplate, tmp_path: Path) -> None:
    def save(name: str, pixels: np.ndarray[Any, Any]) -> str:
        cv2.imwrite(str(tmp_path / name), pixels)
        return str(tmp_path / name)

    image, mask = save("a.jpg", picture_with_disc(64, seed=1)), save("mask.png", disc(64))
    truncated, page = tmp_path / "cut.jpg", tmp_path / "page.jpg"
    truncated.write_bytes(Path(image).read_bytes()[:700])
    page.write_text("<html><body>expired</body></html>")
    rows = {
        "good": (image, mask, None),
        "truncated": (str(truncated), mask, "image_unreadable"),
        "a-page": (str(page), mask, "image_unreadable"),
        "gone": (str(tmp_path / "gone.jpg"), mask, "image_not_found"),
        "mask-gone": (image, str(tmp_path / "gone.png"), "mask_not_found"),
        "mask-of-another-size": (image, save("other.png", disc(48)[:30]), "mask_size_mismatch"),
        "mask-empty": (image, save("black.png", np.zeros((64, 64), np.uint8)), "mask_empty"),
        "mask-full": (image, save("white.png", np.full((64, 64), 255, np.uint8)), "mask_full"),
        "../../x": (image, mask, "unsafe_item_id"),
        "no-mask": (image, None, "mask_missing"),
    }
    names = [*rows, "good"]
    table = {
        "item_id": names,
        "image_uri": [rows[name][0] for name in names],
        "mask_uri": [rows[name][1] for name in names],
    }
    pq.write_table(pa.table(table), tmp_path / "manifest.parquet")
    arguments = ("run", str(tmp_path / "manifest.parquet"), "--to", str(tmp_path / "out"), "--run-id", "r")

    ended = cleanplate.run(*arguments, "--engine", "telea")

    assert ended.returncode == 3, ended.stderr
    results = pd.read_parquet(tmp_path / "out" / "run_id=r" / "results.parquet")
    codes = [code if isinstance(code, str) else None for code in results.error_code]
    found = dict(zip(names[:-1], codes[:-1], strict=True))
    assert found == {name: code for name, (_, _, code) in rows.items()}
    assert codes[-1] == "duplicate_item_id"
    assert results.error_message[results.state != "succeeded"].str.len().min() > 10
    assert not list(tmp_path.glob("**/x.jpg"))
