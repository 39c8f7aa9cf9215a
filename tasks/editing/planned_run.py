"""A run as every worker sees it: small, picklable, without rows and without secrets."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from manifests.items import BatchRef
from manifests.reader import Manifest, open_manifest
from manifests.run_folder import RunFolder
from tasks.config import CleanupConfig


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """What `plan_batches` found out, and all that a worker needs to take a batch.

    `manifest_uri` differs from the config's on a retry: then it is the run's own results manifest.
    """

    run_id: str
    config: CleanupConfig
    manifest_uri: str
    folder_uri: str
    row_count: int
    retry: bool = False
    opening: str = field(
        default_factory=lambda: uuid.uuid4().hex
    )  # names this start of the run, among others of its id
    travelled = False  # to another process, where nothing but this run's own ledger will do

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, opened once a process."""
        return open_manifest(self.manifest_uri)

    @cached_property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.folder_uri)

    def batches(self) -> Iterator[BatchRef]:
        """Every batch of the run (of its shard, if it is one), in manifest order, one at a time."""
        return self.manifest.batches(self.numbers.start, self.numbers.stop)

    @property
    def numbers(self) -> range:
        """Which of the manifest's batches are meant."""
        stretch, count = self.config.stretch, self.manifest.batch_count
        return range(count) if stretch is None else stretch.batches(count)

    @property
    def joined(self) -> bool:
        """Whether another process opened the run: this one has a shard of it, or batches."""
        return self.travelled or self.config.shard is not None

    def __getstate__(self) -> dict[str, object]:
        """Open files stay behind when the run travels to another process."""
        kept = {name: value for name, value in self.__dict__.items() if name not in {"manifest", "folder"}}
        return {**kept, "travelled": True}
