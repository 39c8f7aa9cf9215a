"""Dates in addresses and run ids: `s3://catalog/{scheduled:%Y-%m-%d}.parquet` is another file each night.

`{scheduled}` is the moment for which the run was scheduled, not the one at which it started: a run that waited for a worker over
midnight, or is taken up again after a crash, still means its own night.
"""

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tasks.config.limits import parse_duration_s

_PLACEHOLDER: Final = re.compile(
    r"\{scheduled(?P<shift>[+-][\d.]+[a-z]+)?(?:@(?P<zone>[A-Za-z0-9_+/-]+))?(?::(?P<format>[^{}]+))?\}"
)
_ATTEMPT: Final = re.compile(r"\{\s*scheduled[^{}]*\}?")
_DEFAULT_FORMAT: Final = "%Y-%m-%d"
EXPECTED: Final = "{scheduled:%Y-%m-%d}, {scheduled-1d:%Y-%m-%d} or {scheduled@Europe/Berlin:%Y-%m-%d}"


def expand_dates(text: str, scheduled: datetime) -> str:
    """Write the scheduled moment wherever `text` asks for it; anything else in braces stays as it is.

    Args:
        text: may hold `{scheduled}`, with a shift (`-1d`, `+2h`), a time zone (`@Europe/Berlin`; else UTC) and a `strftime` format.
        scheduled: when the run was to start; with a time zone.

    Raises:
        ValueError: a placeholder that cannot be read, an unknown time zone, or a moment without one.
    """
    if scheduled.tzinfo is None:
        raise ValueError("the scheduled moment needs a time zone")
    expanded = _PLACEHOLDER.sub(lambda found: _written(found, scheduled), text)
    if wrong := _ATTEMPT.search(expanded):
        raise ValueError(f"'{wrong[0]}' is no date: write it as {EXPECTED}")
    return expanded


def _written(found: re.Match[str], scheduled: datetime) -> str:
    try:
        zone = ZoneInfo(found["zone"] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{found[0]}': there is no time zone {found['zone']}; Europe/Berlin is one") from None
    shift = found["shift"] or "+0s"
    try:
        offset = timedelta(seconds=parse_duration_s(shift[1:]))
        moment = scheduled + offset if shift[0] == "+" else scheduled - offset
        return moment.astimezone(zone).strftime(found["format"] or _DEFAULT_FORMAT)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"'{found[0]}': {error}") from None
