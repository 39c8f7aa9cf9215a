"""Every fault that the sandbox knows, mixed, in one sitting: a row each, the bill's cents, and nothing that hangs.

Four vendors, all that they offer, a callback receiver beside them. Each fault has an equal share, so that a fifth of the
charged requests and pictures is struck. Time limits are short, so that hangs and stuck jobs end within the sitting.
"""

import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq

from tasks.providers.sandbox.faults import AFTER, BEFORE, OF_BATCH, OF_CALLBACK, OF_PICTURE, FaultKind
from tests.factories.mixed import VENDORS, combinations, write_mixed
from tests.rehearsals import Rehearsal, rehearsal
from tests.services import command

SHARE = 0.2
SECRET = "whsec_chaos_0123456789"
MODELSLAB_TOKEN = "chaos-token-0123456789abcdef"
LIMITS = {
    "REQUEST_TIMEOUT_S": "8",
    "POLL_DEADLINE_S": "20",
    "POLL_INTERVAL_S": "0.5",
    "MAX_IN_FLIGHT": "20",
}
DEADLINE_S = 1200  # of the whole sitting; the run must end by itself well before


def main(quick: bool) -> None:
    """Print Markdown tables."""
    rows = 60 if quick else 500
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        manifest = write_mixed(folder / "in", each=-(-rows // len(combinations())))
        vendors = {
            "runflow": {"latency_s": 0.2, "callback_secret": SECRET},
            "maskr": {"limits": ["30/min"], "batch_limits": ["60/min"]},
            "modelslab": {"processing_s": 0.3, "slots": 20},
            "onemin": {},
        }
        with rehearsal(folder, **vendors) as here, _receiver(here):
            for vendor in VENDORS:
                here.environment |= {f"CLEANPLATE_PROVIDERS__{vendor.upper()}__{k}": v for k, v in LIMITS.items()}
            here.sandbox.faults(*_faults())
            began = time.monotonic()
            code = here.run(here.config(manifest, "maskr", providers=VENDORS))
            _print(here, pq.read_metadata(manifest).num_rows, code, time.monotonic() - began)


def _faults() -> list[dict[str, object]]:
    """Of each layer, a fifth of the occasions in all: callbacks and batches have layers of their own."""
    layers: tuple[tuple[FaultKind, ...], ...] = (
        tuple(sorted((BEFORE | AFTER) - {FaultKind.OUTAGE})),
        tuple(sorted(OF_PICTURE)),
        tuple(sorted(OF_CALLBACK)),
        tuple(sorted(OF_BATCH)),
    )
    faults: list[dict[str, object]] = [
        {"kind": str(kind), "share": SHARE / len(kinds), "seconds": 12 if "hang" in kind else 1}
        for kinds in layers
        for kind in kinds
    ]
    return [*faults, {"kind": "outage", "vendor": "onemin", "from_s": 15, "until_s": 30}]


@contextmanager
def _receiver(here: Rehearsal) -> Iterator[None]:
    """`cleanplate callbacks`, and the address under which the vendors call it."""
    here.environment |= {
        "CLEANPLATE_CALLBACKS__SECRETS": json.dumps([SECRET]),
        "CLEANPLATE_CALLBACKS__MODELSLAB_TOKENS": json.dumps([MODELSLAB_TOKEN]),
        "PYTHONUNBUFFERED": "1",
    }
    start = [command("cleanplate"), "callbacks", "--port", "0"]
    with subprocess.Popen(
        start, env=here.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as it:
        try:
            assert it.stdout is not None
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in it.stdout)))
            here.environment["CLEANPLATE_CALLBACKS__PUBLIC_URL"] = found[0]
            yield
        finally:
            it.terminate()


def _print(here: Rehearsal, rows: int, code: int, took_s: float) -> None:
    results = here.results()
    lost = rows - results.item_id.nunique() + int(results.item_id.duplicated().sum())
    bill = Decimal(str(here.sandbox.bill(entries=False)["usd"]))
    doubtful = json.loads(here.cleanplate("ledger", "in-doubt", "--json"))
    held = sum((Decimal(one["usd"]) for one in doubtful), Decimal(0))
    statement = here.statement_usd()
    print("| rows | without or with two outcomes | exit code | s | bill | statement | held in doubt | charged twice |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {rows} | {lost} | {code} | {took_s:.0f} | ${bill} | ${statement} | ${held} ({len(doubtful)}) "
        f"| {_twice(here)} |"
    )
    assert statement <= bill <= statement + held
    print("\n| state | error code | rows |\n|---|---|---|")
    for (state, error), count in results.groupby(["state", results.error_code.fillna("")]).size().items():
        print(f"| {state} | {error} | {count} |")
    for row in results[results.state == "rejected"].head(3).itertuples():
        print(f"- {row.item_id}: {row.error_message}")
    injected = here.sandbox.faults()["injected"]
    print("\n| fault | injected |\n|---|---|")
    for kind in sorted(FaultKind):
        print(f"| {kind} | {injected.get(kind, 0)} |")
    print(f"\n{sum(injected.values())} faults in all.")


def _twice(here: Rehearsal) -> int:
    """Charges of one attempt key more than once: another attempt after a refused picture is a charge of its own."""
    entries = [entry for entry in here.sandbox.bill()["entries"] if entry["kind"] == "charge"]
    return sum(count - 1 for count in Counter(entry["reference"] for entry in entries if entry["reference"]).values())
