"""Exit codes as promised to scripts, and the one place where a user's mistake becomes a message.

0 every row succeeded or was reused · 1 unexpected error · 2 bad usage or an unreadable manifest ·
3 finished, with rows that did not succeed · 4 stopped by budget or credits.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from manifests.errors import ManifestError, RunFolderError
from tasks.config import ConfigurationError

USAGE = 2


class Leave(Exception):  # noqa: N818 - not an error of ours: a way out with a message
    """Leave with this code after saying this."""

    def __init__(self, message: str, code: int) -> None:
        """`message`: for people, no traceback follows."""
        super().__init__(message)
        self.code = code

    @classmethod
    def usage(cls, message: str) -> "Leave":
        """The user's mistake."""
        return cls(message, USAGE)


@contextmanager
def usage_errors(console: Console) -> Iterator[None]:
    """Turn the errors that a user can mend into one message and exit code 2."""
    try:
        yield
    except (ManifestError, RunFolderError, ConfigurationError) as error:
        _leave(console, str(error), USAGE)
    except Leave as error:
        _leave(console, str(error), error.code)


def _leave(console: Console, message: str, code: int) -> None:
    console.print(f"[red]cleanplate:[/red] {escape(message)}", highlight=False)
    raise typer.Exit(code)
