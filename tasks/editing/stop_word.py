"""The word to stop, for processes that edit batches of a run elsewhere: said through the run folder, as signs of life are.

It is said to one start of a run; the next one under the same id does not hear it.
"""

from manifests.storage import join, locate, publish_bytes
from tasks.editing.planned_run import PlannedRun


def say_stop(plan: PlannedRun) -> None:
    """Whoever has batches of this start takes up nothing new."""
    publish_bytes(_uri(plan), b"", plan.folder.storage_options)


def stop_was_said(plan: PlannedRun) -> bool:
    """False also when the store does not answer now."""
    fs, path = locate(_uri(plan), plan.folder.storage_options)
    try:
        fs.cat_file(path)
    except OSError:
        return False
    return True


def _uri(plan: PlannedRun) -> str:
    return join(plan.folder.parts_uri, "stopped", plan.opening)
