"""Everything on S3: results, pictures, report, dashboard, decisions and the manifest of what is to be redone."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.services import S3Settings
from tasks.report.page import write_report
from tests.factories.run_folders import Picture, make_run
from tests.s3 import moto_server
from tests.tasks.report.dashboard.conftest import ORIGIN, OpenDashboard


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket to which every s3:// address of this process goes."""
    with moto_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(fsspec.config, "conf", dict(fsspec.config.conf))
        S3Settings(endpoint_url=server.url).become_default()
        yield server.filesystem()


@pytest.fixture
def results(bucket: Any, photographs: Sequence[Picture], tmp_path: Path) -> str:
    """A run folder in the bucket, its pictures too."""
    folder = make_run(tmp_path, photographs, rows=12, run_id="nightly")
    table = pq.read_table(folder / "results.parquet")
    for column in ("image_uri", "mask_uri", "output_uri"):
        moved = [uri and f"s3://shop/{Path(uri).name}" for uri in table[column].to_pylist()]
        for uri in {uri for uri in table[column].to_pylist() if uri}:
            bucket.put_file(uri, f"shop/{Path(uri).name}")
        table = table.set_column(table.schema.get_field_index(column), column, pa.array(moved, pa.string()))
    pq.write_table(table, folder / "results.parquet")
    for name in ("results.parquet", "summary.json", "run.json"):
        bucket.put_file(str(folder / name), f"shop/clean/shoes/run_id=nightly/{name}")
    return "s3://shop/clean"


def test_the_report_is_written_beside_the_results(bucket: Any, results: str) -> None:
    uri = write_report(f"{results}/shoes/run_id=nightly")

    assert uri == "s3://shop/clean/shoes/run_id=nightly/report.html"
    page = bucket.cat_file("shop/clean/shoes/run_id=nightly/report.html").decode()
    assert page.count("data:image/webp") >= 16


def test_pictures_are_shown_judged_and_sent_back(bucket: Any, results: str, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(results, review=True)  # type: ignore[arg-type]
    page = client.get("/review").text
    picture = re.search(r'src="(/picture/after[^"]*)"', page)
    assert picture is not None
    assert client.get(picture[1].replace("&amp;", "&")).headers["content-type"] == "image/webp"

    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page))
    word = fields | {"decision": "redo", "redo_provider": "runflow"}
    assert client.post("/review/decide", data=word, headers={"Origin": ORIGIN}).status_code == 303
    export = client.post("/review/export", data={"secret": fields["secret"]}, headers={"Origin": ORIGIN})

    assert "cleanplate run s3://shop/clean/_review/redo-" in client.get(export.headers["location"]).text
    (manifest,) = bucket.glob("shop/clean/_review/redo-*.parquet")
    assert pq.read_table(bucket.open(manifest)).to_pylist()[0]["item_id"] == fields["item"]
    assert len(bucket.glob("shop/clean/shoes/run_id=nightly/_review/decisions-*.parquet")) == 1
