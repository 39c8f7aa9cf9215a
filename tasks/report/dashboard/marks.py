"""Where a page ends, as text that fits an address: opaque to people, checked when it comes back."""

import base64
import json


class BadMarkError(ValueError):
    """A mark that we did not write; the message is for people."""


def write_mark(*key: str | float) -> str:
    """Any key as one word."""
    text = json.dumps(key, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_mark(mark: str, *kinds: type | tuple[type, ...]) -> list[object]:
    """The key again.

    Raises:
        BadMarkError: it is damaged, or a key of other kinds.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
    except ValueError:
        key = None
    if not isinstance(key, list) or len(key) != len(kinds) or not all(map(isinstance, key, kinds)):
        raise BadMarkError("that page mark is damaged or belongs to another order: start again from the first page")
    return key
