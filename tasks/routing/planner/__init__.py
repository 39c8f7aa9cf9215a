"""The plan before spending: who does what, what it costs, when it ends. Optimal, not greedy."""

from tasks.routing.planner.classes import Tally, WorkClass
from tasks.routing.planner.plan import (
    Assignment,
    Conflict,
    FrontierPoint,
    MustGive,
    NotDone,
    Plan,
    ProviderPart,
)
from tasks.routing.planner.planner import make_plan
from tasks.routing.planner.words import dollars, duration

__all__ = [
    "Assignment",
    "Conflict",
    "FrontierPoint",
    "MustGive",
    "NotDone",
    "Plan",
    "ProviderPart",
    "Tally",
    "WorkClass",
    "dollars",
    "duration",
    "make_plan",
]
