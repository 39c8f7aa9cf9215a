"""The only door: who comes in, who may write, and what a hostile page can reach (nothing)."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tasks.report.dashboard.access import COOKIE, Door, is_loopback
from tests.tasks.report.dashboard.conftest import ORIGIN, OpenDashboard

TOKEN = "a-token-that-is-long-enough"
PAGES = (
    "/",
    "/rows",
    "/row?run=x&n=0",
    "/run?id=x",
    "/review",
    "/review/decisions",
    "/live",
    "/picture/after?run=x&n=0",
)


def form(client: TestClient, **changed: str) -> dict[str, str]:
    """A decision as the review page would send it."""
    page = client.get("/review").text
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page))
    return fields | {"decision": "accept"} | changed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.168.0.4", "shop.example", "127.0.0.1.shop.example", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_away_from_loopback_a_token_is_drawn_and_a_weak_one_refused() -> None:
    drawn = Door.on("192.168.0.4", token=None, review=False)

    assert len(drawn.token or "") >= 24
    assert drawn.token not in repr(drawn)
    assert Door.on("127.0.0.1", token=None, review=False).token is None
    with pytest.raises(ValueError, match="too short"):
        Door.on("127.0.0.1", token="12345", review=False)


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_nothing_is_shown(finished_run: Path, open_dashboard: OpenDashboard, path: str) -> None:
    client = open_dashboard(finished_run, token=TOKEN)

    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer wrong-token-of-length"}).status_code == 401
    assert client.get(path, headers={"Cookie": f"{COOKIE}={'0' * 64}"}).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code != 401


def test_the_token_is_shown_once_and_then_lives_in_a_cookie_that_does_not_hold_it(
    finished_run: Path, open_dashboard: OpenDashboard
) -> None:
    client = open_dashboard(finished_run, token=TOKEN)

    welcome = client.get(f"/rows?state=failed&token={TOKEN}")

    assert welcome.status_code == 303
    assert welcome.headers["location"] == "/rows?state=failed"
    cookie = welcome.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/rows").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example"])
def test_the_welcome_never_leads_elsewhere(finished_run: Path, open_dashboard: OpenDashboard, path: str) -> None:
    client = open_dashboard(finished_run, token=TOKEN)

    location = client.get(f"{ORIGIN}{path}?token={TOKEN}").headers["location"]

    assert re.match(r"/[^/\\]", location)


def test_a_page_under_another_name_cannot_reach_a_loopback_dashboard(
    finished_run: Path, open_dashboard: OpenDashboard
) -> None:
    client = open_dashboard(finished_run)

    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "127.0.0.1.evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "localhost:8050"}).status_code == 200


def test_every_answer_forbids_what_the_pages_do_not_need(finished_run: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(finished_run)

    for path in (*PAGES, "/nowhere", "/static/x/cleanplate.css"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_read_only_means_read_only(finished_run: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(finished_run)

    assert client.post("/review/decide", data={"secret": "x"}, headers={"Origin": ORIGIN}).status_code == 403
    assert client.post("/review/export", data={"secret": "x"}, headers={"Origin": ORIGIN}).status_code == 403
    assert not (finished_run / "_review").exists()


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}],
)
def test_other_sites_cannot_decide(reviewable: Path, open_dashboard: OpenDashboard, headers: dict[str, str]) -> None:
    client = open_dashboard(reviewable, review=True)

    assert client.post("/review/decide", data=form(client), headers=headers).status_code == 403
    assert not (reviewable / "_review").exists()


def test_a_form_without_the_secret_is_refused(reviewable: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(reviewable, review=True)

    answer = client.post("/review/decide", data=form(client, secret="guess"), headers={"Origin": ORIGIN})

    assert answer.status_code == 403
    assert not (reviewable / "_review").exists()


def test_a_form_of_a_megabyte_is_refused_unread(reviewable: Path, open_dashboard: OpenDashboard) -> None:
    client = open_dashboard(reviewable, review=True)

    assert (
        client.post("/review/decide", data=form(client, note="x" * 1_000_000), headers={"Origin": ORIGIN}).status_code
        == 413
    )
