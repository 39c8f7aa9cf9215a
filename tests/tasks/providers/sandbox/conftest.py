"""Sandboxes in processes of their own: started once a worker, told apart by keys and item names."""

import pytest

from tasks.providers.sandbox.config import ModelsLabConfig, SandboxConfig
from tasks.providers.sandbox.process import SandboxProcess


@pytest.fixture(scope="session")
def shared_process():
    with SandboxProcess(SandboxConfig(engine="quick")) as sandbox:
        yield sandbox


@pytest.fixture
def process(shared_process):
    """The worker's sandbox, without any fault."""
    yield shared_process
    shared_process.clear_faults()


@pytest.fixture(scope="session")
def slow_process():
    """Jobs take a moment here."""
    with SandboxProcess(SandboxConfig(engine="quick", modelslab=ModelsLabConfig(processing_s=0.05))) as sandbox:
        yield sandbox
