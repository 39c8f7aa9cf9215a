"""Real connections that break: before the request has left nothing happened, afterwards nobody knows."""

import asyncio
import json
import socket

import pytest

from manifests.error_codes import ErrorCode
from tasks.providers.base import Asset, Balance, OnSent, Submission
from tasks.providers.errors import InDoubtError, OutOfCreditError, ProviderError, TransientError
from tasks.providers.registry import make_providers
from tests.tasks.providers.factories import PNG, Sent, removal, seed, settings_for
from tests.tasks.providers.loopback import Conduct, answer, read_request, server

LARGE = removal(image=Asset(data=PNG + bytes(20_000_000), media_type="image/png", width=64, height=48))


def submitted(conduct: Conduct, request: object = None, **own: object) -> tuple[Submission | ProviderError, Sent]:
    """What a Maskr that conducts itself so makes of one submission."""
    sent = Sent()

    async def main() -> Submission | ProviderError:
        async with server(conduct) as address:
            maskr = make_providers(["maskr"], settings_for("maskr", base_url=address, **own))["maskr"]
            try:
                return await maskr.submit(request or removal(), on_sent=sent)
            except ProviderError as error:
                return error
            finally:
                await maskr.aclose()

    return asyncio.run(main()), sent


async def submit_to(address: str, on_sent: OnSent) -> None:
    maskr = make_providers(["maskr"], settings_for("maskr", base_url=address))["maskr"]
    try:
        await maskr.submit(removal(), on_sent=on_sent)
    finally:
        await maskr.aclose()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang_up_after_reading(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def hang_up_inside_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(100_000)
    writer.transport.abort()


async def never_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.Event().wait()


async def never_read(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def break_off_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(b'{"job_id": "abc', length=500))
    await writer.drain()


async def refuse_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As servers do that need not see the body: answer, and read no further."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(b'{"detail": "Insufficient credits"}', "402 Payment Required"))
    await writer.drain()
    await reader.read()


async def speak_no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await writer.drain()


@pytest.mark.parametrize("conduct", [hang_up_after_reading, break_off_the_answer, speak_no_http])
def test_a_connection_lost_after_the_request_has_left_is_in_doubt(conduct: Conduct) -> None:
    error, sent = submitted(conduct)

    assert isinstance(error, InDoubtError)
    assert error.code is ErrorCode.IN_DOUBT
    assert sent.times == 1


@pytest.mark.parametrize("conduct", [never_answer, drip])
def test_an_answer_that_does_not_come_in_time_is_in_doubt(conduct: Conduct) -> None:
    """Also when bytes keep dripping: the whole exchange is bounded, not each read."""
    error, sent = submitted(conduct, request_timeout_s=0.5)

    assert isinstance(error, InDoubtError)
    assert "no answer in time" in error.message
    assert sent.times == 1


@pytest.mark.parametrize(("conduct", "own"), [(hang_up_inside_the_body, {}), (never_read, {"request_timeout_s": 0.5})])
def test_a_request_that_could_not_leave_whole_was_not_charged(conduct: Conduct, own: dict[str, object]) -> None:
    error, sent = submitted(conduct, LARGE, **own)

    assert type(error) is TransientError
    assert sent.times == 0


def test_a_closed_port_was_not_charged_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(TransientError, match="could not be reached") as caught:
        asyncio.run(submit_to(address, Sent()))
    assert caught.value.code is ErrorCode.PROVIDER_UNAVAILABLE


def test_a_failed_tls_handshake_was_not_charged() -> None:
    async def main() -> None:
        async with server(hang_up) as address:
            await submit_to(address.replace("http://", "https://"), Sent())

    with pytest.raises(TransientError):
        asyncio.run(main())


def test_a_tunnel_through_a_proxy_is_not_yet_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CONNECT to the proxy has a body event of its own."""
    sent = Sent()

    async def open_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        async with server(open_and_close) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            await submit_to("https://maskr.example", sent)

    with pytest.raises(TransientError):
        asyncio.run(main())
    assert sent.times == 0


def test_this_machine_is_never_reached_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cleanplate run --sandbox` works where HTTP_PROXY is set."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    body = json.dumps(seed("maskr_object_removal")["response"]).encode()

    accepted, _ = submitted(counting([], body))

    assert isinstance(accepted, Submission)


def test_an_early_refusal_is_read_though_the_body_never_left() -> None:
    error, sent = submitted(refuse_early, LARGE)

    assert isinstance(error, OutOfCreditError)
    assert sent.times == 1


def counting(connections: list[int], body: bytes) -> Conduct:
    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while True:
            await read_request(reader)
            connections[-1] += 1
            writer.write(answer(body))
            await writer.drain()

    return conduct


def test_each_charged_request_has_a_connection_of_its_own() -> None:
    """A kept one could be closed by the server just as the next request leaves."""
    connections: list[int] = []
    body = json.dumps(seed("maskr_object_removal")["response"]).encode()

    async def main() -> None:
        async with server(counting(connections, body)) as address:
            maskr = make_providers(["maskr"], settings_for("maskr", base_url=address))["maskr"]
            for _ in range(3):
                await maskr.submit(removal(), on_sent=Sent())
            await maskr.aclose()

    asyncio.run(main())

    assert connections == [1, 1, 1]


def test_questions_share_a_connection() -> None:
    connections: list[int] = []

    async def main() -> Balance | None:
        async with server(counting(connections, b'{"total_credits": 7}')) as address:
            own = {"base_url": address, "balance_url": f"{address}/billing/balance"}
            maskr = make_providers(["maskr"], settings_for("maskr", **own))["maskr"]
            answers = [await maskr.balance() for _ in range(3)]
            await maskr.aclose()
            return answers[-1]

    assert asyncio.run(main()) == Balance(credits=7)  # type: ignore[arg-type]
    assert connections == [3]


def test_an_answer_beyond_all_bounds_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.providers.wire.MAX_ANSWER_BYTES", 100_000)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            writer.write(b'{"a": "' + b"x" * 65536)
            await writer.drain()

    error, _ = submitted(flood)

    assert isinstance(error, InDoubtError)
    assert error.code is ErrorCode.UNEXPECTED_ANSWER


def test_what_the_caller_raises_when_told_that_it_left_comes_through() -> None:
    """A ledger that cannot record the departure must hear of it; the adapter invents nothing."""

    class LedgerLostError(Exception):
        pass

    async def fail() -> None:
        raise LedgerLostError

    async def main() -> None:
        async with server(never_answer) as address:
            await submit_to(address, fail)

    with pytest.raises(LedgerLostError):
        asyncio.run(main())
