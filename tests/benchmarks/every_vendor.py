"""Every provider × operation × selection that it offers, by `cleanplate run` against the sandbox, everything on S3 with signatures.

rclone's S3 server checks each signature: the product's own, and those of the addresses that the vendors are given.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from tests.factories.mixed import write_mixed
from tests.s3 import rclone_server
from tests.services import clean_environment, command

PROVIDERS = ("runflow", "maskr", "modelslab", "onemin", "local")


def main(quick: bool) -> None:
    """Print a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="vendors-") as name, rclone_server(Path(name) / "s3") as s3:
        folder = Path(name)
        write_mixed(folder / "in", each=2 if quick else 10, providers=PROVIDERS, at="s3://shop/in")
        filesystem = s3.filesystem()
        filesystem.put(f"{folder / 'in'}/", "shop/in/", recursive=True)
        environment = clean_environment(folder, **s3.environment, PYTHONPATH=os.getcwd())
        asked = [part for key in PROVIDERS for part in ("--provider", key)]
        run = [command("cleanplate"), "run", "s3://shop/in/manifest.parquet", "--to", "s3://shop/out", "--run-id", "r"]
        ended = subprocess.run(
            [*run, *asked, "--sandbox", "--json"],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        if not ended.stdout:
            raise RuntimeError(ended.stderr[-3000:])
        [found] = filesystem.glob("shop/out/run_id=*/results.parquet")
        _print(pd.read_parquet(filesystem.open(found)), ended.stderr)


def _print(results: pd.DataFrame, said: str) -> None:
    parts = results.item_id.str.extract(r"^([a-z]+)-(object-removal|background-replace)-(.+)-\d+$")
    by = [parts[0].rename("vendor"), parts[1].rename("operation"), parts[2].rename("selection")]
    print("| vendor | operation | selection | rows | succeeded | cost, $ |\n|---|---|---|---|---|---|")
    for (vendor, operation, selection), rows in results.groupby(by, sort=False):
        good = int((rows.state == "succeeded").sum())
        print(f"| {vendor} | {operation} | {selection} | {len(rows)} | {good} | {rows.cost_usd.sum():.2f} |")
    print(
        f"\n{len(results)} rows, {int((results.state == 'succeeded').sum())} succeeded, ${results.cost_usd.sum():.2f}."
    )
    print(next(line for line in said.splitlines() if "would have billed" in line))
    for row in results[results.state != "succeeded"].itertuples():
        print(f"- {row.item_id}: {row.state}, {row.error_code}, {row.error_message}")
