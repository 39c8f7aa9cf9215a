"""One of the equal stretches into which a bulk run cuts a manifest's batches."""

import re
from dataclasses import dataclass
from typing import Final, Self

_TEXT: Final = re.compile(r"(\d{1,5})/(\d{1,5})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """Stretch `number` of `of`, counted from 1; written 2/8."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError says what was expected."""
        found = _TEXT.fullmatch(text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"a shard is written number/of, such as 2/8, not '{text}'")
        return cls(number=int(found[1]), of=int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def batches(self, count: int) -> range:
        """Which of `count` batches are its own: all shards together have each batch once, and none has two more than another."""
        return range(count * (self.number - 1) // self.of, count * self.number // self.of)
