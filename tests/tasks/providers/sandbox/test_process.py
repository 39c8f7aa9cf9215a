"""The sandbox in its own process, and what points cleanplate at it."""

import os
import subprocess
import sys

import httpx
import pytest

from tasks.config import load_settings
from tasks.config.providers import ProvidersSettings
from tasks.providers.sandbox.bill import fingerprint
from tasks.providers.sandbox.config import MaskrConfig, RunflowConfig, SandboxConfig
from tasks.providers.sandbox.process import VENDOR_KEYS, SandboxError, SandboxProcess, sandbox_settings
from tests.tasks.providers.sandbox.harness import OBJECT_REMOVAL, PAIR


def submit(sandbox, key):
    return httpx.post(sandbox.url + OBJECT_REMOVAL, headers={"Authorization": f"Bearer {key}"}, files=PAIR)


def test_what_it_was_asked_and_charged_can_be_read_while_it_runs(process):
    assert submit(process, "reader").status_code == 200

    bill = process.bill(vendor="maskr", account=fingerprint("reader"))
    assert (bill["charges"], bill["credits"]) == (1, "3")
    assert "entries" not in process.bill(entries=False)
    lanes = [lane for lane in process.requests()["lanes"] if lane["account"] == fingerprint("reader")]
    assert [lane["admitted"] for lane in lanes] == [1]


def test_windows_of_other_limits_can_be_asked_for(process):
    for _ in range(3):
        submit(process, "hasty")
    lanes = process.requests("2/h", "5/min", arrivals=True)["lanes"]
    (lane,) = (lane for lane in lanes if lane["account"] == fingerprint("hasty"))

    assert [(w["limit"], w["most_arrived"]) for w in lane["windows"]] == [("60/min", 3), ("2/h", 3), ("5/min", 3)]
    assert lane["arrived_s"] == sorted(lane["arrived_s"])
    assert len(lane["arrived_s"]) == 3
    with pytest.raises(SandboxError, match="60/min"):
        process.requests("often")


def test_credits_are_added_and_taken_away(process):
    submit(process, "spender")
    process.add_credits("maskr", -999_995, account=fingerprint("spender"))
    assert submit(process, "spender").status_code == 402
    process.add_credits("maskr", 3, account=fingerprint("spender"))
    assert submit(process, "spender").status_code == 200


def test_a_fault_that_means_nothing_is_refused_with_its_reason(process):
    with pytest.raises(SandboxError, match="kind"):
        process.faults({"kind": "gremlin"})


def test_the_bill_on_file_outlives_the_process(tmp_path):
    config = SandboxConfig(engine="quick", bill=tmp_path / "bill.sqlite3", maskr=MaskrConfig(keys={"k": 6}))
    with SandboxProcess(config) as sandbox:
        assert submit(sandbox, "k").status_code == 200
        os.kill(sandbox.pid, 9)
    with SandboxProcess(config) as sandbox:
        assert [submit(sandbox, "k").status_code for _ in range(2)] == [200, 402]
        assert sandbox.bill()["charges"] == 2
        pid = sandbox.pid

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_when_its_parent_dies():
    """A test run that is killed leaves no server behind."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tasks.providers.sandbox"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdin.write("{}\n")
    child.stdin.flush()
    url = child.stdout.readline().strip()
    assert httpx.get(f"{url}/_sandbox/health").json() == {"status": "ok", "defects": 0}
    child.stdin.close()  # as the death of the parent does

    assert child.wait(timeout=20) == 0
    child.stdout.close()


def test_a_port_that_is_taken_is_said_at_once(process, capfd):
    port = int(process.url.rpartition(":")[2])
    with pytest.raises(SandboxError, match="ended while starting"), SandboxProcess(SandboxConfig(port=port)):
        pass

    assert "Address already in use" in capfd.readouterr().err


def test_the_settings_point_every_provider_here_with_its_prices_and_limits(monkeypatch):
    config = SandboxConfig(
        maskr=MaskrConfig(limits=("60/6s", "4/s"), batch_limits=("30/6s",), keys={"ours": 3}, credits_per_image=5),
        runflow=RunflowConfig(callback_secret="whsec_ours"),
    )
    for name, value in sandbox_settings("http://127.0.0.1:8765", config).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()

    for key in VENDOR_KEYS:
        assert settings.providers.of(key).base_url == f"http://127.0.0.1:8765/{key}"
        assert settings.providers.of(key).key()
    maskr = settings.providers.maskr
    assert (maskr.key(), maskr.limits, maskr.batch_limits) == ("ours", ["60/6s", "4/s"], ["30/6s"])
    assert maskr.credits_per_image == 5
    assert settings.allow_private_hosts
    assert [secret.get_secret_value() for secret in settings.callbacks.secrets] == ["whsec_ours"]


def test_the_prices_agree_with_what_cleanplate_believes_by_default(monkeypatch):
    """Where a seed states a price, the sandbox charges it too, though the two were written apart."""
    believed = ProvidersSettings()
    for name, value in sandbox_settings("http://x").items():
        monkeypatch.setenv(name, value)
    charged = load_settings().providers

    assert charged.runflow.usd_per_image == believed.runflow.usd_per_image
    assert charged.maskr.credits_per_image == believed.maskr.credits_per_image
    assert (charged.maskr.limits, charged.maskr.batch_limits) == (believed.maskr.limits, believed.maskr.batch_limits)
