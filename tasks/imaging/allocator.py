"""What the C library does with freed pixels. By itself glibc gives them back to the system, and takes fresh pages for the next picture.

Measured for the pixels of one 1080p row on the main thread: 3,484 page faults and 71 ms of CPU as it is, none and 54 ms when freed
memory is kept. On virtual machines a fault is dear.
"""

import ctypes
import os
import sys
from typing import Final

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
_MB: Final = 1024 * 1024
_KEPT: Final = (
    (_M_MMAP_THRESHOLD, 32 * _MB),  # the most that glibc takes; larger arrays, of 11 MP and more, still go back at once
    (_M_TRIM_THRESHOLD, 128 * _MB),  # a thread that has freed more than this gives it back
    (_M_TOP_PAD, 16 * _MB),  # what is asked for beyond the need, so that it is asked seldom
)


def keep_freed_memory() -> bool:
    """Keep some memory for the next picture, for this whole process. False: another C library, or the user has tuned it by `MALLOC_…`."""
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in _KEPT)
