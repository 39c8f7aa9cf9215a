"""`cleanplate doctor` on ten broken configurations, as people break them: what it says, and what it tells them to do."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess, sandbox_settings
from tests.services import clean_environment, command, free_port

Settings = dict[str, str]
CONFIGURATION = "cleanplate.toml"


def broken(home: Path, vendors: str, closed: str) -> dict[str, tuple[Callable[[], Settings], str, str]]:
    """What is broken → (how, the name of the check that must speak, what it must say)."""

    def file(name: str, text: str, **settings: str) -> Callable[[], Settings]:
        def write() -> Settings:
            (home / name).write_text(text)
            return settings

        return write

    def variable(name: str, value: str) -> Callable[[], Settings]:
        return lambda: {f"CLEANPLATE_{name}": value}

    runflow = "CLEANPLATE_PROVIDERS__RUNFLOW__"
    return {
        "a configuration file with a typing error": (file(CONFIGURATION, "ledger_url = "), "configuration", "TOML"),
        "a setting that does not exist": (
            file(CONFIGURATION, "[providers.maskr]\napikey = 'x'"),
            "configuration",
            "PROVIDERS__MASKR__APIKEY",
        ),
        "a misspelt variable": (variable("LEDGR_URL", "x"), "environment", "CLEANPLATE_LEDGR_URL"),
        "a key file that is not there": (
            variable("PROVIDERS__MASKR__API_KEY_FILE", str(home / "none")),
            "provider maskr",
            "no file",
        ),
        "a key that the provider refuses": (lambda: {f"{runflow}API_KEY": "wrong-key"}, "provider runflow", "401"),
        "an address where nothing listens": (
            lambda: {f"{runflow}BASE_URL": closed},
            "provider runflow",
            "nothing listens",
        ),
        "a ledger file that is no database": (
            file("ledger.sqlite3", "not a database, but long enough to be looked at" * 100),
            "ledger",
            "not a database",
        ),
        "staging that vendors cannot read": (variable("STAGING_URI", str(home / "st")), "staging", "cannot read"),
        "a Prefect server that is not there": (
            lambda: {"PREFECT_API_URL": f"{closed}/api"},
            "prefect server",
            "nothing listens",
        ),
        "another server in Prefect's place": (
            lambda: {"PREFECT_API_URL": f"{vendors}/api"},
            "prefect server",
            "no Prefect API",
        ),
    }


def main(quick: bool) -> None:
    """Print a Markdown table; fails when a diagnosis is wrong, is given twice, or shows a key."""
    said: dict[str, str] = {}
    closed = f"http://127.0.0.1:{free_port()}"
    config = SandboxConfig()
    print("| what is broken | what it says | what to do |\n|---|---|---|")
    with SandboxProcess(config) as vendors:
        settings = sandbox_settings(vendors.url, config)
        with tempfile.TemporaryDirectory() as name:
            names = list(broken(Path(name), vendors.url, closed))
        for what in names:
            with tempfile.TemporaryDirectory(prefix="doctor-") as name:
                home = Path(name)
                how, check, words = broken(home, vendors.url, closed)[what]
                given = {**settings, "CLEANPLATE_LEDGER_URL": f"sqlite:///{home}/ledger.sqlite3", **how()}
                complaints = _complaints(home, given)
                [one] = [one for one in complaints if one["name"] == check]
                assert words in one["what"], one
                said[what] = f"{check}: {' '.join(one['what'].split())}".replace(str(home), "…")
                assert not any(key in json.dumps(complaints) for key in ("wrong-key", "sandbox-maskr"))
                advice = one["to_do"].replace(str(home), "…")
                print(f"| {what} | {said[what]} | {advice} |", flush=True)
    assert len(set(said.values())) == len(names)


def _complaints(home: Path, settings: Settings) -> list[dict[str, str]]:
    """What `cleanplate doctor --json` finds wrong."""
    told = subprocess.run(
        [command("cleanplate"), "doctor", "--json"],
        env=clean_environment(home, **settings),
        cwd=home,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    found: list[dict[str, str]] = json.loads(told.stdout)
    return [one for one in found if one["status"] != "ok"]
