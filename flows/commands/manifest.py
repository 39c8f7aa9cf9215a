"""`cleanplate manifest build` and `cleanplate manifest check`."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from manifests.build import BuildReport, build_from_pictures, build_from_table
from manifests.check import CheckReport, check_manifest
from manifests.errors import ManifestError
from manifests.storage import shown
from manifests.tables import TableSource
from tasks.config import ConfigurationError

app = typer.Typer(help="Make a manifest, or look one over before anything is spent.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command()
def build(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, globs or pictures on any fsspec URL; or one .csv, .tsv, .jsonl or .xlsx."),
    ],
    *,
    to: Annotated[str, typer.Option("--out", "-o", help="Where to write the manifest: a Parquet file.")],
    mask: Annotated[
        str | None, typer.Option(help="Where a picture's mask lies, such as {stem}_mask.png or ../masks/{stem}.png.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Where a picture's new background lies; the same patterns.")
    ] = None,
    operation: Annotated[str | None, typer.Option(help="object-removal or background-replace, for all rows.")] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=VALUE", help="The same value for all rows, such as prompt='on marble'."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=THEIRS", help="For tables: image_uri=Photo, or mask_uri='masks/{SKU}.png'."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="For tables: where relative addresses begin; by default the table's folder.")
    ] = None,
    keep_unmatched: Annotated[
        bool,
        typer.Option(
            "--keep-unmatched", help="Keep pictures without their mask or reference; by default they are left out."
        ),
    ] = False,
    encoding: Annotated[str, typer.Option(help="For CSV and JSON lines.")] = "utf-8-sig",
    delimiter: Annotated[str | None, typer.Option(help="For CSV; found out by default.")] = None,
    sheet: Annotated[str | None, typer.Option(help="For Excel; the first by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a manifest of folders and globs of pictures, or of a table."""
    with _explained():
        constants = _pairs(fixed or [], "--set") | ({"operation": operation} if operation else {})
        table = TableSource(uri=sources[0], encoding=encoding, delimiter=delimiter, sheet=sheet)
        if table.is_known:
            _refuse(len(sources) > 1, "give one table at a time")
            _refuse(
                bool(mask or reference),
                "for a table, say --map mask_uri='masks/{COLUMN}.png' instead of --mask or --reference",
            )
            report = build_from_table(table, to, mapping=_pairs(columns or [], "--map"), constants=constants, base=base)
        else:
            _refuse(bool(columns or base), "--map and --base are for tables (.csv, .tsv, .jsonl, .xlsx)")
            report = build_from_pictures(
                sources, to, mask=mask, reference=reference, constants=constants, keep_unmatched=keep_unmatched
            )
    if as_json:
        _print_json(asdict(report))
    else:
        _print_build(report)


@app.command()
def check(
    manifest: Annotated[str, typer.Argument(help="A Parquet file, a folder of them, or a glob, on any fsspec URL.")],
    files: Annotated[
        bool, typer.Option("--files", help="Ask the storage for each picture, mask and reference too.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read and judge every picture and mask as a run would, and write a page.")
    ] = False,
    page: Annotated[
        str, typer.Option(help="Where --deep writes its page: one HTML file with examples.")
    ] = "manifest-check.html",
    provider: Annotated[
        list[str] | None,
        typer.Option(help="By whose prices --deep tells the money saved; repeatable. Default: those that have a key."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file instead of ./cleanplate.toml.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="How many rows to show of each kind of finding.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a manifest, by row; costs nothing. Exit code 0: nothing, 2: unreadable, 3: some rows are at fault."""
    if config is not None:
        os.environ["CLEANPLATE_CONFIG"] = str(config)
    with _explained():
        report = check_manifest(manifest, files=files and not deep, examples=examples)
        if deep:
            from flows.commands.manifest_deep import check_every_file

            code = check_every_file(
                manifest, report, providers=tuple(provider or ()), examples=examples, page=page, as_json=as_json
            )
            raise typer.Exit(code)
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_check(report)
    raise typer.Exit(report.exit_code)


@contextmanager
def _explained() -> Iterator[None]:
    """A manifest or a configuration that cannot be used ends the command with its message and exit code 2."""
    try:
        yield
    except (ManifestError, ConfigurationError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise ManifestError(message)


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        _refuse(not (name and equals and value), f"{option} {name}{equals}{value}: write it as COLUMN=VALUE")
    return {name.strip(): value for name, _, value in pairs}


def _print_json(report: dict[str, Any]) -> None:
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False))


def _print_build(report: BuildReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{report.rows:,}[/] rows written to {escape(shown(report.uri))}")
    console.print(f"columns: {escape(', '.join(report.columns))}")
    for count, what in ((report.without_mask, "mask"), (report.without_reference, "reference")):
        if count:
            console.print(f"[yellow]pictures without {what} where the pattern looks: {count:,}[/]")
    if report.examples:
        fate = f"left out: {report.left_out:,}" if report.left_out else "kept without"
        console.print(f"  {fate}, such as {escape(', '.join(report.examples))}")
    if report.duplicate_ids:
        console.print(f"[yellow]rows that repeat an item_id, and will be rejected: {report.duplicate_ids:,}[/]")
    if report.other_files:
        console.print(f"passed over, no pictures: {report.other_files:,}")
    console.print(f"Next: cleanplate manifest check --files {escape(shown(report.uri))}")


def _print_check(report: CheckReport) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{report.rows:,}[/] rows in {escape(report.manifest)}", soft_wrap=True)
    console.print(
        f"columns: {escape(', '.join(report.columns))}; carried through: {escape(', '.join(report.carried_columns) or 'none')}",
        soft_wrap=True,
    )
    for title, counts in (("operations", report.by_operation), ("selected by", report.by_selector)):
        if counts:
            console.print(f"{title}: {', '.join(f'{name} {count:,}' for name, count in sorted(counts.items()))}")
    if report.files_checked is not None:
        console.print(f"files asked for: {report.files_checked:,}")
    if not report.findings:
        console.print("[bold green]Nothing is wrong with it.[/]")
        return
    console.print(_findings_table(report))
    console.print(f"[bold red]{report.rows_at_fault:,} of {report.rows:,} rows would not succeed.[/]")


def _findings_table(report: CheckReport) -> Table:
    table = Table("finding", "rows", "such as", show_lines=True)
    table.columns[1].justify = "right"
    table.columns[2].overflow = "fold"
    for code, kind in sorted(report.findings.items(), key=lambda entry: -entry[1].count):
        lines = [escape(finding.message) for finding in kind.examples]
        table.add_row(str(code), f"{kind.count:,}", "\n".join(lines))
    return table
