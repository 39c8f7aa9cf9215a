"""`cleanplate run --sandbox`: the real run against stand-ins for every vendor, and what they would have billed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from flows.commands.exits import Leave
from manifests.ids import new_run_id
from tasks.providers.sandbox.config import SandboxConfig, ScenarioError
from tasks.providers.sandbox.process import SandboxError, SandboxProcess, sandbox_settings

console = Console(stderr=True, soft_wrap=True)


def rehearsal_id(manifest: str, run_id: str | None) -> str:
    """A run id of its own: a rehearsal's rows must never pass for delivered ones when the real run of that id begins."""
    return f"rehearsal-{run_id or new_run_id(manifest, datetime.now(UTC))}"[:100]


@contextmanager
def rehearsal(scenario: Path | None) -> Iterator[None]:
    """While inside, providers are the sandbox's, and the ledger is one that is thrown away: the real one must not hold play money."""
    try:
        config = SandboxConfig.from_toml(scenario) if scenario else SandboxConfig()
    except ScenarioError as error:
        raise Leave.usage(str(error)) from None
    try:
        with tempfile.TemporaryDirectory(prefix="cleanplate-rehearsal-") as folder, SandboxProcess(config) as sandbox:
            os.environ.update(sandbox_settings(sandbox.url, config))
            os.environ["CLEANPLATE_LEDGER_URL"] = f"sqlite:///{folder}/ledger.sqlite3"
            console.print("Rehearsal: nothing is paid; the vendors are stand-ins on this machine.")
            yield
            bill = sandbox.bill(entries=False)
            console.print(
                f"The stand-ins would have billed ${bill['usd']} and {bill['credits']} credits for {bill['charges']} edits."
            )
    except SandboxError as error:
        raise Leave.usage(f"the sandbox: {error}") from None
