"""Names of items: which ones are safe as file names everywhere, and how a row without one gets its own."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schemas import MANIFEST_SCHEMA

MOST_BYTES: Final = 180  # file systems and S3 tools stop at 255; suffixes and temporary names need room
_PUNCTUATION: Final = frozenset(" ._-+@=(),~!&'")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # by Windows
_PLAIN: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MOST_BYTES - 2}}}(?<!\.)")
_PLAIN_RE2: Final = "^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?$"  # the same without its length, for Arrow
CONTENT_COLUMNS: Final = tuple(name for name in MANIFEST_SCHEMA.names if name != "item_id")


def fault_of(item_id: str) -> str | None:
    """Why an item_id cannot name a file on every system, or None when it can. Letters and digits of any script are fine."""
    if _PLAIN.fullmatch(item_id) and not _RESERVED.fullmatch(item_id):
        return None  # nearly all, and there may be ten million
    bad = next((char for char in item_id if not _is_safe(char)), None)
    reasons = {
        "it is blank": not item_id.strip(),
        f"it holds {bad!a}": bad is not None,
        "it begins or ends with a dot, dash or space": item_id.startswith((".", " ", "-"))
        or item_id.endswith((".", " ")),
        "Windows keeps this name for a device": _RESERVED.fullmatch(item_id) is not None,
        f"it is longer than {MOST_BYTES} bytes": len(item_id.encode()) > MOST_BYTES,
    }
    return next((why for why, applies in reasons.items() if applies), None)


def unsafe_ids(ids: pa.Array) -> dict[int, str]:
    """Position → why, of those that cannot name a file; the plain ones, nearly all, are passed by column."""
    plain = pc.and_(pc.match_substring_regex(ids, _PLAIN_RE2), pc.less(pc.binary_length(ids), MOST_BYTES))
    reserved = pc.match_substring_regex(ids, f"^{_RESERVED.pattern}$", ignore_case=True)
    looked_at = pc.indices_nonzero(pc.or_(pc.invert(plain), reserved)).to_pylist()
    found = {position: fault_of(ids[position].as_py()) for position in looked_at}
    return {position: why for position, why in found.items() if why is not None}


def _is_safe(char: str) -> bool:
    return char in _PUNCTUATION or unicodedata.category(char)[0] in "LNM"


def derived_id(row: Mapping[str, Any], nth: int = 1) -> str:
    """The item_id of a row that has none: from the row's content, so that it is the same tomorrow; `nth` counts rows alike.

    `DERIVED_ID_SQL` computes the same in DuckDB for a whole manifest.
    """
    text = "\x1f".join(_as_text(row[name]) for name in CONTENT_COLUMNS)
    return numbered(f"row-{hashlib.sha256(text.encode()).hexdigest()[:20]}", nth)


def numbered(derived: str, nth: int) -> str:
    """The derived id of the `nth` row of those alike."""
    return derived if nth == 1 else f"{derived}-{nth}"


def _as_text(value: object) -> str:
    return "" if value is None else "=" + str(value).replace("None", "NULL") if isinstance(value, list) else f"={value}"


DERIVED_ID_SQL: Final = "'row-' || substr(sha256(concat_ws(chr(31), {})), 1, 20)".format(
    ", ".join(f"""coalesce('=' || CAST("{name}" AS VARCHAR), '')""" for name in CONTENT_COLUMNS)
)
