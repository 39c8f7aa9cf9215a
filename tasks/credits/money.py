"""Money and credits at rest: whole billionths, so that SQL adds them exactly. Everywhere else they are `Decimal`."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, overload

_NANO: Final = 10**9
_MOST: Final = 9_000_000_000  # whole units; above this a 64-bit integer of billionths overflows


@overload
def to_nano(amount: Decimal) -> int: ...
@overload
def to_nano(amount: None) -> None: ...
def to_nano(amount: Decimal | None) -> int | None:
    """Dollars or credits → billionths; what is finer is rounded half to even. ValueError when it is no sane amount."""
    if amount is None:
        return None
    if not amount.is_finite() or abs(amount) > _MOST:
        raise ValueError(f"{amount} is no amount of money or credits")
    return int((amount * _NANO).to_integral_value(ROUND_HALF_EVEN))


@overload
def from_nano(nano: int) -> Decimal: ...
@overload
def from_nano(nano: None) -> None: ...
def from_nano(nano: int | None) -> Decimal | None:
    """Billionths → dollars or credits, without trailing zeros: 480000000 → Decimal('0.48')."""
    if nano is None:
        return None
    whole, rest = divmod(nano, _NANO)
    if rest == 0:
        return Decimal(whole)
    return (Decimal(nano) / _NANO).normalize()
