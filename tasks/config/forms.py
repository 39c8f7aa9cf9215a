"""How parameters look as a form in Prefect's interface."""

from typing import Any


def in_order(schema: dict[str, Any]) -> None:
    """Fields appear as they are written in the class: PostgreSQL would show them by the length of their names."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position
