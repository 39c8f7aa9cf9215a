"""What must be there before a bulk run begins, and what keeps its shards waiting."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.shard_pool import ShardPool
from tasks.config import ConfigurationError
from tests.flows.shards import DEPLOYMENT, POOL

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.mark.parametrize("name", ["catalog-cleanup/nowhere", "nowhere"])
def test_a_missing_deployment_is_named_with_what_makes_it(client: SyncPrefectClient, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"no deployment {name}.*prefect.*deploy"):
        ShardPool.of(client, name)


def test_a_deployment_without_a_pool_is_refused(client: SyncPrefectClient) -> None:
    with pytest.raises(ConfigurationError, match="runs on no work pool"):
        ShardPool.of(client, "a-flow/without-a-pool")


def test_bulk_runs_need_a_server_that_workers_see(client: SyncPrefectClient) -> None:
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ConfigurationError, match="PREFECT_API_URL"):
        ShardPool.of(client, DEPLOYMENT)


def test_it_is_told_why_nobody_takes_a_shard(client: SyncPrefectClient) -> None:
    pool = ShardPool.of(client, DEPLOYMENT)

    assert "prefect worker start --pool" in str(pool.hindrance())

    client.send_worker_heartbeat(POOL, "a-worker", heartbeat_interval_seconds=30)

    assert pool.hindrance() is None
