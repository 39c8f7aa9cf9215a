"""Who answers for an attempt: a process, its heartbeat, and whether it still lives.

A process on this machine is asked for directly, so that a restart after `kill -9` need not wait; one elsewhere counts as
alive until its lease has run out.
"""

import os
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HEARTBEAT_S: Final = 5.0
LEASE_S: Final = 30.0


def _place() -> str:
    """This machine since it was booted, as seen from this container: what process ids are unique in."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _process(pid: int) -> str:
    """`pid:start`, unique on this machine since boot; `pid:` where the start cannot be told; "" for no living process."""
    if not Path("/proc/self/stat").exists():
        return f"{pid}:" if _answers(pid) else ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid}:{fields[18]}"


def _answers(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end it there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """One opened ledger."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    place: str = field(default_factory=_place)
    process: str = field(default_factory=lambda: _process(os.getpid()))


def is_alive(place: str, process: str, heartbeat_at: float, now: float) -> bool:
    """Whether that owner still answers for its attempts."""
    if place == _place():
        pid, _, start = process.partition(":")
        if _process(int(pid)) != process:
            return False
        if start:
            return True
    return now - heartbeat_at <= LEASE_S
