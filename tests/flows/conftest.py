"""One Prefect server for all tests of flows in a process, and the command as a user runs it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services import clean_environment, command, prefect_server


@dataclass(frozen=True)
class Cleanplate:
    """Runs `cleanplate` in a user's environment."""

    home: Path
    environment: dict[str, str]

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """Under way, leading a process group of its own."""
        return subprocess.Popen(
            [command("cleanplate"), *arguments],
            env={**self.environment, **more},
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """To its end."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=150)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture
def cleanplate(prefect_api: str, tmp_path: Path) -> Cleanplate:
    """The command, against that server, in an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    return Cleanplate(home, clean_environment(home, PREFECT_API_URL=prefect_api))
