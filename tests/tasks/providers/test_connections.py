"""aiohttp under httpx's transport: addresses to the letter, connections kept by name, certificates checked by name."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.providers.connections import Connections
from tests.tasks.providers.loopback import Conduct, answer, read_request, server

NAME = "results.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For NAME and nothing else; signs itself. Key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    unlocked = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unlocked)
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


def remembering(lines: list[bytes], connections: list[int]) -> Conduct:
    """Answers as long as it is asked; keeps each request's first line."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while True:
            lines.append((await read_request(reader)).split(b"\r\n", 1)[0])
            connections[-1] += 1
            writer.write(answer(b"ok"))
            await writer.drain()

    return conduct


async def get(connections: Connections, url: str, **extensions: object) -> bytes:
    response = await connections.handle_async_request(httpx.Request("GET", url, extensions=extensions))
    return await response.aread()


def test_an_address_stays_as_it_is_to_the_letter() -> None:
    """Whoever signed it signed these letters."""
    lines: list[bytes] = []
    path = "/a%2Fb%20c/%7Ed?X-Sig=a%2Bb%2F%3D&x=1+2&y=%e2%82%ac"

    async def main() -> None:
        async with server(remembering(lines, [])) as address:
            connections = Connections(verify=ssl.create_default_context(), keep=False)
            await get(connections, address + path)
            await connections.aclose()

    asyncio.run(main())

    assert lines == [f"GET {path} HTTP/1.1".encode()]


@pytest.mark.parametrize(("keep", "used"), [(True, [3]), (False, [1, 1, 1])])
def test_connections_are_used_again_only_where_they_may_be(keep: bool, used: list[int]) -> None:
    connections: list[int] = []

    async def main() -> None:
        async with server(remembering([], connections)) as address:
            ours = Connections(verify=ssl.create_default_context(), keep=keep)
            for _ in range(3):
                assert await get(ours, address) == b"ok"
            await ours.aclose()

    asyncio.run(main())

    assert connections == used


def test_the_certificate_must_be_the_names_also_on_a_connection_that_is_kept(certificate: Path) -> None:
    """The connection goes to an IP address that was checked; two names may share one."""
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate)
    used: list[int] = []

    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(certificate))
        ours = Connections(verify=trusting, keep=True)
        async with server(remembering([], used), tls=theirs) as address:
            url = address.replace("http://", "https://")
            assert ipaddress.ip_address(httpx.URL(url).host)
            for _ in range(2):
                assert await get(ours, url, sni_hostname=NAME) == b"ok"
            for other in ("other.example", None):
                with pytest.raises(httpx.ConnectError):
                    await get(ours, url, sni_hostname=other)
            await ours.aclose()

    asyncio.run(main())

    assert used[0] == 2


def test_errors_hold_neither_the_request_nor_its_key() -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async def main() -> httpx.RequestError:
        async with server(hang_up) as address:
            ours = Connections(verify=ssl.create_default_context(), keep=False)
            request = httpx.Request("GET", f"{address}/?signed=part", headers={"authorization": "sk-secret"})
            with pytest.raises(httpx.ReadError) as caught:
                await ours.handle_async_request(request)
            await ours.aclose()
            return caught.value

    error: BaseException | None = asyncio.run(main())
    while error is not None:
        told = f"{error!r} {vars(error)}"
        assert "sk-secret" not in told
        assert "signed" not in told
        error = error.__cause__ or error.__context__
