"""How many requests may leave a provider's two endpoints at this moment: what `pack` spends."""

from dataclasses import dataclass
from math import ceil, inf

from tasks.routing.views import ProviderView

AT_ONCE_S = 0.001
"""Tickets due within this count as free now: the clock's grain. The ledger, not this, keeps the limit."""


@dataclass(kw_only=True, slots=True)
class Room:
    """Tickets of each endpoint and places in flight, counted down as `pack` gives them out."""

    view: ProviderView
    singles: float  # single requests that may start now
    batches: float  # batch requests that may start now
    places: float  # in flight, both endpoints together
    spare_places: float  # of them, those that batches will not need
    singles_taken: int = 0
    batches_taken: int = 0

    @classmethod
    def of(cls, view: ProviderView) -> "Room":
        """What is free now."""
        places = inf if view.max_in_flight is None else max(0, view.max_in_flight - view.in_flight)
        wanted = 0.0
        if view.batch is not None and view.max_in_flight is not None:
            wanted = min(view.batch.pace.per_second * view.batch.latency_s, view.max_in_flight)
        spare = places if view.max_in_flight is None else min(places, view.max_in_flight - ceil(wanted))
        return cls(
            view=view,
            singles=view.single.pace.startable(AT_ONCE_S),
            batches=view.batch.pace.startable(AT_ONCE_S) if view.batch else 0,
            places=places,
            spare_places=spare,
        )

    @property
    def any(self) -> bool:
        """Whether anything may start now."""
        return self.places > 0 and (self.singles > 0 or self.batches > 0)

    def take_batches(self, wanted: int) -> int:
        """As many as may start now, at most `wanted`."""
        taken = int(min(wanted, self.batches, self.places))
        self.batches -= taken
        self.places -= taken
        self.batches_taken += taken
        return taken

    def take_singles(self, wanted: int) -> int:
        """As many as may start now, at most `wanted`."""
        taken = int(min(wanted, self.singles, self.places))
        self.singles -= taken
        self.places -= taken
        self.spare_places -= taken
        self.singles_taken += taken
        return taken

    def take_spare_singles(self, wanted: int) -> int:
        """The same for rows that a batch could take later: only in places that batches, 50 rows each, will not need."""
        return self.take_singles(int(max(0, min(wanted, self.spare_places))))

    def next_ticket_in_s(self) -> float:
        """Seconds until one more request of either endpoint could start; inf where only a place in flight is missing."""
        if self.places <= 0:
            return inf
        due = [self.view.single.pace.start_in_s(self.singles_taken)]
        if self.view.batch is not None:
            due.append(self.view.batch.pace.start_in_s(self.batches_taken))
        late = [at for at in due if at > AT_ONCE_S]
        return min(late, default=inf)
