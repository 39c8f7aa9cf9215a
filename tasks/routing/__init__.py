"""Which provider takes a row now, or the reason why none may; what leaves now; and the plan of cost against time.

Pure decisions: nothing here does I/O, waits or spends; clocks are passed in.
"""

from tasks.routing.breaker import Admission, Breaker, BreakerState
from tasks.routing.course import Course
from tasks.routing.forecast import Forecast, Meter, forecast, rows_to_keep_open
from tasks.routing.obstacles import Obstacle
from tasks.routing.pace import Pace, StartLog, Window
from tasks.routing.packing import Packing, Send, Waiting, pack
from tasks.routing.policies import PolicyName, RoutingPolicy
from tasks.routing.route import NoRoute, Route, route
from tasks.routing.shares import Shares
from tasks.routing.views import EndpointView, Parked, ProviderView, view_of
from tasks.routing.work import Endpoint, Price, Work

__all__ = [
    "Admission",
    "Breaker",
    "BreakerState",
    "Course",
    "Endpoint",
    "EndpointView",
    "Forecast",
    "Meter",
    "NoRoute",
    "Obstacle",
    "Pace",
    "Packing",
    "Parked",
    "PolicyName",
    "Price",
    "ProviderView",
    "Route",
    "RoutingPolicy",
    "Send",
    "Shares",
    "StartLog",
    "Waiting",
    "Window",
    "Work",
    "forecast",
    "pack",
    "route",
    "rows_to_keep_open",
    "view_of",
]
