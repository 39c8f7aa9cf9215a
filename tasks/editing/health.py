"""How one provider does in this process: what it has been sent, how long it takes, whether it fails. Feeds routing's view of it."""

from dataclasses import dataclass, replace
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config import ProviderSettings
from tasks.config.routing import RoutingSettings
from tasks.credits import Outlook
from tasks.providers.base import Capabilities
from tasks.routing import Breaker, Endpoint, EndpointView, Parked, ProviderView, StartLog, view_of

_SMOOTHING: Final = 0.1  # of the newest measurement: about the last ten count


@dataclass(slots=True)
class _Mean:
    value: float | None = None

    def add(self, measured: float) -> None:
        self.value = measured if self.value is None else self.value + _SMOOTHING * (measured - self.value)


class Health:
    """Belongs to one event loop. Times are seconds since the epoch."""

    def __init__(
        self, key: str, capabilities: Capabilities, settings: ProviderSettings, routing: RoutingSettings
    ) -> None:
        self._fresh = view_of(key, capabilities, settings, routing)
        megapixels = float(routing.typical_megapixels)
        self._logs = {
            Endpoint.SINGLE: StartLog(settings.rate_limits(), megapixels=megapixels),
            Endpoint.BATCH: StartLog(settings.batch_rate_limits(), megapixels=megapixels * capabilities.batch_size),
        }
        self._latency = {Endpoint.SINGLE: _Mean(), Endpoint.BATCH: _Mean()}
        self._failures = _Mean(0.0)
        self._hold_until = {Endpoint.SINGLE: 0.0, Endpoint.BATCH: 0.0}
        self._credits_left = self._fresh.credits_left
        self._in_flight_elsewhere = 0
        self.in_flight = 0
        self.parked: Parked | None = None
        self.last_success = 0.0
        self.breaker = Breaker(routing.breaker, cautious=not capabilities.local)

    def started(self, endpoint: Endpoint, now: float) -> None:
        """A request left."""
        self._logs[endpoint].started(now)
        self.in_flight += 1

    def ended(self, endpoint: Endpoint, *, took_s: float, failed: bool, now: float) -> None:
        """It came back."""
        self.in_flight -= 1
        self._failures.add(float(failed))
        if not failed:
            self.last_success = now
            self._latency[endpoint].add(took_s)

    def off(self, code: ErrorCode, message: str, until: float | None = None) -> None:
        """Not asked any more, or not before `until`."""
        self.parked = Parked(code=code, message=message, until=until)

    def look(self, outlook: Outlook) -> None:
        """Take over what the ledger knows of all processes."""
        self._hold_until[Endpoint(outlook.endpoint.value)] = outlook.next_start_at.timestamp()
        self._credits_left = outlook.credits_available
        self._in_flight_elsewhere = max(0, outlook.in_flight - self.in_flight)
        if outlook.parked_reason is not None:
            until = outlook.parked_until.timestamp() if outlook.parked_until else None
            self.off(ErrorCode.OUT_OF_CREDITS, outlook.parked_reason, until)
        elif self.parked is not None and self.parked.code is ErrorCode.OUT_OF_CREDITS:
            self.parked = None

    def view(self, now: float, *, waiting: int) -> ProviderView:
        """As routing sees it."""
        return replace(
            self._fresh,
            credits_left=self._credits_left,
            single=self._endpoint(Endpoint.SINGLE, self._fresh.single, now),
            batch=self._endpoint(Endpoint.BATCH, self._fresh.batch, now) if self._fresh.batch else None,
            in_flight=self.in_flight + self._in_flight_elsewhere,
            waiting=waiting,
            parked=self.parked,
            breaker=self.breaker.state(now),
            breaker_retry_at=self.breaker.retry_at(now),
            failure_share=self._failures.value or 0.0,
        )

    def _endpoint(self, endpoint: Endpoint, fresh: EndpointView, now: float) -> EndpointView:
        pace = self._logs[endpoint].pace(now, hold_until=self._hold_until[endpoint])
        return EndpointView(pace=pace, latency_s=self._latency[endpoint].value or fresh.latency_s)
