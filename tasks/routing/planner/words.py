"""Amounts as people read them."""

from decimal import Decimal
from math import ceil


def dollars(amount: Decimal) -> str:
    """$1,234.50; more places only where they say something."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents:,}" if cents == amount else f"${amount.normalize():,f}"


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h: two units, the smaller rounded up."""
    whole = max(0, ceil(seconds - 1e-9))
    for size, unit, below, below_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            large, rest = divmod(ceil(whole / below) * below, size)
            return f"{large:,} {unit} {rest // below} {below_unit}" if rest else f"{large:,} {unit}"
    return f"{whole} s"
