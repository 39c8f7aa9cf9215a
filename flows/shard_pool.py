"""Who works on shards: the deployment that they run as, its work pool, and whether anybody looks there for work."""

from typing import Final, Self

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from tasks.config import ConfigurationError

_DEPLOY: Final = "`prefect --no-prompt deploy --prefect-file deployments/prefect.yaml --name bulk-shard`"


class ShardPool:
    """A deployment that is there, and its work pool."""

    def __init__(self, client: SyncPrefectClient, *, deployment: str, pool: str) -> None:
        self._client = client
        self.deployment = deployment
        self.name = pool

    @classmethod
    def of(cls, client: SyncPrefectClient, deployment: str) -> Self:
        """To be asked before anything is written or spent.

        Raises:
            ConfigurationError: there is no server that workers see, no such deployment, or it runs on no work pool.
        """
        if get_current_settings().api.url is None:
            raise ConfigurationError("bulk-reprocess needs a Prefect server that its workers see: set PREFECT_API_URL")
        try:
            found = client.read_deployment_by_name(deployment)
        except (ObjectNotFound, ValueError):  # ValueError: a name without its flow's
            raise ConfigurationError(
                f"there is no deployment {deployment} for the shards: {_DEPLOY} makes it"
            ) from None
        if found.work_pool_name is None:
            raise ConfigurationError(f"deployment {deployment} runs on no work pool: {_DEPLOY} puts it on one")
        return cls(client, deployment=deployment, pool=found.work_pool_name)

    def hindrance(self) -> str | None:
        """Why nobody will take a shard, and what to do; None: somebody looks for work there."""
        pool = self._client.read_work_pool(self.name)
        if pool.is_paused:
            return f"work pool {self.name} is paused: `prefect work-pool resume {self.name}`"
        if pool.is_push_pool or pool.is_managed_pool:
            return None
        workers = self._client.read_workers_for_work_pool(self.name)
        if any(worker.status == WorkerStatus.ONLINE for worker in workers):
            return None
        return (
            f"no worker looks for work in pool {self.name}: `prefect worker start --pool {self.name}` on each machine"
        )
