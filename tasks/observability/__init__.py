"""What can be seen from outside while a run lasts: logs with stable keys and without secrets, and Prometheus metrics."""

from tasks.observability.logs import KEYS, configure_logging, log_context
from tasks.observability.metrics import METRICS, Metrics, exposed

__all__ = ["KEYS", "METRICS", "Metrics", "configure_logging", "exposed", "log_context"]
