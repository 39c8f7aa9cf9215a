"""A vendor that takes no time: Maskr's wire with answers made before, so that what is measured is whoever calls it.

As a program: `python -m tests.benchmarks.stub_vendor FOLDER`, where N_clean.png answers for N.jpg. Prints its address.
"""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_FIELD = re.compile(rb'name="images?"; filename="([^"]+)"')


class Vendor(asyncio.Protocol):
    """One connection: HTTP/1.1, one request after another."""

    def __init__(self, answers: dict[bytes, bytes], address: list[str]) -> None:
        self._answers, self._address = answers, address
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end]
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(self._held) < end + 4 + size:
                return
            body, self._held = self._held[end + 4 : end + 4 + size], self._held[end + 4 + size :]
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            return _response(self._answers[head.split(b" ", 2)[1].rpartition(b"/")[2]], b"image/png")
        jobs = list(self._jobs(body))
        several = b"/batch" in head.split(b"\r\n", 1)[0]
        answer = {"status": "completed", "results": jobs} if several else {"result": jobs[0]}
        return _response(json.dumps(answer).encode(), b"application/json")

    def _jobs(self, body: bytes) -> Iterator[dict[str, object]]:
        for part in body.split(b"\r\n--"):
            header, _, content = part.partition(b"\r\n\r\n")
            if found := _FIELD.search(header):
                digest = hashlib.sha256(content).hexdigest()
                yield {
                    "status": "completed",
                    "job_id": digest[:20],
                    "output_url": f"{self._address[0]}/{digest}",
                    "credits_used": 3,
                    "input_filename": found[1].decode(),
                }


def _response(body: bytes, kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


def answers_in(folder: Path) -> dict[bytes, bytes]:
    """By the hash of the picture that asks."""
    return {
        hashlib.sha256(picture.read_bytes()).hexdigest().encode(): (folder / f"{picture.stem}_clean.png").read_bytes()
        for picture in folder.glob("*.jpg")
    }


async def serve(answers: dict[bytes, bytes]) -> None:
    """Until the process is ended."""
    address: list[str] = []
    server = await asyncio.get_running_loop().create_server(lambda: Vendor(answers, address), "127.0.0.1", 0)
    address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    print(address[0], flush=True)
    await server.serve_forever()


@contextmanager
def stub_vendor(folder: Path) -> Iterator[str]:
    """The vendor in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.stub_vendor", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(answers_in(Path(sys.argv[1]))))
