"""A vendor's answer as a value, and tolerant ways to read JSON that may hold anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

_MESSAGE_FIELDS: Final = ("message", "messege", "detail", "error", "errors", "failure_message", "tip")
_LARGEST: Final = 10**15
_DEAREST: Final = 100_000  # dollars or credits
_MILLIONTH: Final = Decimal("0.000001")  # what the ledger and the results keep
_LONGEST_ID: Final = 200
_LONGEST_WORD: Final = 60
_DEPTH: Final = 6  # of nested messages: deeper is no message


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)

    def json(self) -> object:
        """The body's JSON; None when it is none (or nests beyond reason)."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def record(self) -> dict[str, object]:
        """The body as a JSON object; empty when it is none."""
        return record(self.json())

    @property
    def request_id(self) -> str | None:
        """The vendor's correlation id."""
        return identifier(self.headers.get("runflow-request-id")) or identifier(self.headers.get("x-request-id"))


def record(value: object) -> dict[str, object]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """A non-empty string, or None."""
    return value.strip() or None if isinstance(value, str) else None


def identifier(value: object) -> str | None:
    """An id, which vendors write as number or string; None when it is neither, or nothing that a database or a URL could hold."""
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    return found if found and found.isprintable() and len(found) <= _LONGEST_ID else None


def word(value: object) -> str | None:
    """A status or a code: one short printable word, or None."""
    found = text(value)
    return found if found and found.isprintable() and len(found) <= _LONGEST_WORD else None


def amount(value: object) -> Decimal | None:
    """A number of money, credits or seconds, written as number or string; None when it is none, or beyond all reason."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _LARGEST else None


def charge(value: object) -> Decimal | None:
    """What one image can have cost, to a millionth; None when it is not stated, or cannot be meant: no vendor pays us."""
    stated = amount(value)
    return stated.quantize(_MILLIONTH) if stated is not None and 0 <= stated <= _DEAREST else None


def message_of(value: object, depth: int = _DEPTH) -> str | None:
    """The words for people in an error answer, wherever the vendor put them: a string, a list, FastAPI's `detail`, nested objects."""
    if depth == 0:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        found = [words for part in value[:10] if (words := message_of(part, depth - 1))]
        return "; ".join(found) or None
    if isinstance(value, dict):
        return _message_in(value, depth)
    return None


def _message_in(value: dict[str, object], depth: int) -> str | None:
    if isinstance(value.get("msg"), str):  # FastAPI: {"loc": ["body", "mask"], "msg": "field required", "type": …}
        place = ".".join(str(part) for part in items(value.get("loc")))
        return f"{place}: {value['msg']}" if place else str(value["msg"])
    for name in _MESSAGE_FIELDS:
        if words := message_of(value.get(name), depth - 1):
            code = word(value.get("code"))
            return f"{code}: {words}" if code and name == "message" else words
    if depth < _DEPTH:  # a message that is an object of its own, such as {"init_image": ["The field is required."]}
        found = [f"{key}: {words}" for key, part in list(value.items())[:10] if (words := message_of(part, depth - 1))]
        return "; ".join(found) or None
    return word(value.get("code"))
