"""Looking a manifest over before anything is spent: what is wrong, in which rows, and whether the files are there."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from manifests.error_codes import ErrorCode
from manifests.files import FileLookup
from manifests.items import Item, Operation
from manifests.reader import Manifest, open_manifest
from manifests.rows import RowFault
from manifests.schemas import MANIFEST_SCHEMA
from manifests.storage import StorageOptions, shown

_ROWS_AT_ONCE: Final = 2000
_NOT_FOUND: Final = {
    "image_uri": ErrorCode.IMAGE_NOT_FOUND,
    "mask_uri": ErrorCode.MASK_NOT_FOUND,
    "reference_uri": ErrorCode.REFERENCE_NOT_FOUND,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One fault of one row."""

    row: int  # from the start of the manifest
    item_id: str
    code: ErrorCode
    message: str


@dataclass(kw_only=True, slots=True)
class Kind:
    """All findings with one code: how many, and the first few."""

    count: int = 0
    examples: list[Finding] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class CheckReport:
    """What a manifest holds and what is wrong with it."""

    manifest: str
    rows: int
    columns: tuple[str, ...]  # of ours
    carried_columns: tuple[str, ...]
    by_operation: dict[str, int] = field(default_factory=dict)
    by_selector: dict[str, int] = field(default_factory=dict)  # rows that give mask, points, box, text, reference
    rows_at_fault: int = 0
    findings: dict[ErrorCode, Kind] = field(default_factory=dict)
    files_checked: int | None = None  # None: not asked for

    @property
    def exit_code(self) -> int:
        """0 nothing found, 3 some rows would not succeed."""
        return 3 if self.rows_at_fault else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def check_manifest(
    uri: str, *, files: bool = False, examples: int = 5, storage_options: StorageOptions | None = None
) -> CheckReport:
    """Read all rows, in bounded memory; with `files`, ask the storage for each picture, mask and reference too.

    Raises:
        ManifestError: it cannot be used as a whole.
    """
    manifest = open_manifest(uri, batch_size=_ROWS_AT_ONCE, storage_options=storage_options)
    report = _empty_report(uri, manifest)
    with FileLookup(uri, storage_options) as lookup:
        for ref in manifest.batches():
            items = manifest.read(ref).items
            found = [
                *_row_findings(ref.first_row, items),
                *(_file_findings(ref.first_row, items, lookup) if files else ()),
            ]
            _add(report, items, found, examples)
        report.files_checked = lookup.asked if files else None
    return report


def _empty_report(uri: str, manifest: Manifest) -> CheckReport:
    carried = tuple(name for name in manifest.schema.names if name not in MANIFEST_SCHEMA.names)
    return CheckReport(
        manifest=shown(uri),
        rows=manifest.row_count,
        columns=manifest.given_columns,
        carried_columns=carried,
    )


def _add(report: CheckReport, items: tuple[Item | RowFault, ...], found: list[Finding], examples: int) -> None:
    sound = [item for item in items if isinstance(item, Item)]
    _count(report.by_operation, Counter(str(item.operation) for item in sound))
    _count(report.by_selector, Counter(name for item in sound for name in item.selectors))
    report.rows_at_fault += len({finding.row for finding in found})
    for finding in found:
        kind = report.findings.setdefault(finding.code, Kind())
        kind.count += 1
        if len(kind.examples) < examples:
            kind.examples.append(finding)


def _count(counts: dict[str, int], more: Counter[str]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def _row_findings(first_row: int, items: tuple[Item | RowFault, ...]) -> Iterator[Finding]:
    for row, item in enumerate(items, first_row):
        if isinstance(item, RowFault):
            yield Finding(row=row, item_id=item.item_id, code=item.code, message=item.message)
        else:
            code = _missing(item)
            if code:
                yield Finding(
                    row=row, item_id=item.item_id, code=code, message=f"row {row} (item {item.item_id}): {code.advice}"
                )


def _missing(item: Item) -> ErrorCode | None:
    """What the operation cannot do without."""
    if item.operation is Operation.OBJECT_REMOVAL:
        return None if item.selectors & {"mask", "points", "box", "text"} else ErrorCode.MASK_MISSING
    return None if item.reference_uri or item.prompt else ErrorCode.REFERENCE_MISSING


def _file_findings(first_row: int, items: tuple[Item | RowFault, ...], lookup: FileLookup) -> Iterator[Finding]:
    wanted = [
        (row, item, column, uri)
        for row, item in enumerate(items, first_row)
        if isinstance(item, Item)
        for column in _NOT_FOUND
        if (uri := getattr(item, column))
    ]
    faults = lookup.faults({uri for *_, uri in wanted})
    for row, item, column, uri in wanted:
        if uri in faults:
            message = f"row {row} (item {item.item_id}): {column} {shown(uri)}: {faults[uri]}"
            yield Finding(row=row, item_id=item.item_id, code=_NOT_FOUND[column], message=message)
