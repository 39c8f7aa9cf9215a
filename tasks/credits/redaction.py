"""Nothing signed is kept: addresses lose their queries before they are written down."""

import json
import re
from typing import Any, Final

_QUERY: Final = re.compile(r"(?P<address>[a-z][a-z0-9+.-]*://[^\s?#\"'<>]+)[?#][^\s\"'<>]*", re.IGNORECASE)
_USER: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE)
NOTE_CHARS: Final = 500


def without_secrets(text: str) -> str:
    """Every address in a text without its query, fragment and password."""
    return _USER.sub(r"\g<scheme>", _QUERY.sub(r"\g<address>", text))


def note(text: str) -> str:
    """A remark as it may be kept: without secrets, and short."""
    return without_secrets(text)[:NOTE_CHARS]


def payload_without_secrets(payload_json: str) -> str:
    """A JSON text with every string in it cleaned. ValueError when it is no JSON."""
    return json.dumps(_clean(json.loads(payload_json)), sort_keys=True, ensure_ascii=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {without_secrets(key): _clean(each) for key, each in value.items()}
    return value
