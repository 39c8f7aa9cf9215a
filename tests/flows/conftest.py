"""One Prefect server for all tests of flows in a process, and the command as a user runs it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.editing.planned_run import PlannedRun
from tests.flows.shards import DEPLOYMENT, POOL, planned
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


@pytest.fixture(scope="session")
def with_shards(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """A client of that server, which has a work pool and a deployment for shards, and one without a pool."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        client = get_client(sync_client=True)
    with client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        flow, name = DEPLOYMENT.split("/")
        flow_id = client.create_flow_from_name(flow)
        client.create_deployment(flow_id=flow_id, name=name, work_pool_name=POOL)
        client.create_deployment(flow_id=flow_id, name="without-a-pool")
        yield client


@pytest.fixture
def client(with_shards: SyncPrefectClient, prefect_api: str) -> Iterator[SyncPrefectClient]:
    """The same, while this process's own Prefect knows the server too."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield with_shards


@pytest.fixture
def plan(tmp_path: Path) -> PlannedRun:
    """Of 120 rows, as the bulk run `big`."""
    return planned(tmp_path)
