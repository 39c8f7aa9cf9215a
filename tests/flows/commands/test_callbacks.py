import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from flows.commands.callbacks import callbacks
from tasks.credits import Ledger

app = typer.Typer()
app.command()(callbacks)
PROGRAM = "import typer; from flows.commands.callbacks import callbacks; typer.run(callbacks)"
SECRET, TOKEN = "whsec_0123456789abcdef", "tok-0123456789abcdef0123"


def test_without_anything_to_verify_with_it_says_what_to_set(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--port", "0"], env={"CLEANPLATE_LEDGER_URL": f"sqlite:///{tmp_path}/l.sqlite3"})

    assert result.exit_code == 2
    assert "CLEANPLATE_CALLBACKS__SECRETS" in result.output


def test_a_taken_port_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_CALLBACKS__SECRETS", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(app, ["--port", str(taken.getsockname()[1])])

    assert result.exit_code == 2
    assert "choose another with --port" in result.output


def test_what_is_received_waits_in_the_ledger_and_no_secret_is_printed(tmp_path: Path) -> None:
    ledger_url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    environment = os.environ | {
        "CLEANPLATE_LEDGER_URL": ledger_url,
        "CLEANPLATE_CALLBACKS__SECRETS": SECRET,
        "CLEANPLATE_CALLBACKS__MODELSLAB_TOKENS": TOKEN,
        "PYTHONUNBUFFERED": "1",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        greeting = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert found, greeting
        body = json.dumps({"event": "run.completed", "run_id": "01J0", "status": "succeeded"}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        kept = [
            httpx.post(f"{found[0]}/runflow", content=body, headers={"Runflow-Signature": signature}),
            httpx.post(f"{found[0]}/modelslab/{TOKEN}/interior", json={"status": "success", "id": 77}),
        ]
        refused = httpx.post(f"{found[0]}/runflow", content=body)
    finally:
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=30)[0]

    async def waiting() -> set[str]:
        async with await Ledger.open(ledger_url) as ledger:
            runs = await ledger.callbacks("runflow", ["01J0"])
            return {*runs, *await ledger.callbacks("modelslab", ["interior/77"])}

    assert [answer.status_code for answer in kept] == [200, 200]
    assert refused.status_code == 401
    assert asyncio.run(waiting()) == {"01J0", "interior/77"}
    assert "Callbacks of runflow and modelslab" in greeting
    for secret in (SECRET, TOKEN):
        assert secret not in greeting + rest
