"""What may be sent: is the row sound (`check_item`), and how does a provider get it (`fit_to_provider`). Pure CPU, no I/O."""

from tasks.preflight.check import check_item
from tasks.preflight.fit import fit_to_provider, unchanged
from tasks.preflight.values import Fitted, Preflight, Unfit

__all__ = ["Fitted", "Preflight", "Unfit", "check_item", "fit_to_provider", "unchanged"]
