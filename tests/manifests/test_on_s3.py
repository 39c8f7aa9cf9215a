"""Manifests and run folders on S3, by the same calls as on a disk; the server is moto's, on loopback."""

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from manifests.build import build_from_pictures
from manifests.check import check_manifest
from manifests.errors import ManifestError
from manifests.load import load_results
from manifests.merge import merge_results
from manifests.reader import open_manifest
from manifests.run_folder import RunFolder
from manifests.summary import read_summary, summarise, write_summary
from tests.manifests.factories import interrupted, outcomes_for


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    """Storage options of a server with one bucket, `shop`, that holds 60 pictures with masks."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}"}
    fs = fsspec.filesystem("s3", **options)
    fs.mkdir("shop")
    fs.pipe({f"shop/in/{number:03d}{end}": b"x" for number in range(60) for end in (".jpg", "_mask.png")})
    yield options
    server.stop()


def test_a_run_from_pictures_to_results_lives_on_s3_alone(s3: dict[str, Any]) -> None:
    built = build_from_pictures(
        ["s3://shop/in"], "s3://shop/m.parquet", mask="{stem}_mask.png", storage_options=s3, to_options=s3
    )
    checked = check_manifest("s3://shop/m.parquet", files=True, storage_options=s3)
    manifest = open_manifest("s3://shop/m.parquet", storage_options=s3)
    folder = RunFolder.under("s3://shop/out", "night-1", storage_options=s3)
    assert (built.rows, checked.files_checked, checked.findings) == (60, 120, {})
    assert manifest.read(manifest.batch(1)).items[0].item_id == "050"

    rows = manifest.read(manifest.batch(1))
    assert folder.read_outcomes(rows) is None
    folder.write_part(rows, outcomes_for(rows, quality={"novelty": 1.0}))
    assert list(folder.part_indices(0, 3)) == [1]
    merge_results(folder, manifest, unfinished=interrupted)
    write_summary(folder, summarise(folder, "s3://shop/m.parquet"))

    again = RunFolder(folder.uri, storage_options=s3)
    assert read_summary(again).by_state == {"succeeded": 10, "deferred": 50}
    assert load_results("s3://shop/out", storage_options=s3)["quality_novelty"].notna().sum() == 10
    results = open_manifest(again.manifest_uri("s3://shop/m.parquet"), storage_options=s3)
    outcomes = again.read_outcomes(results.read(results.batch(1)))
    assert outcomes is not None
    assert {outcome.state for outcome in outcomes} == {"succeeded"}
    assert [one for one in fsspec.filesystem("s3", **s3).find("shop/out") if "_parts" in one] == []


def test_a_bucket_that_is_not_there_is_named(s3: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"s3://missing/m\.parquet: (not found|cannot be read)"):
        open_manifest("s3://missing/m.parquet", storage_options=s3)
