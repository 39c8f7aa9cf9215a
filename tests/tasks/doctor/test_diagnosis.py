"""Broken installations, and what the doctor says of each."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.credits import AccountTerms, Ledger
from tasks.doctor import Check, PrefectServer, Status, World, diagnose
from tasks.doctor.checks import bounded
from tasks.doctor.world import installed_version
from tasks.providers.network import Network

KEY = "key-0123456789abcdef"
API = "http://prefect.test:4200/api"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
Answer = Callable[[httpx.Request], httpx.Response]


class Installation:
    """A sound one, in which a test breaks one thing."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.setenv = lambda name, value: monkeypatch.setenv(f"CLEANPLATE_{name}", str(value))
        self.chdir = monkeypatch.chdir
        self.answers: dict[str, Answer] = {
            "api.runflow.io": lambda _: httpx.Response(200, json={"balance_cents": 12450, "currency": "USD"}),
            "prefect.test": self._prefect,
            "public.test": self._public,
        }
        self.offset = timedelta(0)
        self.world = World(
            network=Network(transport=httpx.MockTransport(self._answer), clock=lambda: NOW),
            prefect=PrefectServer(api_url=API),
            patience_s=6,
        )
        self.setenv("LEDGER_URL", f"sqlite:///{folder}/ledger.sqlite3")
        self.setenv("PROVIDERS__RUNFLOW__API_KEY", KEY)
        self.setenv("STAGING_URI", folder / "staging")
        self.setenv("STAGING_PUBLIC_URL", "https://public.test/files")
        self.chdir(folder)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.host not in self.answers:
            raise httpx.ConnectError("refused") from ConnectionRefusedError()
        answer = self.answers[request.url.host](request)
        answer.headers.setdefault("date", format_datetime(NOW + self.offset))
        return answer

    def _prefect(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/admin/version":
            return httpx.Response(200, json=installed_version("prefect"))
        return httpx.Response(200, json={"name": "cleanplate", "status": "READY"})

    def _public(self, request: httpx.Request) -> httpx.Response:
        file = self.folder / "staging" / request.url.path.removeprefix("/files/")
        return httpx.Response(200, content=file.read_bytes()) if file.is_file() else httpx.Response(404)

    def diagnose(self, **knobs: Any) -> list[Check]:
        return asyncio.run(diagnose(self.world, **knobs))

    def complaints(self, **knobs: Any) -> list[Check]:
        return [check for check in self.diagnose(**knobs) if check.status is not Status.OK]


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(tmp_path, monkeypatch)


def test_a_sound_installation_has_nothing_to_complain_of(sound: Installation) -> None:
    (sound.folder / "m.parquet").write_bytes(b"")

    found = sound.diagnose(manifest=str(sound.folder / "m.parquet"), to=str(sound.folder / "out"))

    assert [check for check in found if check.status is not Status.OK] == []
    assert {
        "configuration",
        "packages",
        "ledger",
        "provider runflow",
        "staging",
        "prefect server",
        "clock",
        "disk",
    } <= {check.name for check in found}
    assert "124.5 USD left" in next(check.what for check in found if check.name == "provider runflow")


def toml(text: str) -> Callable[[Installation], None]:
    def write(installation: Installation) -> None:
        (installation.folder / "cleanplate.toml").write_text(text)
        installation.world = replace(installation.world, prefect=PrefectServer())

    return write


def variable(name: str, value: str) -> Callable[[Installation], None]:
    return lambda installation: installation.setenv(name, value.format(folder=installation.folder))


def answer(host: str, reply: Answer) -> Callable[[Installation], None]:
    return lambda installation: installation.answers.update({host: reply})


def silence(host: str) -> Callable[[Installation], None]:
    def remove(installation: Installation) -> None:
        del installation.answers[host]

    return remove


def world(**changes: Any) -> Callable[[Installation], None]:
    def change(installation: Installation) -> None:
        installation.world = replace(installation.world, **changes)

    return change


def damaged_ledger(installation: Installation) -> None:
    (installation.folder / "ledger.sqlite3").write_text("this is no database, but long enough to be looked at" * 100)


def newer_ledger(installation: Installation) -> None:
    async def make() -> None:
        await (await Ledger.open(f"sqlite:///{installation.folder}/ledger.sqlite3")).aclose()

    asyncio.run(make())
    with sqlite3.connect(installation.folder / "ledger.sqlite3") as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()


def readable_key_file(installation: Installation) -> None:
    file = installation.folder / "runflow.key"
    file.write_text(KEY)
    file.chmod(0o644)
    installation.setenv("PROVIDERS__ONEMIN__API_KEY_FILE", file)
    installation.answers["api.1min.ai"] = lambda _: httpx.Response(200)
    installation.setenv("PROVIDERS__ONEMIN__USD_PER_IMAGE", "0.01")


def wrong_clock(installation: Installation) -> None:
    installation.offset = timedelta(minutes=10)


def relative_file(installation: Installation) -> None:
    (installation.folder / "cleanplate.toml").write_text("memory_mb = 500")


def fastapi_of(version: str) -> Callable[[Installation], None]:
    return world(version_of=lambda name: version if name == "fastapi" else installed_version(name))


BROKEN: dict[str, tuple[Callable[[Installation], None], Status, str, str]] = {
    # what is broken: (how, status, name of the check, what it must say)
    "no TOML": (toml("ledger_url = "), Status.FAIL, "configuration", "no valid TOML"),
    "an unknown key": (
        toml("[providers.maskr]\napikey = 'x'"),
        Status.FAIL,
        "configuration",
        "PROVIDERS__MASKR__APIKEY",
    ),
    "a missing file": (variable("CONFIG", "{folder}/nowhere.toml"), Status.FAIL, "configuration", "not found"),
    "a misspelt variable": (variable("LEDGR_URL", "x"), Status.WARN, "environment", "CLEANPLATE_LEDGR_URL"),
    "a file that workers miss": (relative_file, Status.WARN, "configuration file", "an empty one"),
    "a key file for all": (readable_key_file, Status.WARN, "secrets", "every user of this machine"),
    "no key file": (
        variable("PROVIDERS__MASKR__API_KEY_FILE", "{folder}/none"),
        Status.FAIL,
        "provider maskr",
        "no file",
    ),
    "a refused key": (
        answer("api.runflow.io", lambda _: httpx.Response(401, json={"detail": f"invalid api key {KEY}"})),
        Status.FAIL,
        "provider runflow",
        "401",
    ),
    "an empty account": (
        answer("api.runflow.io", lambda _: httpx.Response(200, json={"balance_cents": 0})),
        Status.WARN,
        "provider runflow",
        "empty",
    ),
    "a provider out of reach": (silence("api.runflow.io"), Status.FAIL, "provider runflow", "nothing listens"),
    "no price": (
        variable("PROVIDERS__RUNFLOW__USD_PER_IMAGE", "0"),
        Status.WARN,
        "provider runflow price",
        "no budget",
    ),
    "a damaged ledger": (damaged_ledger, Status.FAIL, "ledger", "not a database"),
    "a ledger from the future": (newer_ledger, Status.FAIL, "ledger", "newer cleanplate"),
    "a ledger nowhere": (variable("LEDGER_URL", "mysql://x/y"), Status.FAIL, "ledger", "postgresql"),
    "staging that nobody reads": (variable("STAGING_PUBLIC_URL", ""), Status.FAIL, "staging", "vendors cannot read"),
    "staging shown elsewhere": (
        answer("public.test", lambda _: httpx.Response(200, text="welcome")),
        Status.FAIL,
        "staging",
        "something else",
    ),
    "staging that is private": (
        answer("public.test", lambda _: httpx.Response(403)),
        Status.FAIL,
        "staging",
        "refused",
    ),
    "staging that cannot be written": (variable("STAGING_URI", "/proc/nothing"), Status.FAIL, "staging", "could not"),
    "a wrong clock": (wrong_clock, Status.FAIL, "clock", "600 s behind"),
    "a FastAPI that breaks Prefect": (fastapi_of("0.165.0"), Status.FAIL, "packages", "min_items"),
    "an old Python": (world(python=(3, 10)), Status.FAIL, "python", "3.10"),
    "a full disk": (world(free_bytes=lambda _: 50 << 20), Status.FAIL, "disk", "50 MiB"),
    "no Prefect": (silence("prefect.test"), Status.FAIL, "prefect server", "nothing listens"),
    "no Prefect API": (
        answer("prefect.test", lambda _: httpx.Response(200, text="<html>")),
        Status.FAIL,
        "prefect server",
        "no Prefect API",
    ),
    "a Prefect that wants a sign-in": (
        answer("prefect.test", lambda _: httpx.Response(401)),
        Status.FAIL,
        "prefect server",
        "sign-in",
    ),
    "an older Prefect": (
        answer("prefect.test", lambda _: httpx.Response(200, json="3.1.0")),
        Status.WARN,
        "prefect server",
        "3.1.0",
    ),
    "callbacks that anybody may forge": (
        variable("CALLBACKS__PUBLIC_URL", "https://public.test/callbacks"),
        Status.WARN,
        "callbacks",
        "no secret",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_what_is_named(sound: Installation, broken: str) -> None:
    """One complaint, of the right kind, with advice, and nothing else is accused."""
    break_it, status, name, words = BROKEN[broken]
    break_it(sound)

    complaints = [check for check in sound.complaints() if check.name != "work pool"]

    assert [(check.status, check.name) for check in complaints] == [(status, name)]
    assert words in complaints[0].what
    assert complaints[0].to_do


def test_every_diagnosis_is_a_different_one(tmp_path: Path) -> None:
    said = {}
    for broken, (break_it, *_) in BROKEN.items():
        with pytest.MonkeyPatch.context() as monkeypatch:
            folder = tmp_path / str(len(said))
            folder.mkdir()
            installation = Installation(folder, monkeypatch)
            break_it(installation)
            said[broken] = tuple(check.what.replace(str(folder), "") for check in installation.complaints())

    assert len(set(said.values())) == len(BROKEN)


@pytest.mark.parametrize("broken", BROKEN)
def test_no_key_is_shown(sound: Installation, broken: str) -> None:
    BROKEN[broken][0](sound)

    assert KEY not in str(sound.diagnose())


@contextmanager
def held_lock(path: Path) -> Iterator[None]:
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN EXCLUSIVE")
    yield
    raw.execute("ROLLBACK")
    raw.close()


def test_a_ledger_that_another_process_holds_is_told_as_such(
    sound: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound.diagnose()
    monkeypatch.setattr("tasks.credits.sqlite.BUSY_S", 0.1)
    sound.world = replace(sound.world, patience_s=1)

    with held_lock(sound.folder / "ledger.sqlite3"):
        [complaint] = sound.complaints()

    assert (complaint.name, complaint.status) == ("ledger", Status.FAIL)


def test_a_place_that_is_not_there_is_named(sound: Installation) -> None:
    (sound.folder / "file").write_text("")

    complaints = sound.complaints(manifest=f"{sound.folder}/none.parquet", to=f"{sound.folder}/file/below")

    assert [check.name for check in complaints] == ["manifest", "output"]


def test_a_parked_account_and_attempts_in_doubt_are_told(sound: Installation) -> None:
    async def park() -> None:
        async with await Ledger.open(f"sqlite:///{sound.folder}/ledger.sqlite3") as ledger:
            await ledger.open_account("maskr", AccountTerms())
            await ledger.park("maskr", "out_of_credits")

    asyncio.run(park())

    [complaint] = sound.complaints()

    assert complaint.name == "parked accounts"
    assert "maskr (out_of_credits)" in complaint.what


def test_a_pool_that_nobody_serves_is_told(sound: Installation) -> None:
    def prefect(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/version"):
            return httpx.Response(200, json=installed_version("prefect"))
        return httpx.Response(200, json={"status": "NOT_READY"})

    sound.answers["prefect.test"] = prefect

    [complaint] = sound.complaints()

    assert "no worker polls" in complaint.what


def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    async def hangs() -> list[Check]:
        await asyncio.Event().wait()
        return []

    async def breaks() -> list[Check]:
        raise ZeroDivisionError

    [hung] = asyncio.run(bounded("one", hangs(), 0.01))
    [broke] = asyncio.run(bounded("two", breaks(), 1))

    assert (hung.name, hung.status, "no answer" in hung.what) == ("one", Status.FAIL, True)
    assert (broke.name, broke.status, "ZeroDivisionError" in broke.what) == ("two", Status.FAIL, True)
