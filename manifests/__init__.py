"""Facts at rest: what a manifest and a results manifest hold, and how they are read and written."""

from manifests.error_codes import ErrorCode
from manifests.items import BatchRef, Item, Operation, batch_id
from manifests.outcomes import Outcome, State

__all__ = ["BatchRef", "ErrorCode", "Item", "Operation", "Outcome", "State", "batch_id"]
