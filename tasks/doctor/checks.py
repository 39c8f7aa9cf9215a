"""What a check comes to, and the bounds that every check keeps."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands. WARN: a run will start, and something will not be as wished. FAIL: it will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding. `name` is stable: scripts look for it."""

    name: str
    status: Status
    what: str
    to_do: str = ""

    @classmethod
    def ok(cls, name: str, what: str) -> "Check":
        """All is well."""
        return cls(name=name, status=Status.OK, what=what)

    @classmethod
    def warn(cls, name: str, what: str, to_do: str) -> "Check":
        """It will run, but not as wished."""
        return cls(name=name, status=Status.WARN, what=what, to_do=to_do)

    @classmethod
    def fail(cls, name: str, what: str, to_do: str) -> "Check":
        """It will not work."""
        return cls(name=name, status=Status.FAIL, what=what, to_do=to_do)


async def bounded(name: str, check: Awaitable[list[Check]], patience_s: float) -> list[Check]:
    """The check's findings; a check that hangs or breaks is a finding too, never a traceback."""
    try:
        async with asyncio.timeout(patience_s):
            return await check
    except TimeoutError:
        return [
            Check.fail(
                name,
                f"no answer within {patience_s:g} s",
                "See whether it is up, and whether this machine may reach it.",
            )
        ]
    except Exception as error:  # noqa: BLE001 - a doctor must not die of the illness
        return [
            Check.fail(name, f"the check itself failed: {type(error).__name__}: {error}", "Report it, with this line.")
        ]
