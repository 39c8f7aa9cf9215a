"""Which catalog the deployments are for: read from the environment of `prefect deploy`, as a build step of deployments/prefect.yaml."""

import os
from decimal import Decimal, InvalidOperation
from typing import Any

from tasks.config.lists import as_list

PREFIX = "CLEANPLATE_CATALOG_"


def from_environment() -> dict[str, Any]:
    """`manifest`, `output`, `providers` (a list) and `budget_usd` (decimal text) of a night.

    Raises:
        ValueError: a place is missing, or a value cannot be used; the message names the variable.
    """
    budget = os.environ.get(f"{PREFIX}BUDGET_USD") or "50"
    try:
        sound = Decimal(budget) >= 0
    except InvalidOperation:
        sound = False
    if not sound:
        raise ValueError(f"{PREFIX}BUDGET_USD is '{budget}': US dollars are expected, such as 50")
    providers = as_list(os.environ.get(f"{PREFIX}PROVIDERS", "")) or ["local"]
    return {
        "manifest": _required("MANIFEST", "/srv/catalog/manifest.parquet"),
        "output": _required("OUTPUT", "/srv/catalog/clean"),
        "providers": providers,
        "budget_usd": budget,
    }


def _required(name: str, example: str) -> str:
    value = os.environ.get(f"{PREFIX}{name}", "")
    if not value:
        raise ValueError(f"{PREFIX}{name} must be set, such as {example}: see deployments/prefect.yaml")
    return value
