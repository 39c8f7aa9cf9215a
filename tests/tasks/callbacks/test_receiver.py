import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tasks.callbacks import LedgerInbox, make_app
from tasks.callbacks.inbox import Recent
from tasks.config import ConfigurationError, load_settings
from tasks.config.services import CallbackSettings
from tasks.credits import Ledger
from tests.tasks.providers.factories import seed

SECRET, TOKEN = "whsec_0123456789abcdef", "tok-0123456789abcdef0123"
RUNFLOW, MODELSLAB = seed("runflow_object_removal")["callback"], seed("modelslab_object_removal")["webhook"]
BODY = json.dumps(RUNFLOW).encode()


class Box:
    """An inbox that remembers; it fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.kept: list[tuple[str, str, object]] = []
        self.failures = failures

    async def put(self, provider: str, remote_id: str, payload: str) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("disk full: https://r.example/1.png?sig=signed-part")
        self.kept.append((provider, remote_id, json.loads(payload)))


def settings(**changes: object) -> CallbackSettings:
    return CallbackSettings(**({"secrets": [SECRET], "modelslab_tokens": [TOKEN]} | changes))  # type: ignore[arg-type]


def sign(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"Runflow-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def deliver(box: Box, *posts: dict, **changes: object) -> list[httpx.Response]:
    """Send these requests to a receiver, one after the other."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(settings(**changes), box))
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            return [await client.post(**post) for post in posts]

    return asyncio.run(main())


def signed(body: bytes = BODY, **headers: str) -> dict:
    return {"url": "/runflow", "content": body, "headers": sign(body) | headers}


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_the_documented_callback_of_runflow_is_kept_under_its_run() -> None:
    box = Box()

    assert statuses(deliver(box, signed())) == [200]
    assert box.kept == [("runflow", "01J0ABC", RUNFLOW)]


def test_the_documented_callback_of_modelslab_is_kept_under_its_endpoint_and_id() -> None:
    box = Box()
    post = {"url": f"/modelslab/{TOKEN}/image_editing", "json": MODELSLAB}

    assert statuses(deliver(box, post)) == [200]
    assert box.kept == [("modelslab", "image_editing/12345", MODELSLAB)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Runflow-Signature": ""},
        {"Runflow-Signature": "0" * 64},
        sign(BODY, "whsec_another"),
        sign(BODY + b" "),
        {"Runflow-Signature": "sha256=" + sign(BODY)["Runflow-Signature"]},
        {"Runflow-Signature": sign(BODY)["Runflow-Signature"][:-1]},
        {"Runflow-Signature": "é" * 64},
    ],
)
def test_a_forged_callback_is_refused_and_not_kept(headers: dict[str, str]) -> None:
    box = Box()
    encoded = {name: value.encode() for name, value in headers.items()}

    assert statuses(deliver(box, {"url": "/runflow", "content": BODY, "headers": encoded})) == [401]
    assert box.kept == []


def test_the_signature_is_over_the_bytes_as_they_came() -> None:
    """The same JSON written otherwise is another message."""
    respaced = json.dumps(RUNFLOW, indent=1).encode()

    assert statuses(deliver(Box(), {"url": "/runflow", "content": respaced, "headers": sign(BODY)})) == [401]


def test_while_a_secret_is_rotated_both_are_good() -> None:
    box, other = Box(), json.dumps(RUNFLOW | {"run_id": "01J0DEF"}).encode()
    posts = [signed(), {"url": "/runflow", "content": other, "headers": sign(other, "whsec_new")}]

    assert statuses(deliver(box, *posts, secrets=[SECRET, "whsec_new"])) == [200, 200]


def test_both_readings_of_the_secrets_prefix_are_good() -> None:
    post = {"url": "/runflow", "content": BODY, "headers": sign(BODY, SECRET.removeprefix("whsec_"))}

    assert statuses(deliver(Box(), post)) == [200]


def test_a_repetition_is_acknowledged_and_kept_once() -> None:
    box = Box()

    assert statuses(deliver(box, signed(), signed(), signed(**{"Runflow-Request-Id": "another"}))) == [200, 200, 200]
    assert len(box.kept) == 1


def test_two_fates_of_one_run_are_both_handed_over_in_any_order() -> None:
    """What is true is asked of the provider, not read from the order of arrival."""
    box, failed = Box(), json.dumps(RUNFLOW | {"status": "failed", "output": None}).encode()

    deliver(box, signed(failed), signed())

    assert [kept[2]["status"] for kept in box.kept] == ["failed", "succeeded"]  # type: ignore[index]


def test_what_could_not_be_kept_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    box = Box(failures=1)

    with caplog.at_level(logging.DEBUG):
        answers = deliver(box, signed(), signed())

    assert statuses(answers) == [503, 200]
    assert len(box.kept) == 1
    assert "signed-part" not in caplog.text + answers[0].text


@pytest.mark.parametrize(
    "url",
    [
        "/modelslab/tok-wrong0123456789abc/interior",
        f"/modelslab/{TOKEN}/elsewhere",
        f"/modelslab/{TOKEN}",
        f"/modelslab/{TOKEN[:-1]}/interior",
        "/modelslab/%C3%A9/interior",
        "/",
        "/callbacks",
    ],
)
def test_an_address_that_nobody_was_given_is_not_there(url: str) -> None:
    box = Box()

    assert statuses(deliver(box, {"url": url, "json": MODELSLAB})) == [404]
    assert box.kept == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"17", b"{}", b"\xff\xfe{}", b"[" * 50_000])
def test_a_body_that_is_none_is_refused_for_good(body: bytes) -> None:
    assert statuses(deliver(Box(), signed(body))) == [400]


@pytest.mark.parametrize("run_id", [None, "", 7.5, [], {"a": 1}, "a\nb", "x" * 201])
def test_a_callback_without_a_usable_id_is_refused_for_good(run_id: object) -> None:
    assert statuses(deliver(Box(), signed(json.dumps(RUNFLOW | {"run_id": run_id}).encode()))) == [400]


def test_a_body_that_is_too_large_is_refused_by_its_stated_length_and_by_its_real_one() -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    stated = {"url": "/runflow", "content": b"x" * 1001}
    dripped = {"url": "/runflow", "content": drip()}

    assert statuses(deliver(Box(), stated, dripped, max_body_bytes=1000)) == [413, 413]


def test_only_post_is_taken_and_health_is_told() -> None:
    async def main() -> list[int]:
        transport = httpx.ASGITransport(make_app(settings(), Box()))
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            return [(await client.get(url)).status_code for url in ("/runflow", "/health")]

    assert asyncio.run(main()) == [405, 200]


def test_a_provider_whose_callbacks_cannot_be_verified_has_no_address() -> None:
    assert statuses(deliver(Box(), signed(), secrets=[])) == [404]
    with pytest.raises(ConfigurationError, match="CLEANPLATE_CALLBACKS__SECRETS"):
        make_app(CallbackSettings(), Box())


def test_memory_for_repetitions_is_bounded() -> None:
    recent = Recent(capacity=2)
    deliveries = [("runflow", str(n), b"") for n in range(3)]

    assert [recent.add(delivery) for delivery in (*deliveries, deliveries[2], deliveries[0])] == [
        True,
        True,
        True,
        False,
        True,
    ]


def test_callbacks_wait_in_the_ledger_for_whoever_runs(tmp_path: Path) -> None:
    async def main() -> str:
        async with await Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite3") as ledger:
            transport = httpx.ASGITransport(make_app(settings(), LedgerInbox(ledger)))
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
                assert (await client.post(**signed())).status_code == 200
        async with await Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite3") as later:
            return (await later.callbacks("runflow", ["01J0ABC"]))["01J0ABC"].payload_json

    assert json.loads(asyncio.run(main()))["status"] == "succeeded"


# Addresses that are given out


def test_only_providers_that_can_be_verified_are_told_to_call_back() -> None:
    public = settings(public_url="https://hooks.example/cb/")

    assert public.url_for("runflow") == "https://hooks.example/cb/runflow"
    assert public.url_for("modelslab") == f"https://hooks.example/cb/modelslab/{TOKEN}"
    assert public.url_for("maskr") is None
    assert settings(public_url="https://hooks.example", secrets=[]).url_for("runflow") is None
    assert settings().url_for("runflow") is None


@pytest.mark.parametrize("token", ["short", "a/b/c/d/e/f/g/h/i/j/k/l", "with space 0123456789 abc"])
def test_a_token_that_is_easy_to_guess_or_no_part_of_an_address_is_refused(token: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -hex 24") as caught:
        load_settings(callbacks={"modelslab_tokens": [token]})
    assert token not in str(caught.value)


def test_lists_of_secrets_are_read_from_the_environment_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("one,two", '["one", "two"]'):
        monkeypatch.setenv("CLEANPLATE_CALLBACKS__SECRETS", text)
        assert [secret.get_secret_value() for secret in load_settings().callbacks.secrets] == ["one", "two"]


def test_a_list_that_is_none_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_CALLBACKS__SECRETS", '["whsec_hidden')

    with pytest.raises(ConfigurationError, match="CLEANPLATE_CALLBACKS__SECRETS") as caught:
        load_settings()
    assert "whsec_hidden" not in str(caught.value)
