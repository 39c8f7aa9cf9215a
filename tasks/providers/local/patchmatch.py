"""PatchMatch (Barnes et al., SIGGRAPH 2009) by PyPatchMatch, made safe for threads that want different seeds.

The library keeps its seed in one process-wide variable and starts every inpainting from it. Calls under one seed run side
by side (the native code frees the GIL); a call under another seed waits until they are done.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import patchmatch

from tasks.imaging.picture import Pixels, Plane

_PATCH_RADIUS_PX: Final = 3
"""Patches of 7 × 7; the library's default of 15 is many times slower and no better on photographs of this size."""


class _SeedGate:
    """Any number of callers at once, as long as they share a seed."""

    def __init__(self, set_seed: Callable[[int], None]) -> None:
        self._changed = threading.Condition()
        self._set_seed = set_seed
        self._seed: int | None = None
        self._inside = 0

    @contextmanager
    def __call__(self, seed: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0 or self._seed == seed)
            if self._seed != seed:
                self._set_seed(seed)
                self._seed = seed
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()


_seeded: Final = _SeedGate(patchmatch.set_random_seed)


def filler(*, seed: int) -> Callable[[Pixels, Plane], Pixels]:
    """A fill under this seed: the same crop gives the same bytes, in any thread."""

    def fill(pixels: Pixels, mask: Plane) -> Pixels:
        with _seeded(seed):
            filled = patchmatch.inpaint(pixels, mask, patch_size=_PATCH_RADIUS_PX)
        return np.asarray(filled, dtype=np.uint8)

    return fill
