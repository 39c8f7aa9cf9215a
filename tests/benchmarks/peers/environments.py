"""A virtual environment for each peer, made by uv when it is first needed and kept in the user's cache folder."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

WITHIN_S = 600
QUIET = {  # no peer calls home, and none looks for the price list that it knows by heart
    "DO_NOT_TRACK": "1",
    "TELEMETRY_ENABLED": "false",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


class NotInstalledError(Exception):
    """The peer cannot be had on this machine; the message says why, in one line."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A project that does part of what cleanplate does, at one version."""

    name: str
    version: str
    driver: str  # a file in drivers/
    needs: tuple[str, ...] = ()  # what else must be there
    at_hand: bool = False  # in the environment that runs the benchmarks

    @property
    def requirements(self) -> tuple[str, ...]:
        """What is installed, pinned."""
        return () if self.at_hand else (f"{self.name}=={self.version}", *self.needs)

    def __str__(self) -> str:
        """As it stands in the tables."""
        return f"{self.name} {self.version}"


# Each is the newest version of 2026-11-29 that installs with Python 3.11 to 3.13 and without a GPU. Why each:
# resumes from a checkpoint with fsync, paces requests, stops at a cap; it brings no HTTP client
ABL = Peer(name="async-batch-llm", version="0.28.0", driver="abl.py", needs=("httpx==0.28.1",))
# resumes a data set from its cache, the most used of its kind
CURATOR = Peer(name="bespokelabs-curator", version="0.1.31", driver="curator_llm.py")
# the batch runner for images: shards, incremental runs, a reader of Parquet manifests
IMG2DATASET = Peer(name="img2dataset", version="1.47.0", driver="img2dataset_download.py")
# the router with a budget a provider
LITELLM = Peer(name="litellm", version="1.110.2", driver="litellm_router.py")
# batches over data frames with checkpoints and a budget
ONDINE = Peer(name="ondine", version="2.1.1", driver="ondine_pipeline.py")
# what cleanplate runs on, by itself: the version of our own lock
PREFECT = Peer(name="prefect", version=version("prefect"), driver="prefect_tasks.py", at_hand=True)


def cache_folder() -> Path:
    """Where the environments live; CLEANPLATE_BENCH_CACHE moves it."""
    chosen = os.environ.get("CLEANPLATE_BENCH_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else cache / "cleanplate-benchmarks"


def environment_folder(requirements: tuple[str, ...]) -> Path:
    """Other versions, or another Python, get another folder."""
    said = " ".join((sys.version.split()[0], *requirements))
    return cache_folder() / f"{requirements[0].replace('==', '-')}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def python_with(*requirements: str) -> Path:
    """The interpreter of an environment that has these; without any, our own. Raises NotInstalledError."""
    if not requirements:
        return Path(sys.executable)
    folder = environment_folder(requirements)
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"    installing {' '.join(requirements)} into {folder.name}", file=sys.stderr, flush=True)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), *requirements)
        ready.touch()
    return python


def _uv(*words: str) -> None:
    uv = Path(sys.executable).parent / "uv"
    try:
        ended = subprocess.run([uv, *words], capture_output=True, text=True, check=False, timeout=WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{type(error).__name__} from uv {words[0]}") from error
    if ended.returncode:
        raise NotInstalledError(" ".join(ended.stderr.split())[:200] or "no reason given")
