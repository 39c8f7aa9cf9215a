"""What may be sent and what may be accepted: thresholds, each with its reason. `docs/quality.md` says how they were chosen."""

from pydantic import BaseModel, ConfigDict, Field


class PreflightSettings(BaseModel):
    """Thresholds of `tasks/preflight`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_image_bytes: int = Field(
        200_000_000,
        ge=1,
        description="Larger files are refused unread; a 100 MP picture of 16 bits as PNG stays below.",
    )
    max_image_pixels: int = Field(
        100_000_000, ge=1, description="Decoded, 100 MP are 300 MB a picture; only studio cameras make more."
    )
    min_side: int = Field(8, ge=1, description="Pixels. Shops answer with 1×1 tracking pixels for lost pictures.")
    max_mask_share: float = Field(
        0.6, gt=0, le=1, description="For object removal: with less than 40 % left, the product itself is redrawn."
    )
    min_mask_pixels: int = Field(
        9, ge=1, description="A mask of fewer pixels is dust from painting or lossy storage, not an object."
    )
    min_ground_spread: float = Field(
        1.0, ge=0, description="Levels of 255: a hole whose ground varies less, all around, holds nothing to remove."
    )
    invert_masks: bool = Field(False, description="Turn masks over in which white surrounds a small black hole.")
    inverted_share: float = Field(
        0.5, gt=0, lt=1, description="A mask is taken for inverted when white covers more than this and all corners."
    )
    mask_aspect_tolerance: float = Field(
        0.01,
        ge=0,
        description="A mask of another size is resized when width / height agree this closely: rounding only.",
    )
    context_share: float = Field(
        0.75,
        ge=0,
        description="Surroundings sent with a cropped hole, as a share of the hole's longer side, each side.",
    )
    context_px: int = Field(128, ge=0, description="At least this much, pixels: models guess badly from less.")
    min_scale: float = Field(
        0.25,
        gt=0,
        le=1,
        description="A part is shrunk to no less than this for a provider: below, the edit comes back soft.",
    )
    max_upscale: float = Field(4, ge=1, description="A small picture is enlarged by no more for a provider's minimum.")
    sent_jpeg_quality: int = Field(95, ge=50, le=100, description="For what must be encoded anew; loss does not show.")
    least_sent_quality: int = Field(
        80, ge=30, le=100, description="Under a byte limit, quality goes down to this first."
    )


class QualitySettings(BaseModel):
    """Thresholds of `tasks/quality`. Levels are of 255."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feather_px: float = Field(2.0, ge=0, le=32, description="Width of the blend at the seam, all inside the mask.")
    matte_px: float = Field(1.5, ge=0, le=16, description="Softness of a subject's edge before a new background.")
    match_colour: bool = Field(True, description="Bring drifted colours back to the surroundings.")
    size_aspect_tolerance: float = Field(
        0.02, ge=0, description="A result of another size is rescaled when width / height agree this closely …"
    )
    size_min_scale: float = Field(
        0.75, gt=0, le=1, description="… and it is at least this large; enlarged from less, the edit would be soft."
    )
    blank_std: float = Field(2.0, ge=0, description="A result whose levels vary less than this is blank.")
    min_similarity: float = Field(
        0.6, ge=-1, le=1, description="Correlation with the original outside the mask; placeholders stay below 0.4."
    )
    unchanged_p99: float = Field(
        4.0,
        ge=0,
        description="Smoothed, the most changed percent inside the mask differs by more than this and 1.5 times the outside.",
    )
    max_shift_px: float = Field(
        1.5, ge=0, description="Movement of the outside, pixels; a moved edit does not meet its surroundings."
    )
    max_outside_mean_delta: float = Field(
        16.0,
        ge=0,
        description="Mean difference outside the mask: the composite undoes it, but the edit has drifted too.",
    )
    max_seam: float = Field(24.0, ge=0, description="Mean extra step across the seam after the composite.")
    min_sharpness: float = Field(
        0.05,
        ge=0,
        description="Detail inside over detail around: one flat colour in a texture has 0.04, inpainting's smears 0.1.",
    )
