"""A night as operations live through it: deployed, started by its schedule, not joined, its worker killed, taken up again, paid once.

A real Prefect server on PostgreSQL, a process work pool, the deployments and automations that ship, the sandbox as two vendors, one of
which runs dry. In the end every byte that was left behind is searched for the secrets that were used.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.apply_automations import read_specs
from tests.benchmarks.nightly_house import House, house
from tests.benchmarks.secret_search import Findings, search, watched_processes
from tests.factories.catalogs import write_catalog
from tests.services import ROOT, end, kill_tree, start_worker

NIGHTLY = "catalog-cleanup/catalog-cleanup-nightly"
# From the making of the schedule to its moment: longer than the five minutes within which Prefect ties a run's events to each other.
# Its scheduler tells no event of its own, and what is tied to one that never comes is held back from automations for 15 minutes.
AHEAD_S = 330
QUICK_SILENCE_S = 75  # instead of the ten minutes that ship: two heartbeats and a half
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Diary:
    """The table: seconds since the start, what happened, and the state it left."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        print("| s | what happened | state |\n|---:|---|---|", flush=True)

    def note(self, what: str, state: str = "") -> None:
        """One line, at once."""
        print(f"| {time.monotonic() - self._began:.0f} | {what} | {state} |", flush=True)


def main(quick: bool) -> None:
    """Print a Markdown table; fails when a row is lost, paid twice, a run overlaps, an alert is missing or a secret shows."""
    with tempfile.TemporaryDirectory(prefix="night-") as name:
        home = Path(name)
        diary = Diary()
        with house(home) as here, watched_processes(here.passwords) as seen:
            diary.note("Prefect on PostgreSQL, two vendors and an alert receiver are up")
            rows = 160 if quick else 300
            live_through(here, diary, rows=rows, silence_s=QUICK_SILENCE_S if quick else 600)
            found = search(here, seen)
        report(found)


def live_through(here: House, diary: Diary, *, rows: int, silence_s: int) -> None:
    """The night."""
    deploy(here, write_catalog(here.home / "in", rows), diary)
    scheduled = schedule(here, diary)
    tell(here, silence_s, diary)
    first_worker = start_worker(here.worker, "cleanplate", "first", here.home / "first.log")
    try:
        first = wait_for(lambda: runs(here, scheduled), "the scheduled run", AHEAD_S + 180)[0]
        wait_for(lambda: state_of(here, first) == "RUNNING", "its start")
        diary.note("the schedule fired by itself", "Running")
        wait_for(lambda: charges(here) > rows // 8, "work under way")
        trigger_again(here, diary)
        wait_for(lambda: charges(here) > rows // 3, "half the work")
        assert state_of(here, first) == "RUNNING"
    finally:
        kill_tree(first_worker.pid)
        first_worker.wait()
    diary.note(
        f"kill -9 of the worker and all its processes, {charges(here)} pictures charged", state_of(here, first).title()
    )
    second_worker = start_worker(here.worker, "cleanplate", "second", here.home / "second.log")
    try:
        wait_for(lambda: state_of(here, first) == "CRASHED", "the automation that notices the silence", silence_s + 240)
        diary.note(f"an automation noticed {silence_s} s of silence", "Crashed")
        second = wait_for(lambda: runs(here, {first} | scheduled, taken_up=True), "the run that goes on", 240)[0]
        wait_for(lambda: state_of(here, second) == "RUNNING", "its start", 240)
        diary.note("another automation started the same night again; the second worker took it", "Running")
        wait_for(lambda: state_of(here, second) in ENDED, "its end", 400)
    finally:
        end(second_worker)
    state = here.get(f"/flow_runs/{second}")["state"]
    diary.note(state["message"], state["name"])
    settle_accounts(here, rows, diary)
    check_alerts(here, diary)


def deploy(here: House, manifest: Path, diary: Diary) -> None:
    """As docs/operations.md says."""
    here.run("prefect", "work-pool", "create", "cleanplate", "--type", "process")
    places = {
        "CLEANPLATE_CATALOG_MANIFEST": str(manifest),
        "CLEANPLATE_CATALOG_OUTPUT": str(here.home / "out"),
        "CLEANPLATE_CATALOG_PROVIDERS": "maskr,runflow",
        "CLEANPLATE_CATALOG_BUDGET_USD": "500",
    }
    here.run("prefect", "--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all", **places)
    diary.note("`prefect deploy --all`", f"{len(here.all('deployments'))} deployments")


def tell(here: House, silence_s: int, diary: Diary) -> None:
    """The automations that ship; with a shorter silence when there is no time for the real one."""
    text = (ROOT / "deployments" / "automations.yaml").read_text()
    shortened = here.home / "automations.yaml"
    shortened.write_text(text.replace("within: 600 # a heartbeat", f"within: {silence_s} # a heartbeat"))
    assert len(read_specs(shortened)) == here.run("cleanplate", "automations", "apply", "--file", str(shortened)).count(
        "created"
    )
    diary.note("`cleanplate automations apply`", f"{len(here.all('automations'))} automations")


def schedule(here: House, diary: Diary) -> set[str]:
    """A schedule whose moment comes soon; returns the runs that were there before."""
    before = {run["id"] for run in here.all("flow_runs")}
    moment = (datetime.now(UTC) + timedelta(seconds=AHEAD_S)).isoformat(timespec="seconds")
    here.run(
        *["prefect", "--no-prompt", "deployment", "schedule", "create", NIGHTLY],
        *["--interval", "86400", "--anchor-date", moment, "--replace", "--accept-yes"],
    )
    diary.note(f"a schedule for {moment}")
    return before


def runs(here: House, known: set[str], *, taken_up: bool = False) -> list[str]:
    """Runs of the nightly deployment whose moment has come, the oldest first, without those that are known."""
    deployment = here.get(f"/deployments/name/{NIGHTLY}")["id"]
    now = datetime.now(UTC).isoformat()
    found = here.all(
        "flow_runs",
        sort="EXPECTED_START_TIME_ASC",
        deployments={"id": {"any_": [deployment]}},
        flow_runs={"expected_start_time": {"before_": now}},
    )
    return [
        run["id"] for run in found if run["id"] not in known and (not taken_up or "CANCEL" not in run["state_type"])
    ]


def trigger_again(here: House, diary: Diary) -> None:
    """Somebody starts the nightly deployment by hand while it is at work."""
    deployment = here.get(f"/deployments/name/{NIGHTLY}")["id"]
    asked = here.api.post(f"/deployments/{deployment}/create_flow_run", json={"name": "by hand"})
    run_id = asked.raise_for_status().json()["id"]
    wait_for(lambda: state_of(here, run_id) in ENDED, "an answer to the second trigger")
    assert state_of(here, run_id) == "CANCELLED"
    diary.note("started by hand while at work: does not overlap", "Cancelled")


def settle_accounts(here: House, rows: int, diary: Diary) -> None:
    """One outcome a row, nothing paid twice; what is in doubt is looked up at the vendor, as its operator would; then bill = statement."""
    [folder] = (here.home / "out").glob("run_id=nightly-*")
    results = pd.read_parquet(folder / "results.parquet")
    assert sorted(results.item_id) == [f"item-{n:05d}" for n in range(rows)]
    diary.note(
        "every row has one outcome", ", ".join(f"{n} {state}" for state, n in Counter(results.state).most_common())
    )
    bill = here.sandbox.bill()
    paid = [entry for entry in bill["entries"] if entry["kind"] == "charge"]
    assert max(Counter(entry["picture_sha256"] for entry in paid).values()) == 1
    charged = {entry["reference"] for entry in paid}
    doubtful = [one["attempt_key"] for one in json.loads(here.run("cleanplate", "ledger", "in-doubt", "--json"))]
    for key in doubtful:
        here.run("cleanplate", "ledger", "resolve", key, "--charged" if key in charged else "--not-charged")
    lines = json.loads(here.run("cleanplate", "ledger", "statement", "--json"))
    statement = sum((Decimal(line["usd"]) for line in lines), Decimal(0))
    assert statement == Decimal(bill["usd"]), (statement, bill["usd"])
    words = f"{len(paid)} pictures charged, none twice; {len(doubtful)} requests in doubt, looked up and resolved"
    diary.note(words, f"bill ${bill['usd']} = statement ${statement:.2f}")


def check_alerts(here: House, diary: Diary) -> None:
    """People were told of the dry account and of the dead run."""
    wait_for(lambda: {"provider parked", "run crashed"} <= set(here.alerts.automations()), "the alerts", 60)
    [parked, *_] = [one for one in here.alerts.received if one["automation"].endswith("provider parked")]
    assert "Insufficient credits" in parked["payload"]["reason"]
    diary.note(f"told: {' '.join(parked['text'].split())}", "alert")
    diary.note("alerts received", ", ".join(f"{name} {n}" for name, n in Counter(here.alerts.automations()).items()))


def report(found: Findings) -> None:
    """The second table."""
    print("\n| searched for secrets | records | bytes | found |\n|---|---:|---:|---:|")
    for place in found.places:
        print(f"| {place.name} | {place.records:,} | {place.size:,} | {len(place.hits)} |")
    assert not found.hits, found.hits
    assert found.control, "the search must find what is where it should be"
    print(
        f"\nSecrets searched for: {found.secrets}, each as it is, in base64 and in URLs. The control, the key's own file, was found."
    )


def state_of(here: House, run_id: str) -> str:
    return str(here.get(f"/flow_runs/{run_id}")["state_type"])


def charges(here: House) -> int:
    return int(here.sandbox.bill(entries=False)["charges"])


def wait_for(reached: Callable[[], Any], what: str, within_s: float = 180) -> Any:
    """Until it is so, looking twice a second; what it came to."""
    deadline = time.monotonic() + within_s
    while not (come := reached()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.5)
    return come
