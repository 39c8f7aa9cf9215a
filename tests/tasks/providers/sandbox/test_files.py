"""Addresses for download: signed, expiring, bounded."""

import asyncio

import pytest

from tasks.providers.sandbox.config import MaskrConfig, SandboxConfig
from tasks.providers.sandbox.files import Shelf, StoredFile
from tests.tasks.providers.sandbox.harness import BEARER, MovableClock, inside


def file(size):
    return StoredFile(data=b"x" * size, media_type="image/png")


def test_an_address_is_good_until_it_expires():
    async def run():
        config = SandboxConfig(engine="quick", maskr=MaskrConfig(url_ttl_s=60))
        async with inside(config) as sandbox:
            url = (await sandbox.remove_object()).json()["result"]["output_url"]
            assert url.startswith("http://sandbox/maskr/v1/files/")
            answer = await sandbox.get(url)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
            sandbox.clock.passed_s += 60
            assert (await sandbox.get(url)).status_code == 403

    asyncio.run(run())


@pytest.mark.parametrize(
    "tamper",
    [
        lambda url: url.partition("?")[0],
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace("job-", "job-a"),
        lambda url: url.replace("expires=", "expires=" + "9" * 5000),
        lambda url: url.replace("sig=", "sig=%F0%9F%98%80"),
    ],
)
def test_an_address_that_was_tampered_with_is_403(tamper):
    async def run():
        async with inside() as sandbox:
            url = (await sandbox.remove_object()).json()["result"]["output_url"]

            assert (await sandbox.get(tamper(url))).status_code == 403
            assert sandbox.state.traffic.defects == 0

    asyncio.run(run())


def test_a_download_that_brings_the_key_is_reported():
    async def run():
        async with inside() as sandbox:
            url = (await sandbox.remove_object()).json()["result"]["output_url"]
            await sandbox.get(url)
            await sandbox.get(url, headers=BEARER)

            assert (await sandbox.get("/_sandbox/requests")).json()["keys_leaked"] == {"maskr": 1}

    asyncio.run(run())


def test_the_shelf_forgets_the_oldest_within_its_bound():
    shelf = Shelf(kept_bytes=100, clock=MovableClock())
    for number in range(4):
        shelf.put(f"/{number}", file(40))

    assert [shelf.get(f"/{number}") is not None for number in range(4)] == [False, False, True, True]


def test_a_file_put_twice_counts_once():
    shelf = Shelf(kept_bytes=100, clock=MovableClock())
    for _ in range(5):
        shelf.put("/same", file(40))
    shelf.put("/other", file(60))

    assert shelf.get("/same")
    assert shelf.get("/other")


def test_an_address_for_reading_does_not_serve_for_writing():
    shelf = Shelf(kept_bytes=100, clock=MovableClock())
    url = shelf.sign("http://x", "/a", ttl_s=60)
    query = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))

    assert shelf.admits("/a", query["expires"], query["sig"])
    assert not shelf.admits("/a", query["expires"], query["sig"], purpose="PUT")
