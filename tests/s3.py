"""S3 servers for tests and benchmarks, on loopback: moto for behaviour, rclone for signatures and speed."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import s3fs
from moto.server import ThreadedMotoServer

from tests.services import command, free_port

KEY, SECRET = "ACCESSKEYID1", "SECRETKEY1234567"


@dataclass(frozen=True)
class S3Server:
    """One that listens, with an empty bucket `shop`."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What points a process at it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "CLEANPLATE_S3__ENDPOINT_URL": self.url,
        }

    def filesystem(self) -> Any:
        """For looking at it from outside the product."""
        quirks = {
            "signature_version": "s3v4",
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        return s3fs.S3FileSystem(
            key=KEY,
            secret=SECRET,
            endpoint_url=self.url,
            config_kwargs=quirks,
            skip_instance_cache=True,
            use_listings_cache=False,
        )


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """All of S3's behaviour, no signatures."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        here = S3Server(f"http://{host}:{port}")
        httpx.post(f"{here.url}/moto-api/reset")  # what it holds belongs to this process, not to one server
        here.filesystem().mkdir("shop")
        yield here
    finally:
        server.stop()


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """A real server in a process of its own, which checks signatures; objects are files below `folder`."""
    port = free_port()
    (folder / "shop").mkdir(parents=True)
    start = [
        command("rclone"),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY},{SECRET}",
        str(folder),
    ]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)
