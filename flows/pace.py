"""When something will be done, at the pace of the last minutes: the first ones, before all workers are at work, do not count for ever."""

from collections import deque
from typing import Final

_LOOKS: Final = 21  # as many as five minutes have, at one each 15 s


class Pace:
    """Of what only grows, such as rows done."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=_LOOKS)  # when (s), how many

    def left_s(self, now: float, done: int, total: int) -> float | None:
        """Seconds until `total`, having seen that `done` are done at `now`; None: nothing moves."""
        self._seen.append((now, done))
        then, before = self._seen[0]
        return (total - done) * (now - then) / (done - before) if done > before else None
