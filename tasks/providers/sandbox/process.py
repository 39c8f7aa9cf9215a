"""The sandbox in a process of its own, for tests and for `cleanplate run --sandbox`."""

import json
import selectors
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx

from tasks.providers.sandbox.config import SandboxConfig, VendorConfig
from tasks.providers.sandbox.faults import Fault

VENDOR_KEYS = ("runflow", "maskr", "modelslab", "onemin")
READY_S = 30  # far more than a start takes on a busy machine


class SandboxError(Exception):
    """The sandbox did not start, or refused a control request; the message says why."""


class SandboxProcess:
    """`with SandboxProcess(config) as sandbox: sandbox.url …`; ended by its process id, and when its parent dies."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._client = httpx.Client(timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        """Start, and wait until requests are answered. Raises SandboxError."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks.providers.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run, which winds up while the sandbox still answers
        )
        try:
            self._begin(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._end()
        self._client.close()

    @property
    def pid(self) -> int:
        """Of the server's process; 0 when there is none."""
        return self._process.pid if self._process else 0

    def _begin(self, process: subprocess.Popen[str]) -> None:
        if process.stdin is None or process.stdout is None:
            raise SandboxError("the sandbox's process has no pipes")
        process.stdin.write(_with_secrets(self.config) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout=READY_S):
                raise SandboxError(f"the sandbox did not start within {READY_S} s")
        self.url = process.stdout.readline().strip()
        if not self.url:
            raise SandboxError("the sandbox ended while starting; its complaint is on standard error")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def bill(self, *, vendor: str | None = None, account: str | None = None, entries: bool = True) -> dict[str, Any]:
        """What was charged: `accounts`, `charges`, `credits`, `usd` (decimal strings), `entries`."""
        narrowed = {"vendor": vendor, "account": account, "entries": str(entries).lower()}
        return self._ask("GET", "bill", params={name: value for name, value in narrowed.items() if value is not None})

    def requests(self, *limits: str, arrivals: bool = False) -> dict[str, Any]:
        """What arrived: `requests`, `rate_limited`, `by_status`, `lanes` with their busiest windows.

        `limits`, such as 60/min, asks for further windows; `arrivals` for the time of every arrival in a lane, seconds.
        """
        return self._ask("GET", "requests", params={"limit": limits, "arrivals": str(arrivals).lower()})

    def faults(self, *faults: Fault | Mapping[str, Any]) -> dict[str, Any]:
        """Set these faults, if any are given; what is set, and `injected` by kind."""
        wanted = [f.model_dump(mode="json") if isinstance(f, Fault) else dict(f) for f in faults]
        if wanted:
            self._ask("POST", "faults", json=wanted)
        return self._ask("GET", "faults")

    def clear_faults(self) -> None:
        """Remove every standing fault; the counts by kind stay."""
        self._ask("DELETE", "faults")

    def add_credits(self, vendor: str, amount: Decimal | int, *, account: str | None = None) -> None:
        """Top up one account, or every one of the vendor that was seen; negative takes away."""
        self._ask("POST", "credits", json={"vendor": vendor, "amount": str(amount), "account": account})

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self._client.request(method, f"{self.url}/_sandbox/{path}", **arguments)
        if not answer.is_success:
            raise SandboxError(f"{method} {path}: {answer.json()['error']}")
        body: dict[str, Any] = answer.json()
        return body


def _with_secrets(config: SandboxConfig) -> str:
    """One line of JSON, over a pipe: keys stay out of the process list."""
    return config.model_dump_json()


def sandbox_settings(url: str, config: SandboxConfig | None = None) -> dict[str, str]:
    """Environment that points cleanplate at a sandbox: addresses, keys, and the prices and limits that it keeps.

    `config` is that of the sandbox; without one, the defaults.
    """
    config = config or SandboxConfig()
    settings = {"CLEANPLATE_ALLOW_PRIVATE_HOSTS": "true"}
    for vendor in VENDOR_KEYS:
        own: VendorConfig = getattr(config, vendor)
        prefix = f"CLEANPLATE_PROVIDERS__{vendor.upper()}__"
        settings[f"{prefix}BASE_URL"] = f"{url}/{vendor}"
        settings[f"{prefix}API_KEY"] = next(iter(own.keys), f"sandbox-{vendor}")
        if own.limits:
            settings[f"{prefix}LIMITS"] = json.dumps(own.limits)
        if own.batch_limits:
            settings[f"{prefix}BATCH_LIMITS"] = json.dumps(own.batch_limits)
    if config.runflow.callback_secret:
        settings["CLEANPLATE_CALLBACKS__SECRETS"] = json.dumps([config.runflow.callback_secret])
    return settings | _prices(config)


def _prices(config: SandboxConfig) -> dict[str, str]:
    prefix = "CLEANPLATE_PROVIDERS__"
    runs = {model.removeprefix("runflow/"): str(price) for model, price in config.runflow.usd_per_run.items()}
    return {
        f"{prefix}RUNFLOW__USD_PER_IMAGE": json.dumps(runs),
        f"{prefix}MASKR__CREDITS_PER_IMAGE": str(config.maskr.credits_per_image),
        f"{prefix}MASKR__USD_PER_CREDIT": str(config.maskr.usd_per_credit),
        f"{prefix}MODELSLAB__USD_PER_IMAGE": str(config.modelslab.usd_per_image),
        f"{prefix}MODELSLAB__MAX_IN_FLIGHT": str(config.modelslab.slots),
        f"{prefix}ONEMIN__CREDITS_PER_IMAGE": str(config.onemin.credits_per_image),
        f"{prefix}ONEMIN__USD_PER_CREDIT": str(config.onemin.usd_per_credit),
    }


__all__ = ["SandboxError", "SandboxProcess", "sandbox_settings"]
