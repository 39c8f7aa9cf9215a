"""One figure after another of everyone who takes part, and the plot of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from tests.benchmarks.peers.environments import NotInstalledError
from tests.benchmarks.plots import Bars

LOG_FROM = 1000  # above it, what is small would not be seen beside it


class Compared(Protocol):
    """Its `str` is its name in tables and plots."""

    @property
    def ours(self) -> bool:
        """Whether it is us."""
        ...


Who = TypeVar("Who", bound=Compared)
Figures = TypeVar("Figures")


def measured(everyone: Iterable[Who], measure: Callable[[Who], Figures]) -> Iterator[tuple[Who, Figures]]:
    """One after the other; a peer that cannot be installed gets a line that says so, and is left out."""
    for who in everyone:
        try:
            figures = measure(who)
        except NotInstalledError as error:
            print(f"| {who}: not installed here: {error} |", flush=True)
        else:
            yield who, figures


def bars(title: str, unit: str, values: Mapping[Who, float]) -> Bars:
    """A plot of one figure of everyone; logarithmic when it would show nothing else."""
    shown = {str(who): value for who, value in values.items()}
    ours = [str(who) for who in values if who.ours]
    return Bars(title=title, unit=unit, values=shown, ours=ours, log=max(shown.values(), default=0) > LOG_FROM)
