"""The configuration itself: can it be read, is every variable one of ours, and can others read the keys?"""

import difflib
import os
import stat
from pathlib import Path
from typing import Final

from tasks.config import ConfigurationError, Settings, load_settings
from tasks.doctor.checks import Check
from tasks.doctor.world import World

PREFIX: Final = "CLEANPLATE_"
OTHERS: Final = (
    "CONFIG",
    "TASK_RUNNER",
    "CATALOG_MANIFEST",
    "CATALOG_OUTPUT",
    "CATALOG_PROVIDERS",
    "CATALOG_BUDGET_USD",
)
"""Variables of ours that are no setting: which file to read, how flows run, what deployments/prefect.yaml asks for."""


def check_configuration(world: World) -> tuple[list[Check], Settings | None]:
    """The findings, and the settings when there are any."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [Check.fail("configuration", str(error), "Correct what is named, in the file or the environment.")], None
    named = os.environ.get(f"{PREFIX}CONFIG")
    file = Path(named or "cleanplate.toml")
    read = f"{file} and the environment" if file.is_file() else "the environment alone"
    found = [Check.ok("configuration", f"read from {read}"), *_variables(), *_readable_by_others(file, settings)]
    if file.is_file() and world.prefect.api_url and not (named and file.is_absolute()):
        found.append(
            Check.warn(
                "configuration file",
                f"{file} is found from this folder only, and a worker starts each run in an empty one",
                f"Set CLEANPLATE_CONFIG to its absolute path where the worker runs: {file.absolute()}",
            )
        )
    return found, settings


def _variables() -> list[Check]:
    """A misspelt top-level variable is silently nothing: the environment holds many that are not ours to refuse."""
    known = {*(name.upper() for name in Settings.model_fields), *OTHERS}
    found = []
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX)):
        first = variable.removeprefix(PREFIX).split("__")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            meant = (
                f"Did you mean {PREFIX}{near[0]}?"
                if near
                else "Take it out, or see tasks/config/settings.py for those that there are."
            )
            found.append(Check.warn("environment", f"{variable} is no variable of cleanplate: it has no effect", meant))
    return found


def _readable_by_others(file: Path, settings: Settings) -> list[Check]:
    candidates = [own.api_key_file for own in settings.providers.each().values() if own.api_key_file]
    candidates += [settings.alerts.url_file] if settings.alerts.url_file else []
    if file.is_file() and "api_key" in file.read_text(encoding="utf-8"):
        candidates.append(file)
    return [
        Check.warn("secrets", f"every user of this machine may read {path}, which holds a secret", f"chmod o-r {path}")
        for path in candidates
        if os.name == "posix" and path.is_file() and path.stat().st_mode & stat.S_IROTH and not _is_mounted(path)
    ]


def _is_mounted(path: Path) -> bool:
    """Container engines mount secrets readable for everyone inside, where nobody else is."""
    return path.absolute().as_posix().startswith(("/run/secrets/", "/var/run/secrets/"))
