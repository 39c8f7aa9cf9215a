"""One row of a manifest: either an item whose shape is sound, or the fault that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from manifests.error_codes import ErrorCode
from manifests.item_ids import fault_of
from manifests.items import Item, Operation

_TEXTS: Final = ("image_uri", "operation", "mask_uri", "object_name", "reference_uri", "prompt", "provider")
_MOST_PIXELS: Final = 1 << 24  # no picture is wider; larger numbers are rubbish
_SHOWN: Final = 80  # characters of a bad value in a message


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFault:
    """A row that cannot become an item; it becomes a rejected outcome, and never stops the run."""

    row: int  # from the start of the manifest
    item_id: str
    code: ErrorCode
    message: str


class UnusableRowError(Exception):
    """Names the column and what was expected."""


def parse_row(values: Mapping[str, Any], *, row: int, item_id: str) -> Item | RowFault:
    """A row in the manifest's schema → an item, or what is wrong with it."""
    unsafe = fault_of(item_id)
    if unsafe:
        message = f"row {row}: item_id {quote(item_id)} cannot name a file: {unsafe}"
        return RowFault(row=row, item_id=item_id, code=ErrorCode.UNSAFE_ITEM_ID, message=message)
    try:
        return read_item(values, item_id)
    except UnusableRowError as fault:
        message = f"row {row} (item {item_id}): {fault}"
        return RowFault(row=row, item_id=item_id, code=ErrorCode.ROW_INVALID, message=message)


def read_item(values: Mapping[str, Any], item_id: str) -> Item:
    """A row whose item_id was looked at already. UnusableRowError when another column is at fault."""
    texts = {name: _text(name, value) for name in _TEXTS if (value := values[name])}
    image_uri = texts.pop("image_uri", None)
    if image_uri is None:
        raise UnusableRowError("image_uri is empty: give the picture's address")
    points = _points(values["points"])
    return Item(
        item_id=item_id,
        image_uri=image_uri,
        operation=_operation(texts.pop("operation", None)),
        points=points,
        labels=_labels(values["labels"], len(points)),
        box=_box(values["box"]),
        **texts,
    )


def _text(name: str, value: str) -> str | None:
    """The text without surrounding blanks; None when nothing is left."""
    text = value.strip()
    if text and name != "prompt" and not text.isprintable():
        raise UnusableRowError(f"{name} {quote(text)} holds control characters: remove them")
    return text or None


def _operation(text: str | None) -> Operation:
    if text is None:
        return Operation.OBJECT_REMOVAL
    try:
        return Operation(text)
    except ValueError:
        known = " or ".join(Operation)
        raise UnusableRowError(f"operation {quote(text)} is unknown: write {known}, or leave it empty") from None


def _points(value: list[list[int | None] | None] | None) -> tuple[tuple[int, int], ...]:
    points = []
    for point in value or ():
        if point is None or len(point) != 2 or not all(map(_is_pixel, point)):
            raise UnusableRowError(f"points holds {quote(point)}: each point is [x, y], whole pixels from 0")
        points.append((int(point[0] or 0), int(point[1] or 0)))
    return tuple(points)


def _labels(value: list[int | None] | None, points: int) -> tuple[int, ...]:
    if not value:
        return ()
    labels = tuple(value)
    if len(labels) != points:
        raise UnusableRowError(
            f"labels has {len(labels)} entries for {points} points: give one a point, or none at all"
        )
    if any(label not in (0, 1) for label in labels):
        raise UnusableRowError(f"labels is {quote(list(labels))}: each is 1 (object) or 0 (background)")
    return tuple(int(label or 0) for label in labels)


def _box(value: list[int | None] | None) -> tuple[int, int, int, int] | None:
    if not value:
        return None
    if len(value) != 4 or not all(map(_is_pixel, value)):
        raise UnusableRowError(f"box is {quote(value)}: write [x1, y1, x2, y2], whole pixels from 0")
    x1, y1, x2, y2 = (int(number or 0) for number in value)
    if x2 <= x1 or y2 <= y1:
        raise UnusableRowError(f"box is {value}: x2 must be larger than x1, and y2 than y1")
    return x1, y1, x2, y2


def _is_pixel(value: int | None) -> bool:
    return value is not None and 0 <= value < _MOST_PIXELS


def quote(value: object) -> str:
    """A value of the manifest as it may stand in a message: in one printable line of bounded length."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
