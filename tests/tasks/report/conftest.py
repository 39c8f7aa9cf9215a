"""Photographs and a finished run, made once a worker."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.factories.run_folders import HOSTILE_NAMES, Picture, make_run, pictures
from tests.tasks.report.real_run import run_catalog


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Picture]:
    """A dozen photographs with masks and edits."""
    return pictures(tmp_path_factory.mktemp("catalog"), count=12, side=256)


@pytest.fixture(scope="session")
def finished_run(photographs: Sequence[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with every kind of outcome."""
    return make_run(tmp_path_factory.mktemp("finished"), photographs, rows=120)


@pytest.fixture(scope="session")
def hostile_run(photographs: Sequence[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose item ids try to break the page."""
    return make_run(tmp_path_factory.mktemp("hostile"), photographs, rows=24, run_id="hostile-1", names=HOSTILE_NAMES)


@pytest.fixture(scope="session")
def real_run(photographs: Sequence[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real driver leaves behind: three providers, broken rows, money."""
    return run_catalog(tmp_path_factory.mktemp("real"), photographs)


@pytest.fixture
def reviewable(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may decide about."""
    return Path(shutil.copytree(finished_run, tmp_path / finished_run.name))
