"""What the writer can do: one thing to the books, inside a transaction that it may share with others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.credits.books import Books, Needs


class Operation(Protocol):
    """One thing to be done. An exception undoes it wholly."""

    def needs(self, needs: Needs) -> None:
        """Add what `apply` will look at."""
        ...

    def apply(self, books: Books) -> Any:
        """Do it."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """An operation that is plain SQL, or touches what others need."""

    statements: Callable[[Books], Any]

    def needs(self, needs: Needs) -> None:
        """Nothing is loaded."""

    def apply(self, books: Books) -> Any:
        """Do it."""
        return self.statements(books)
