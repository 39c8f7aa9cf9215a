"""What a run has to do, found out before anything is written or spent."""

from dataclasses import dataclass
from datetime import UTC, datetime

from manifests.errors import ManifestError, RunFolderError
from manifests.ids import new_run_id
from manifests.reader import Manifest, open_manifest
from manifests.run_folder import RunFolder
from tasks.config import CleanupConfig, Settings
from tasks.editing.planned_run import PlannedRun
from tasks.providers.keys import LoadSecret
from tasks.providers.registry import make_providers


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedRun:
    """A run with which nothing is wrong as a whole."""

    config: CleanupConfig  # with its run id
    folder: RunFolder
    manifest_uri: str
    manifest: Manifest


def check_run(
    config: CleanupConfig,
    settings: Settings,
    *,
    retry: bool = False,
    now: datetime | None = None,
    load_secret: LoadSecret | None = None,
) -> CheckedRun:
    """Find out what is wrong with a run as a whole, without writing anything.

    Raises:
        ManifestError: the manifest cannot be used, or the run id belongs to another manifest.
        ConfigurationError: a provider is unknown, off or has no key.
    """
    run_id = config.run_id or new_run_id(config.manifest, now or datetime.now(UTC))
    config = config.model_copy(update={"run_id": run_id})
    folder = RunFolder.under(config.to, run_id)
    source = folder.manifest_uri(config.manifest) if retry else config.manifest
    manifest = open_manifest(source)
    _same_manifest(folder, config)
    make_providers(config.providers, settings, load_secret=load_secret)
    return CheckedRun(config=config, folder=folder, manifest_uri=source, manifest=manifest)


def plan_run(
    config: CleanupConfig, settings: Settings, *, retry: bool = False, now: datetime | None = None
) -> PlannedRun:
    """Check the run, and leave its record in its folder. Raises what `check_run` raises."""
    run = check_run(config, settings, retry=retry, now=now)
    if run.config.shard is None:  # a shard belongs to a run whose record is there
        run.folder.write_config(run.config.model_dump(mode="json", exclude={"shard", "ends_at"}))
    return PlannedRun(
        run_id=run.folder.run_id,
        config=run.config,
        manifest_uri=run.manifest_uri,
        folder_uri=run.folder.uri,
        row_count=_row_count(run.config, run.manifest),
        retry=retry,
    )


def _row_count(config: CleanupConfig, manifest: Manifest) -> int:
    if config.stretch is None:
        return manifest.row_count
    numbers = config.stretch.batches(manifest.batch_count)
    return len(manifest.row_numbers(numbers.start, numbers.stop))


def _same_manifest(folder: RunFolder, config: CleanupConfig) -> None:
    try:
        earlier = folder.read_config()
    except RunFolderError:
        return  # nothing began here yet
    if earlier["manifest"] != config.manifest:
        raise ManifestError(
            f"run id '{config.run_id}' in {config.to} belongs to the manifest {earlier['manifest']}, not to {config.manifest}: "
            "name another --run-id"
        )
