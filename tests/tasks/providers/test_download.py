import asyncio
import base64
from collections.abc import Callable

import httpx
import pytest

from manifests.error_codes import ErrorCode
from tasks.providers.addresses import AddressGuard, Resolve, is_public, system_resolve
from tasks.providers.download import Downloader, DownloadExpiredError
from tasks.providers.errors import JobFailedError, ProviderOffError, TransientError
from tasks.providers.guarded import GuardedClient
from tasks.providers.network import Network
from tasks.providers.redact import Redactor
from tests.tasks.providers.factories import PNG, PUBLIC_IP, Vendor, picture, resolve_public
from tests.tasks.providers.loopback import Conduct, answer, read_request, server

URL = "https://results.example/1.png?sig=signed-part"


def downloader(
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    allow_private: bool = False,
    resolve: Resolve = resolve_public,
    timeout_s: float = 5,
    max_bytes: int = 1_000_000,
) -> Downloader:
    network = Network(transport=transport, resolve=resolve)
    client = GuardedClient(
        guard=AddressGuard(allow_private=allow_private, resolve=resolve),
        network=network,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
    )
    return Downloader(name="maskr", client=client, redact=Redactor())


def fetched(handler: Callable[[httpx.Request], httpx.Response], url: str = URL, **given: object) -> bytes:
    return asyncio.run(downloader(httpx.MockTransport(handler), **given).get(url))


def fetched_from(conduct: Conduct, **given: object) -> bytes:
    async def main() -> bytes:
        async with server(conduct) as address:
            return await downloader(None, allow_private=True, **given).get(f"{address}/1.png")

    return asyncio.run(main())


def resolving_to(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """Or a second look-up could name another one."""
    vendor = Vendor()

    assert fetched(vendor) == PNG

    [request] = vendor.asked
    assert request.url.host == PUBLIC_IP
    assert request.headers["host"] == "results.example"
    assert request.extensions["sni_hostname"] == "results.example"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "not an address",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(JobFailedError, match="CLEANPLATE_ALLOW_PRIVATE_HOSTS") as caught:
        fetched(Vendor(), resolve=resolving_to(address))
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED
    assert "signed-part" not in caught.value.message
    assert not is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_this_machine_is_refused_under_all_its_names(host: str) -> None:
    vendor = Vendor()

    with pytest.raises((JobFailedError, TransientError)):  # some systems resolve none of the odd spellings
        fetched(vendor, f"https://{host}/1.png", resolve=system_resolve)
    assert vendor.asked == []


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    vendor = Vendor()

    with pytest.raises(JobFailedError):
        fetched(vendor, resolve=resolving_to(PUBLIC_IP, "127.0.0.1"))
    assert vendor.asked == []


@pytest.mark.parametrize("address", [PUBLIC_IP, "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://results.example/1.png",
        "file:///etc/passwd",
        "ftp://results.example/1.png",
        "https://127.0.0.1/1.png",
        "https://[::1]/1.png",
        "https://user:pw@results.example/1.png",
        "//results.example/1.png",
        "1.png",
        "",
        "https://",
        "https://\ud800.example/",
        "https://x.example/\x00",
    ],
)
def test_addresses_that_cannot_be_meant_are_refused(url: str) -> None:
    vendor = Vendor()

    with pytest.raises(JobFailedError):
        fetched(vendor, url)
    assert vendor.asked == []


def test_an_address_without_a_route_is_passed_over_for_the_next() -> None:
    vendor = Vendor()

    def handler(request: httpx.Request) -> httpx.Response:
        if ":" in request.url.host:
            raise httpx.ConnectError("no route", request=request)
        return vendor(request)

    assert fetched(handler, resolve=resolving_to("2606:2800:220:1::1", PUBLIC_IP)) == PNG
    assert vendor.asked[0].headers["host"] == "results.example"


def test_a_redirect_is_followed_and_checked_like_the_first_address() -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        return ["10.0.0.1"] if host == "inside.example" else [PUBLIC_IP]

    onward = Vendor().answer("GET /1.png", httpx.Response(302, headers={"location": "https://cdn.example/2.png"}))
    inward = Vendor().answer("GET /1.png", httpx.Response(302, headers={"location": "https://inside.example/"}))

    assert fetched(onward, resolve=resolve) == PNG
    assert [request.headers["host"] for request in onward.asked] == ["results.example", "cdn.example"]
    with pytest.raises(JobFailedError, match=r"inside\.example"):
        fetched(inward, resolve=resolve)
    assert len(inward.asked) == 1


def test_redirects_without_end_are_refused() -> None:
    around = Vendor().answer("GET /1.png", httpx.Response(302, headers={"location": "/1.png"}))

    with pytest.raises(JobFailedError, match="redirects more than 3 times"):
        fetched(around)


def test_a_name_that_does_not_resolve_may_resolve_later() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(TransientError):
        fetched(Vendor(), resolve=resolve)


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_an_address_that_is_over_is_told_apart(status: int) -> None:
    page = httpx.Response(status, content=b"<Error><Code>ExpiredToken</Code></Error>")

    with pytest.raises(DownloadExpiredError, match="ExpiredToken"):
        fetched(Vendor().answer("GET /1.png", page))


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_an_address_that_does_not_work_yet_is_tried_again(status: int) -> None:
    with pytest.raises(TransientError) as caught:
        fetched(Vendor().answer("GET /1.png", httpx.Response(status)))
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED


@pytest.mark.parametrize("page", [b"", b"  \n", b"<html>gone</html>", b'\xef\xbb\xbf{"error": 1}', b"<?xml ?><Error/>"])
def test_a_page_with_a_good_status_is_no_picture(page: bytes) -> None:
    with pytest.raises(TransientError, match="a page came instead of the picture"):
        fetched(Vendor().answer("GET /1.png", httpx.Response(200, content=page)))


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_base64_text_becomes_the_picture_that_it_is(fmt: str) -> None:
    raw = picture(fmt)
    for text in (base64.b64encode(raw), base64.encodebytes(raw), b"data:image/x;base64," + base64.b64encode(raw)):
        assert fetched(Vendor().answer("GET /1.png", httpx.Response(200, content=text))) == raw


def test_unknown_bytes_are_left_to_the_quality_gate() -> None:
    assert fetched(Vendor().answer("GET /1.png", httpx.Response(200, content=b"\x00\x01garbage"))) == b"\x00\x01garbage"


def test_a_file_without_end_is_broken_off() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    with pytest.raises(JobFailedError, match="larger than 1000000 bytes"):
        fetched_from(flood)


def test_a_file_that_drips_for_ever_is_broken_off() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(TransientError, match="TimeoutError"):
        fetched_from(drip, timeout_s=0.3)


def test_a_file_cut_short_is_fetched_again() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(PNG[:20], length=len(PNG)))
        await writer.drain()

    with pytest.raises(TransientError):
        fetched_from(cut)


def test_no_error_carries_the_signed_address_along() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"lost {request.url}", request=request)

    with pytest.raises(TransientError) as caught:
        fetched(fail)
    error: BaseException | None = caught.value
    while error is not None:
        assert "signed-part" not in f"{error!r}{vars(error)}"
        error = error.__cause__ or error.__context__


def test_an_upload_goes_to_the_checked_address_without_more_headers_than_its_type() -> None:
    vendor = Vendor()

    asyncio.run(downloader(httpx.MockTransport(vendor)).put(URL, b"zip", "application/zip"))

    [request] = vendor.asked
    assert (request.method, request.content, request.headers["content-type"]) == ("PUT", b"zip", "application/zip")
    assert "authorization" not in request.headers


def test_an_upload_to_an_inner_address_switches_the_provider_off_uncharged() -> None:
    client = downloader(httpx.MockTransport(Vendor()), resolve=resolving_to("169.254.169.254"))

    with pytest.raises(ProviderOffError):
        asyncio.run(client.put(URL, b"zip", "application/zip"))


def test_an_upload_that_is_not_taken_is_tried_again() -> None:
    vendor = Vendor().answer("PUT /1.png", httpx.Response(403, content=b"<Error>expired</Error>"))

    with pytest.raises(TransientError, match="HTTP 403"):
        asyncio.run(downloader(httpx.MockTransport(vendor)).put(URL, b"zip", "application/zip"))
