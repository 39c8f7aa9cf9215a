"""`cleanplate manifest check --deep`: every file of a catalog looked at, a page of what was found, nothing spent."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from manifests.catalog_findings import CatalogFindings, Found, by_rows
from manifests.check import CheckReport
from manifests.reader import open_manifest
from manifests.repairs import REPAIRS
from manifests.storage import publish_bytes, shown
from tasks.config import ConfigurationError, load_settings
from tasks.editing.deep_check import check_deeply, priced_providers
from tasks.providers.registry import KEYS
from tasks.report.check_page import render_check
from tasks.report.wording import money

_ROWS_AT_ONCE = 500


def check_every_file(
    manifest: str, report: CheckReport, *, providers: Sequence[str], examples: int, page: str, as_json: bool
) -> int:
    """Look, write the page, print; the exit code: 0 nothing found, 3 some rows would be rejected.

    Raises:
        ManifestError: the manifest cannot be used.
        ConfigurationError: a provider is unknown.
    """
    found = _look(manifest, providers, examples)
    publish_bytes(page, render_check(manifest, found, made_at=datetime.now(UTC)).encode())
    if as_json:
        typer.echo(json.dumps(_as_json(report, found, page), indent=2, ensure_ascii=False))
    else:
        _print(manifest, found, page)
    return 3 if found.rejected else 0


def _look(manifest: str, providers: Sequence[str], examples: int) -> CatalogFindings:
    unknown = [key for key in providers if key not in KEYS]
    if unknown:
        raise ConfigurationError(f"unknown provider '{unknown[0]}': known are {', '.join(KEYS)}")
    settings, opened, seen = load_settings(), open_manifest(manifest, batch_size=_ROWS_AT_ONCE), 0
    with Console(stderr=True).status("Reading pictures …") as status:

        def progress(rows: int) -> None:
            nonlocal seen
            seen += rows
            status.update(f"Reading pictures … {seen:,} of {opened.row_count:,} rows")

        asked = priced_providers(settings, providers)
        return asyncio.run(check_deeply(opened, settings, providers=asked, examples=examples, progress=progress))


def _as_json(report: CheckReport, found: CatalogFindings, page: str) -> dict[str, Any]:
    """What the shallow check says of the manifest, and what the deep one found in its place."""
    whole = {name: value for name, value in report.to_dict().items() if name not in {"findings", "rows_at_fault"}}
    return whole | found.to_json() | {"page": page}


def _print(manifest: str, found: CatalogFindings, page: str) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{found.rows:,}[/] rows in {escape(shown(manifest))}, {found.bytes_read / 1e6:,.1f} MB read")
    if found.faults:
        console.print(
            _table(
                "finding",
                [
                    (str(code), one, one.examples[0].message if one.examples else "")
                    for code, one in by_rows(found.faults)
                ],
                saved=True,
            )
        )
    if found.repairs:
        console.print(
            _table("repair", [(name, one, REPAIRS.get(name, "")) for name, one in by_rows(found.repairs)], saved=False)
        )
    console.print(f"sound as they are: {found.untouched:,}; sent after a repair: {found.repaired:,}")
    if found.rejected:
        saved = (
            f": {money(found.saved_usd)} saved at the least price of {', '.join(found.priced_by)}"
            if found.priced_by
            else ""
        )
        console.print(
            f"[bold red]{found.rejected:,} of {found.rows:,} rows would be rejected[/]{saved}.", soft_wrap=True
        )
        if not found.priced_by:
            console.print(
                "[dim]No provider with a key is set up; --provider names those whose prices count.[/]", soft_wrap=True
            )
    else:
        console.print("[bold green]Every row can be sent.[/]")
    console.print(f"With pictures: {escape(shown(page))}", soft_wrap=True)


def _table(title: str, rows: Sequence[tuple[str, Found, str]], *, saved: bool) -> Table:
    table = Table(title, "rows", *(("saved",) if saved else ()), "such as" if saved else "what is done")
    table.columns[1].justify = "right"
    table.columns[-1].overflow = "fold"
    for name, found, words in rows:
        table.add_row(name, f"{found.rows:,}", *((money(found.saved_usd),) if saved else ()), escape(words))
    return table
