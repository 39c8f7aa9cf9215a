"""A run's knobs from what was typed: one message with every fault, in the words of the options."""

from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from flows.commands.exits import Leave
from tasks.config import CleanupConfig


def read_knobs(**knobs: Any) -> CleanupConfig:
    """The knobs, or exit code 2 with what is wrong with them."""
    try:
        return CleanupConfig(**knobs)
    except ValidationError as error:
        faults = (f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise Leave.usage("cannot run with these settings:\n" + "\n".join(faults)) from None


def read_money(text: str | None) -> Decimal | None:
    """An amount of US dollars; None when none was given."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise Leave.usage(f"--budget-usd is '{text}': write an amount such as 25 or 9.60") from None
