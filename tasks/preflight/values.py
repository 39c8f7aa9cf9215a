"""What preflight answers: values, never exceptions."""

from dataclasses import dataclass, field

from manifests.error_codes import ErrorCode
from manifests.items import Item
from tasks.imaging.picture import Box, Mask, Picture, Pixels, Plane
from tasks.imaging.placement import Placement
from tasks.providers.base import Asset, EditRequest


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preflight:
    """A row that was looked at: accepted with its pictures, or rejected with the reason. Decoded once, here."""

    item: Item
    picture: Picture | None = None
    mask: Mask | None = None  # the picture's size
    reference: Picture | None = None
    image_bytes: bytes = field(default=b"", repr=False)
    mask_bytes: bytes | None = field(default=None, repr=False)
    reference_bytes: bytes | None = field(default=None, repr=False)
    repairs: tuple[str, ...] = ()  # what was put right; see docs/quality.md
    code: ErrorCode | None = None  # set: rejected
    reason: str | None = None  # one sentence for people

    @classmethod
    def rejected(cls, item: Item, code: ErrorCode, reason: str, repairs: tuple[str, ...] = ()) -> "Preflight":
        """Nothing is to be sent for this row."""
        return cls(item=item, code=code, reason=reason, repairs=repairs)

    @property
    def accepted(self) -> bool:
        """Whether the row may be sent."""
        return self.code is None

    @property
    def pixels_bytes(self) -> int:
        """How much memory the decoded files take."""
        pictures = [picture for picture in (self.picture, self.reference) if picture is not None]
        planes = [plane for picture in pictures for plane in (picture.pixels, picture.alpha, picture.deep)]
        return sum(p.nbytes for p in (*planes, self.mask.values if self.mask else None) if p is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfit:
    """This row cannot be brought within this provider's limits; another may take it."""

    code: ErrorCode
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fitted:
    """A row as one provider gets it, and where its answer belongs."""

    item: Item
    image: Asset
    mask: Asset | None
    reference: Asset | None
    points: tuple[tuple[int, int], ...]  # pixels of `image`
    box: Box | None  # pixels of `image`
    placement: Placement
    sent: Pixels = field(repr=False)  # `image` before it was encoded
    sent_mask: Plane | None = field(repr=False)  # `mask` before it was encoded
    repairs: tuple[str, ...]  # the row's, then those made for this provider

    def request(self, attempt_key: str, *, callback_url: str | None = None) -> EditRequest:
        """The edit, ready to be sent."""
        return EditRequest(
            attempt_key=attempt_key,
            item_id=self.item.item_id,
            operation=self.item.operation,
            image=self.image,
            mask=self.mask,
            points=self.points,
            labels=self.item.labels,
            box=self.box,
            object_name=self.item.object_name,
            reference=self.reference,
            prompt=self.item.prompt,
            callback_url=callback_url,
        )
