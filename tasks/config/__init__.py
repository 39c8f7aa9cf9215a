"""Run knobs (`CleanupConfig`) and the installation's settings (`Settings`)."""

from tasks.config.cleanup import BATCH_SIZE, MOST_BATCHES_IN_FLIGHT, CleanupConfig
from tasks.config.limits import LimitUnit, RateLimit, parse_duration_s
from tasks.config.providers import ProviderSettings, ProvidersSettings
from tasks.config.routing import BreakerSettings, RetrySettings, RoutingSettings
from tasks.config.settings import ConfigurationError, Settings, load_settings

__all__ = [
    "BATCH_SIZE",
    "MOST_BATCHES_IN_FLIGHT",
    "BreakerSettings",
    "CleanupConfig",
    "ConfigurationError",
    "LimitUnit",
    "ProviderSettings",
    "ProvidersSettings",
    "RateLimit",
    "RetrySettings",
    "RoutingSettings",
    "Settings",
    "load_settings",
    "parse_duration_s",
]
