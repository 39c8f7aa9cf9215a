"""Whether a budget in dollars can hold: providers whose price nobody has stated are warned of before they are used."""

from collections.abc import Sequence

from manifests.items import Operation
from tasks.config import ProviderSettings, Settings
from tasks.config.providers import LocalSettings


def price_warnings(providers: Sequence[str], settings: Settings) -> list[str]:
    """One sentence for each of these providers that costs money and has no price in US dollars, with the variable to set."""
    return [
        f"{key} has no price in US dollars: it counts as $0, and no dollar budget holds it; set {_variable(key, own)}."
        for key, own in ((key, settings.providers.of(key)) for key in providers)
        if _is_unpriced(own)
    ]


def _is_unpriced(own: ProviderSettings) -> bool:
    return not isinstance(own, LocalSettings) and all(own.cost_usd(operation) == 0 for operation in Operation)


def _variable(key: str, own: ProviderSettings) -> str:
    """The one that is missing: what a credit costs where its credits are known, else what an image costs."""
    return f"CLEANPLATE_PROVIDERS__{key.upper()}__USD_PER_{'CREDIT' if own.credits_per_image else 'IMAGE'}"
