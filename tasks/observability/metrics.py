"""Prometheus metrics of a run. Always counted, which costs next to nothing; shown only where the configuration asks for it."""

import contextlib
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server, write_to_textfile

from manifests import State
from tasks.config.operations import ObservabilitySettings

_LATENCY_S: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_WAITING_S: Final = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

log = logging.getLogger(__name__)


class Metrics:
    """Counters and gauges, each a method, so that no caller spells a label. Provider names and results are few; item ids are no labels."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """`registry`: another one for tests."""
        self.registry = registry or CollectorRegistry()
        self._attempts = Counter(
            "cleanplate_attempts",
            "Requests by how they ended.",
            ["provider", "endpoint", "result"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "cleanplate_request_seconds",
            "From request to answer, polling included.",
            ["provider", "endpoint"],
            buckets=_LATENCY_S,
            registry=self.registry,
        )
        self._rows = Counter(
            "cleanplate_rows", "Items by their outcome.", ["state", "error_code"], registry=self.registry
        )
        self._open = Gauge("cleanplate_rows_open", "Items of the run without an outcome.", registry=self.registry)
        self._usd = Counter("cleanplate_cost_usd", "US dollars charged.", ["provider"], registry=self.registry)
        self._credits = Counter(
            "cleanplate_credits", "Credits charged, in the provider's own unit.", ["provider"], registry=self.registry
        )
        self._waited = Histogram(
            "cleanplate_ticket_wait_seconds",
            "Waiting for the right to start a request.",
            ["provider"],
            buckets=_WAITING_S,
            registry=self.registry,
        )
        self._tickets = Counter(
            "cleanplate_tickets", "Rights to start a request that were granted.", ["provider"], registry=self.registry
        )
        self._in_flight = Gauge(
            "cleanplate_requests_in_flight", "Requests under way in this process.", ["provider"], registry=self.registry
        )
        self._parked = Gauge(
            "cleanplate_provider_parked", "1 while the account is parked.", ["provider"], registry=self.registry
        )

    def attempt(self, provider: str, result: str, *, endpoint: str = "single", seconds: float | None = None) -> None:
        """One request ended: `result` is `succeeded` or an error code; `seconds` from its start."""
        self._attempts.labels(provider, endpoint, result).inc()
        if seconds is not None:
            self._latency.labels(provider, endpoint).observe(seconds)

    def row(self, state: State, error_code: str | None = None, count: int = 1) -> None:
        """Items have their outcome."""
        self._rows.labels(state.value, error_code or "").inc(count)

    def open_rows(self, count: int) -> None:
        """How many items still have none."""
        self._open.set(count)

    def charged(self, provider: str, *, usd: Decimal = Decimal(0), credits: Decimal = Decimal(0)) -> None:
        """Money went. Prometheus knows floats only: the ledger's statement is exact, this is for graphs."""
        self._usd.labels(provider).inc(float(usd))
        self._credits.labels(provider).inc(float(credits))

    def ticket(self, provider: str, waited_s: float) -> None:
        """A request may start, after so long a wait."""
        self._tickets.labels(provider).inc()
        self._waited.labels(provider).observe(max(0.0, waited_s))

    @contextlib.contextmanager
    def in_flight(self, provider: str) -> Iterator[None]:
        """A request is under way inside."""
        with self._in_flight.labels(provider).track_inprogress():
            yield

    def parked(self, provider: str, *, parked: bool) -> None:
        """An account was parked, or opened again."""
        self._parked.labels(provider).set(parked)


METRICS: Final = Metrics()
"""This process's."""


@contextlib.contextmanager
def exposed(settings: ObservabilitySettings, metrics: Metrics = METRICS) -> Iterator[str | None]:
    """Show the metrics while the block lasts; yields the address to scrape, or None. What cannot be shown never stops a run."""
    address, server = None, None
    if settings.metrics_port is not None:
        try:
            server, _ = start_http_server(settings.metrics_port, settings.metrics_host, metrics.registry)
            address = f"http://{settings.metrics_host}:{server.server_port}/metrics"
            log.info("metrics at %s", address)
        except OSError as error:
            log.warning("no metrics at port %s: %s", settings.metrics_port, error.strerror)
    try:
        yield address
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
        _write(settings, metrics)


def _write(settings: ObservabilitySettings, metrics: Metrics) -> None:
    if settings.metrics_file is None:
        return
    try:
        settings.metrics_file.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(settings.metrics_file), metrics.registry)
    except OSError as error:
        log.warning("metrics_file %s cannot be written: %s", settings.metrics_file, error.strerror)
