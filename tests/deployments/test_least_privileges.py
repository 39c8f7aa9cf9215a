"""The S3 policy of docs/operations.md is enough for a run, and no more than that; judged by a server that enforces policies."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from tasks.config.services import S3Settings, StagingSettings
from tasks.providers.network import Network
from tasks.providers.staging import Stage
from tests.factories.catalogs import write_catalog

DOC = Path(__file__).parents[2] / "docs" / "operations.md"
MINE = "least-"  # before the names of buckets: moto's are one process's


@dataclass(frozen=True)
class Account:
    """One server with the documented buckets and a catalog in them, and a user with the documented rights."""

    endpoint: str
    key: str
    secret: str

    def client(self) -> Any:
        return client("s3", self.endpoint, self.key, self.secret)


def client(service: str, endpoint: str, key: str, secret: str) -> Any:
    access = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **access)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    owner = ("AKIAIOSFODNN7EXAMPLE", "owner")
    upload(client("s3", endpoint, *owner), tmp_path_factory.mktemp("catalog"))
    found = re.search(r"```json\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert found is not None
    iam = client("iam", endpoint, *owner)
    iam.create_user(UserName="worker")
    iam.put_user_policy(
        UserName="worker", PolicyName="least", PolicyDocument=found[1].replace("arn:aws:s3:::", f"arn:aws:s3:::{MINE}")
    )
    made = iam.create_access_key(UserName="worker")["AccessKey"]
    httpx.post(f"{endpoint}/moto-api/reset-auth", content="0")  # from now on policies are enforced
    try:
        yield Account(endpoint, made["AccessKeyId"], made["SecretAccessKey"])
    finally:
        httpx.post(f"{endpoint}/moto-api/reset-auth", content="inf")
        server.stop()


def upload(s3: Any, folder: Path) -> None:
    for name in ("catalog", "catalog-clean", "catalog-staging", "others"):
        s3.create_bucket(Bucket=f"{MINE}{name}")
    s3.put_object(Bucket=f"{MINE}others", Key="theirs", Body=b"x")
    manifest = write_catalog(folder, 3)
    rows = pq.read_table(manifest).to_pylist()
    for row in rows:
        for column in ("image_uri", "mask_uri"):
            name = Path(row[column]).name
            s3.upload_file(row[column], f"{MINE}catalog", name)
            row[column] = f"s3://{MINE}catalog/{name}"
    pq.write_table(pa.Table.from_pylist(rows), manifest)
    s3.upload_file(str(manifest), f"{MINE}catalog", "manifest.parquet")


def test_a_run_needs_no_more(account: Account, tmp_path: Path) -> None:
    config = {
        "manifest": f"s3://{MINE}catalog/manifest.parquet",
        "to": f"s3://{MINE}catalog-clean/nightly",
        "run_id": "r",
    }
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": account.key,
        "AWS_SECRET_ACCESS_KEY": account.secret,
        "CLEANPLATE_S3__ENDPOINT_URL": account.endpoint,
        "CLEANPLATE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite3",
    }

    ended = subprocess.run(
        [sys.executable, "-m", "tests.without_prefect", json.dumps(config)],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )

    assert ended.returncode == 0, ended.stderr[-2000:]
    listed = account.client().list_objects_v2(Bucket=f"{MINE}catalog-clean")["Contents"]
    names = {one["Key"] for one in listed}
    assert {"nightly/run_id=r/results.parquet", "nightly/run_id=r/summary.json"} <= names
    assert sum("/images/" in name for name in names) == 3
    # whether the parts are gone is not looked at: moto asks for the bucket's own ARN when many keys are deleted, AWS for each key's


def test_staging_does_not_ask_for_the_bucket(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """s3fs would look whether it is there, which needs more rights, and make it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", account.secret)
    stage = Stage(
        f"s3://{MINE}catalog-staging/pictures",
        public_url="https://public.test/pictures",
        settings=StagingSettings(),
        s3=S3Settings(endpoint_url=account.endpoint),
        network=Network(),
    )

    address = asyncio.run(stage.put(b"picture", ".png", "image/png"))

    assert address.startswith("https://public.test/pictures/staged-")


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda s3: s3.put_object(Bucket=f"{MINE}catalog", Key="0.jpg", Body=b""),
        lambda s3: s3.delete_object(Bucket=f"{MINE}catalog", Key="0.jpg"),
        lambda s3: s3.get_object(Bucket=f"{MINE}others", Key="theirs"),
        lambda s3: s3.create_bucket(Bucket=f"{MINE}new"),
        lambda s3: s3.delete_bucket(Bucket=f"{MINE}catalog-clean"),
    ],
    ids=["changes the catalog", "deletes from the catalog", "reads elsewhere", "makes a bucket", "removes a bucket"],
)
def test_nothing_else_is_allowed(account: Account, forbidden: Callable[[Any], Any]) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        forbidden(account.client())
