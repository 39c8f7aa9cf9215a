import resource
import subprocess
import sys

import pytest

from tasks.imaging.allocator import keep_freed_memory

FAULTS = """
import resource, sys
import numpy as np
from tasks.imaging.allocator import keep_freed_memory
kept = keep_freed_memory()
for _ in range(3):
    np.ones(6_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    a, b = np.ones(6_000_000, np.uint8), np.ones(6_000_000, np.uint8)
    del a, b
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_the_next_picture_gets_the_memory_of_the_last() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout.split()

    if told[0] == "False":
        pytest.skip("no glibc")
    assert int(told[1]) < 20 * 6_000_000 / resource.getpagesize() / 2


def test_a_users_own_tuning_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")

    assert keep_freed_memory() is False
