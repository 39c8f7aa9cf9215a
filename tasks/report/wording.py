"""Numbers, times and places as people read them."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

from manifests.storage import shown


def money(usd: Decimal | None) -> str:
    """`$1,204.50`; under a cent with as many places as it takes; `–` when unknown."""
    if usd is None:
        return "–"
    if usd and abs(usd) < Decimal("0.01"):
        return f"${usd.normalize():f}" if abs(usd) >= Decimal("0.0001") else "<$0.0001"
    return f"${usd.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def unit_price(usd: Decimal | None) -> str:
    """A price for one: four places where two would hide it."""
    if usd is None or not usd or abs(usd) >= 1:
        return money(usd)
    return (
        f"${usd.quantize(Decimal('0.0001'), ROUND_HALF_UP).normalize():f}"
        if usd != usd.quantize(Decimal("0.01"))
        else money(usd)
    )


def count(number: float | Decimal | None) -> str:
    """`12,480`; `–` when unknown."""
    if number is None:
        return "–"
    return f"{int(number):,}" if number == int(number) else f"{number:,.1f}"


def share(part: float, whole: float) -> str:
    """`94.8 %`; never rounds something to nothing, or not quite all to all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.0f} %" if percent == round(percent) else f"{percent:.1f} %"


def duration(seconds: float | None) -> str:
    """`0.4 s`, `5 s`, `18 min 20 s`, `2 h 05 min`, `3 d 4 h`; `–` when unknown."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def milliseconds(value: float | None) -> str:
    """A latency: `480 ms`, `1.4 s`, `2 min 05 s`."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else duration(value / 1000)


def moment(time: datetime | None) -> str:
    """`2 Nov 2026, 01:14 UTC`."""
    if time is None:
        return "–"
    utc = time.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def second(time: datetime) -> str:
    """`2 Nov 2026, 01:14:05 UTC`."""
    return f"{day(time)}, {clock(time)} UTC"


def sentence(name: str) -> str:
    """A column's name as a label: `Output sha256`."""
    spaced = name.replace("_", " ")
    return spaced[:1].upper() + spaced[1:]


def day(time: date) -> str:
    """`2 Nov 2026`; of a moment, its day in UTC."""
    of = time.astimezone(UTC) if isinstance(time, datetime) else time
    return f"{of.day} {of:%b %Y}"


def clock(time: datetime) -> str:
    """`01:14:05`, for an axis within a day."""
    return f"{time.astimezone(UTC):%H:%M:%S}"


def place(uri: str | None) -> str:
    """A URI as it may be shown: without credentials, query or fragment, where signatures live."""
    if not uri:
        return "–"
    try:
        return shown(uri)
    except ValueError:  # no address at all, such as "https://[x"
        return uri.partition("?")[0].rpartition("@")[2]


def suspicion(reason: str | None) -> str:
    """Why a picture should be looked at, in words; the reasons are those of `views/review_queue.sql`."""
    words = {
        "drift": "the provider's picture strayed outside the mask",
        "seam": "the mask's edge shows",
        "faint": "hardly changed inside the mask",
    }
    return words.get(reason or "", "nothing stands out")


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 item`, `2 items`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(text: str | None, limit: int = 64) -> str:
    """Long names keep head and tail, where they differ from each other."""
    if text is None:
        return ""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"
