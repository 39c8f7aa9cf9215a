"""Where pictures are put, and which address a vendor is given: local folders, HTTP PUT, and S3 servers that check signatures."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tasks.config.services import S3Settings, StagingSettings
from tasks.providers.addresses import AddressGuard, Resolve
from tasks.providers.errors import ProviderOffError, RejectedItemError, TransientError
from tasks.providers.network import Network
from tasks.providers.staging import Buckets, Stage
from tasks.providers.transport import PictureTransport
from tests.tasks.providers.factories import NOW, PNG, Vendor, asset, resolve_public

TODAY = "staged-2026-11-20"


def stage(
    uri: str, *, vendor: Vendor | None = None, now: datetime = NOW, s3: S3Settings | None = None, **own: object
) -> Stage:
    public_url = own.pop("public_url", None)
    return Stage(
        uri,
        public_url=public_url,
        settings=StagingSettings(**own),
        s3=s3 or S3Settings(),
        network=Network(transport=httpx.MockTransport(vendor) if vendor else None, clock=lambda: now),
    )


def pictures(
    stage: Stage | None = None,
    *,
    resolve: Resolve = resolve_public,
    s3: S3Settings | None = None,
    allow_private: bool = False,
) -> PictureTransport:
    guard = AddressGuard(allow_private=allow_private, resolve=resolve)
    return PictureTransport(guard=guard, buckets=Buckets(s3 or S3Settings()), stage=stage)


async def resolve_inward(_host: str, _port: int) -> list[str]:
    return ["10.0.0.7"]


# Folders and HTTP PUT


def test_the_same_bytes_are_staged_once_a_day_under_their_own_hash(tmp_path: Path) -> None:
    shelf = stage(str(tmp_path), public_url="https://files.example/stage/")

    async def main() -> list[str]:
        return [await shelf.put(PNG, ".png", "image/png") for _ in range(3)]

    addresses = asyncio.run(main())

    [file] = tmp_path.rglob("*.png")
    assert file.read_bytes() == PNG
    assert set(addresses) == {f"https://files.example/stage/{TODAY}/{file.name}"}


def test_folders_of_days_long_past_are_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in ("staged-2026-11-01", "staged-2026-11-18", "staged-2026-11-19", "staged-old", "2026-11-01", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")

    asyncio.run(stage(str(tmp_path), public_url="https://files.example").put(PNG, ".png", "image/png"))

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["2026-11-01", "mine", "staged-2026-11-18", "staged-2026-11-19", TODAY, "staged-old"]


def test_nothing_is_swept_where_keep_days_is_0(tmp_path: Path) -> None:
    (tmp_path / "staged-2020-01-01").mkdir()

    asyncio.run(stage(str(tmp_path), public_url="https://f.example", keep_days=0).put(PNG, ".png", "image/png"))

    assert (tmp_path / "staged-2020-01-01").exists()


def test_a_folder_that_cannot_be_written_is_an_outage_without_details(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TransientError, match=r"could not stage a file in staging_uri \(\w+Error\)"):
        asyncio.run(stage(str(tmp_path / "file"), public_url="https://f.example").put(PNG, ".png", "image/png"))


def test_an_http_base_is_put_to_with_its_token() -> None:
    vendor = Vendor()

    address = asyncio.run(
        stage("https://put.example/base/", vendor=vendor, put_token="t0ken").put(PNG, ".png", "image/png")
    )  # type: ignore[arg-type]

    [request] = vendor.asked
    assert (request.method, str(request.url), request.content) == ("PUT", address, PNG)
    assert address.startswith(f"https://put.example/base/{TODAY}/")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["content-type"] == "image/png"


def test_an_http_base_may_be_read_under_another_address() -> None:
    shelf = stage("https://put.example/base", vendor=Vendor(), public_url="https://cdn.example")

    assert asyncio.run(shelf.put(PNG, ".png", "image/png")).startswith(f"https://cdn.example/{TODAY}/")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (401, ProviderOffError),
        (404, ProviderOffError),
        (413, RejectedItemError),
        (500, TransientError),
        (302, TransientError),
    ],
)
def test_what_an_http_base_refuses_is_told_by_what_helps(status: int, meaning: type[Exception]) -> None:
    class Refusing(Vendor):
        def __call__(self, _request: httpx.Request) -> httpx.Response:
            return httpx.Response(status)

    with pytest.raises(meaning, match=r"staging_uri"):
        asyncio.run(stage("https://put.example", vendor=Refusing()).put(PNG, ".png", "image/png"))


# Which address a vendor is given


def test_a_public_address_is_passed_on_and_nothing_is_uploaded(tmp_path: Path) -> None:
    shelf = stage(str(tmp_path), public_url="https://files.example")
    source = "https://shop.example/p/1.jpg?v=2"

    assert asyncio.run(pictures(shelf).address_of(asset(source_uri=source))) == source
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["https://intranet.example/1.jpg", "http://shop.example/1.jpg", "/data/1.jpg", None])
def test_what_a_vendor_cannot_read_is_staged(source: str | None, tmp_path: Path) -> None:
    shelf = stage(str(tmp_path), public_url="https://files.example")

    address = asyncio.run(pictures(shelf, resolve=resolve_inward).address_of(asset(source_uri=source)))

    assert address is not None
    assert address.startswith("https://files.example/")


def test_where_nothing_can_be_staged_the_vendors_own_upload_is_left() -> None:
    assert asyncio.run(pictures().address_of(asset(source_uri="/data/1.jpg"))) is None


def test_a_host_is_looked_up_once() -> None:
    looked_up: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["93.184.216.34"]

    transport = pictures(resolve=resolve)

    async def main() -> None:
        for number in range(5):
            await transport.address_of(asset(source_uri=f"https://shop.example/{number}.jpg"))

    asyncio.run(main())

    assert looked_up == ["shop.example"]


# S3


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ACCESSKEYID1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETKEY1234567")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@dataclass(frozen=True)
class Rclone:
    url: str
    folder: Path


@pytest.fixture
def rclone(tmp_path: Path, aws: None) -> Iterator[Rclone]:
    """A real S3 server in a process of its own, which checks SigV4 signatures and their expiry."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "s3"
    (folder / "shop").mkdir(parents=True)
    command = [
        str(Path(sys.executable).parent / "rclone"),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        "ACCESSKEYID1,SECRETKEY1234567",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        yield Rclone(f"http://127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        process.wait(10)


def test_an_unchanged_object_is_signed_where_it_lies(rclone: Rclone) -> None:
    (rclone.folder / "shop" / "1.png").write_bytes(PNG)
    s3 = S3Settings(endpoint_url=rclone.url, presign_expiry_s=60)

    address = asyncio.run(pictures(s3=s3, allow_private=True).address_of(asset(source_uri="s3://shop/1.png")))

    assert address is not None
    assert httpx.get(address).content == PNG
    assert httpx.get(address.replace("1.png", "2.png")).status_code in (403, 404)
    assert httpx.get(address[:-1] + ("0" if address[-1] != "0" else "1")).status_code == 403
    assert httpx.get(address.partition("?")[0]).status_code == 400


def test_a_repaired_picture_is_staged_on_s3_and_signed(rclone: Rclone) -> None:
    s3 = S3Settings(endpoint_url=rclone.url)
    shelf = stage("s3://shop/staging", s3=s3)
    repaired = replace(asset("JPEG"), source_uri=None)

    address = asyncio.run(pictures(shelf, s3=s3, allow_private=True).address_of(repaired))

    assert address is not None
    assert httpx.get(address).content == repaired.data
    assert [path.suffix for path in (rclone.folder / "shop" / "staging").rglob("*.*")] == [".jpg"]


def test_an_address_ends_when_it_was_said_to(rclone: Rclone, monkeypatch: pytest.MonkeyPatch) -> None:
    (rclone.folder / "shop" / "1.png").write_bytes(PNG)
    buckets = Buckets(S3Settings(endpoint_url=rclone.url, presign_expiry_s=60))
    past = datetime.now(UTC) - timedelta(seconds=90)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: past.replace(tzinfo=None))

    address = buckets.presigned("s3://shop/1.png")

    assert httpx.get(address).status_code in (400, 403)


def test_old_days_are_swept_from_a_bucket_too(moto: str, aws: None) -> None:
    s3 = S3Settings(endpoint_url=moto)
    bucket = fsspec.filesystem("s3", endpoint_url=moto)
    bucket.mkdir("sweeping")
    bucket.pipe_file("sweeping/st/staged-2026-11-01/x.png", PNG)
    bucket.pipe_file("sweeping/st/mine/x.png", PNG)

    asyncio.run(stage("s3://sweeping/st", s3=s3).put(PNG, ".png", "image/png"))

    bucket.invalidate_cache()
    assert not bucket.exists("sweeping/st/staged-2026-11-01/x.png")
    assert bucket.exists("sweeping/st/mine/x.png")


def test_without_credentials_an_object_is_not_signed_but_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    shelf = stage(str(tmp_path), public_url="https://files.example")

    address = asyncio.run(pictures(shelf).address_of(asset(source_uri="s3://private/1.png")))

    assert address is not None
    assert address.startswith("https://files.example/")
