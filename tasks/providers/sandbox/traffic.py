"""What reached the server: counts by status, refusals, concurrency, and the busiest windows, measured on arrival."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from tasks.providers.sandbox.limits import Limit, SlidingWindow


def busiest(arrivals_s: "array[float]", period_s: float) -> int:
    """The most arrivals in any half-open window of that length."""
    ordered = sorted(arrivals_s)
    most = start = 0
    for end, arrived_s in enumerate(ordered):
        while arrived_s - ordered[start] >= period_s:
            start += 1
        most = max(most, end - start + 1)
    return most


@dataclass(slots=True)
class Lane:
    """The limited requests of one account at one endpoint."""

    window: SlidingWindow
    arrived_s: "array[float]" = field(default_factory=lambda: array("d"))
    admitted_s: "array[float]" = field(default_factory=lambda: array("d"))

    def admit(self, arrived_s: float) -> float | None:
        """None: admitted. Otherwise the seconds until a place is free."""
        self.arrived_s.append(arrived_s)
        wait_s = self.window.admit(arrived_s)
        if wait_s is None:
            self.admitted_s.append(arrived_s)
        return wait_s

    def report(self, limits: tuple[Limit, ...], *, arrivals: bool) -> dict[str, object]:
        """Counts, and the busiest window of each limit that is kept here, and of each that is asked for."""
        report: dict[str, object] = {
            "arrived": len(self.arrived_s),
            "admitted": len(self.admitted_s),
            "refused": len(self.arrived_s) - len(self.admitted_s),
            "windows": [
                {
                    "limit": str(limit),
                    "most_arrived": busiest(self.arrived_s, limit.period_s),
                    "most_admitted": busiest(self.admitted_s, limit.period_s),
                }
                for limit in (*self.window.limits, *limits)
            ],
        }
        return report | ({"arrived_s": self.arrived_s.tolist()} if arrivals else {})


@dataclass
class Traffic:
    """Everything counted, for `GET /_sandbox/requests`."""

    by_status: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (vendor, endpoint, status)
    under_way: Counter[str] = field(default_factory=Counter)  # by vendor
    most_under_way: Counter[str] = field(default_factory=Counter)
    keys_leaked: Counter[str] = field(default_factory=Counter)  # downloads that carried a key, by vendor
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)  # accepted and unfinished, by (vendor, account)
    most_jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    defects: int = 0  # requests that the sandbox itself failed on
    _lanes: dict[tuple[str, str, str], Lane] = field(default_factory=dict)

    def lane(self, vendor: str, endpoint: str, account: str, limits: tuple[Limit, ...]) -> Lane:
        """The lane of this account at this endpoint."""
        mark = (vendor, endpoint, account)
        if mark not in self._lanes:
            self._lanes[mark] = Lane(window=SlidingWindow(limits))
        return self._lanes[mark]

    def began(self, vendor: str) -> None:
        """A request is under way."""
        self.under_way[vendor] += 1
        self.most_under_way[vendor] = max(self.most_under_way[vendor], self.under_way[vendor])

    def ended(self, vendor: str, endpoint: str, status: str) -> None:
        """It was answered, or cut off: `status` is a number, `dropped` or `hung_up`."""
        self.under_way[vendor] -= 1
        self.by_status[vendor, endpoint, status] += 1

    def job_began(self, vendor: str, account: str) -> None:
        """A job was accepted."""
        self.jobs[vendor, account] += 1
        self.most_jobs[vendor, account] = max(self.most_jobs[vendor, account], self.jobs[vendor, account])

    def job_ended(self, vendor: str, account: str) -> None:
        """It was finished, one way or another."""
        self.jobs[vendor, account] -= 1

    def report(self, limits: tuple[Limit, ...] = (), *, arrivals: bool = False) -> dict[str, object]:
        """Counts by vendor and endpoint, and the lanes with their busiest windows, those of `limits` too.

        `arrivals` adds the time of every arrival in a lane, seconds on the server's own monotonic clock.
        """
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for (vendor, endpoint, status), number in sorted(self.by_status.items()):
            counts.setdefault(vendor, {}).setdefault(endpoint, {})[status] = number
        return {
            "requests": self.by_status.total(),
            "rate_limited": sum(n for (_, _, status), n in self.by_status.items() if status == "429"),
            "by_status": counts,
            "most_under_way": dict(self.most_under_way),
            "most_jobs": [
                {"vendor": vendor, "account": account, "jobs": number}
                for (vendor, account), number in self.most_jobs.items()
            ],
            "keys_leaked": dict(self.keys_leaked),
            "defects": self.defects,
            "lanes": [
                {"vendor": vendor, "endpoint": endpoint, "account": account} | lane.report(limits, arrivals=arrivals)
                for (vendor, endpoint, account), lane in self._lanes.items()
            ],
        }
