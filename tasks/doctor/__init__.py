"""Is this installation able to run? Each check is a value: what was found, and what to do about it."""

from tasks.doctor.checks import Check, Status
from tasks.doctor.diagnosis import diagnose
from tasks.doctor.world import PrefectServer, World

__all__ = ["Check", "PrefectServer", "Status", "World", "diagnose"]
