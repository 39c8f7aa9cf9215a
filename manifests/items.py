"""One row of a manifest as a value: which picture, which mask, which edit."""

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What is asked of a provider for one item."""

    OBJECT_REMOVAL = "object-removal"
    BACKGROUND_REPLACE = "background-replace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One row of a manifest, its shape already checked; pixel coordinates are those of the picture as displayed.

    `mask_uri`, `points` (with `labels`), `box` and `object_name` are the four ways to say what is to go.
    For `background-replace` the mask marks the *subject's background* the same way: white = replace.
    """

    item_id: str
    image_uri: str
    operation: Operation = Operation.OBJECT_REMOVAL
    mask_uri: str | None = None
    points: tuple[tuple[int, int], ...] = ()  # (x, y), pixels
    labels: tuple[int, ...] = ()  # 1 = part of the object, 0 = not; as many as points, or none: all 1
    box: tuple[int, int, int, int] | None = None  # x1, y1, x2, y2, pixels, x2 and y2 exclusive
    object_name: str | None = None
    reference_uri: str | None = None  # the new background
    prompt: str | None = None
    provider: str | None = None  # pinned to this provider's key

    @property
    def selectors(self) -> frozenset[str]:
        """The ways in which this item says what is to go and what is to come: a subset of mask, points, box, text, reference, prompt."""
        given = {
            "mask": self.mask_uri is not None,
            "points": bool(self.points),
            "box": self.box is not None,
            "text": self.object_name is not None,
            "reference": self.reference_uri is not None,
            "prompt": self.prompt is not None,
        }
        return frozenset(name for name, present in given.items() if present)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRef:
    """Where a batch's rows stand, never the rows themselves: any worker can read its own.

    `row_group` and `offset` address the first row inside `file_uri`; `length` rows follow, all in that row group.
    """

    index: int  # 0, 1, 2 … over the whole manifest
    file_uri: str
    row_group: int
    offset: int  # rows, from the start of the row group
    length: int  # rows, at most the batch size
    first_row: int  # rows, from the start of the manifest


def batch_id(run_id: str, batch: BatchRef) -> str:
    """The same batch of the same run has the same id on every machine."""
    return f"{run_id}/{batch.index:06d}"
