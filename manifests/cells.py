"""One cell of a table → a value for a column of ours."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import pyarrow.types as kind

from manifests.schemas import MANIFEST_SCHEMA

URI_COLUMNS: Final = frozenset({"image_uri", "mask_uri", "reference_uri"})
_ABSOLUTE: Final = re.compile(r"/|~|[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:[\\/]|file:|data:")


class CellError(Exception):
    """A value that a column cannot take; says what was expected."""


def read_cell(name: str, value: object, base: str) -> Any:
    """The value of column `name`; None for blanks. Relative addresses are taken from `base`. CellError when it does not fit."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if kind.is_list(MANIFEST_SCHEMA.field(name).type):
        return _numbers(value, _pair if name == "points" else _whole)
    text = _text(value)
    if name in URI_COLUMNS and base and not _ABSOLUTE.match(text):
        return f"{base.rstrip('/')}/{text.removeprefix('./')}"
    return text


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # Excel's way to keep 1001
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CellError(f"text is expected, not {_shown(value)}")
    return str(value).strip()


def _numbers(value: object, each: Callable[[object], Any]) -> list[Any] | None:
    """JSON text or a list; the brackets around the whole may be missing."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text if text.startswith("[") else f"[{text}]")
        except (ValueError, RecursionError):
            raise CellError(f"JSON such as {_EXAMPLES[each]} is expected, not {_shown(text)}") from None
    if not isinstance(value, list):
        raise CellError(f"a list such as {_EXAMPLES[each]} is expected, not {_shown(value)}")
    return [each(one) for one in value] or None


def _pair(value: object) -> list[int]:
    if not isinstance(value, list):
        raise CellError(f"points such as {_EXAMPLES[_pair]} are expected, not {_shown(value)}")
    return [_whole(one) for one in value]


def _whole(value: object) -> int:
    is_whole = (isinstance(value, int) or (isinstance(value, float) and value.is_integer())) and not isinstance(
        value, bool
    )
    if not is_whole or not -(1 << 63) <= int(value) < 1 << 63:  # type: ignore[call-overload]  # a number, by the line above
        raise CellError(f"whole numbers are expected, not {_shown(value)}")
    return int(value)  # type: ignore[call-overload,no-any-return]  # the same


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_EXAMPLES: Final[dict[Callable[[object], Any], str]] = {_pair: "[[120, 80], [40, 60]]", _whole: "[10, 20, 200, 180]"}
