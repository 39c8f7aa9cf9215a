"""The ways to fill a hole, and which of them the settings choose. An engine fills one crop; `fill.py` does the cropping."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np

from tasks.config.providers import LocalSettings
from tasks.imaging.picture import Pixels, Plane
from tasks.providers.errors import ProviderOffError
from tasks.providers.local import patchmatch

Fill: TypeAlias = Callable[[Pixels, Plane], Pixels]
"""RGB and mask of one crop → the same crop, its hole filled. What it does outside the hole is ignored."""

_RADIUS_PX: Final = 3
"""cv2.inpaint's neighbourhood; 10 was measured 15 times slower at 1080p and looked no better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A fill, and the surroundings it wants to see."""

    name: str
    fill: Fill
    context_share: float  # of the hole's shorter side, on each side
    context_px: int  # at least
    long_side: int | None = None  # crops longer than this are scaled down for it; None: any size
    square: bool = False  # the crop is made square, as far as the picture allows
    even_out: bool = False  # made of patches, so its light must be evened out on smooth ground


def _inpaint(method: int) -> Fill:
    def fill(pixels: Pixels, mask: Plane) -> Pixels:
        return np.asarray(cv2.inpaint(pixels, mask, _RADIUS_PX, method), dtype=np.uint8)

    return fill


def load_engine(settings: LocalSettings) -> Engine:
    """The engine that `settings.engine` names.

    Raises:
        ProviderOffError: lama-onnx without a usable model, or without onnxruntime.
    """
    match settings.engine:
        case "telea":
            return Engine(name="telea", fill=_inpaint(cv2.INPAINT_TELEA), context_share=0, context_px=8)
        case "ns":
            return Engine(name="ns", fill=_inpaint(cv2.INPAINT_NS), context_share=0, context_px=8)
        case "lama-onnx":
            return _lama(settings)
        case "patchmatch":
            # Margin and cap: chosen by eye among six photographs; the whole picture as source once put a face into a hole.
            fill = patchmatch.filler(seed=settings.seed)
            return Engine(
                name="patchmatch",
                fill=fill,
                context_share=0.35,
                context_px=24,
                long_side=settings.long_side,
                even_out=True,
            )


def _lama(settings: LocalSettings) -> Engine:
    from tasks.providers.local import lama  # noqa: PLC0415 - onnxruntime is an extra, and 100 ms to import

    if settings.lama_model is None:
        raise ProviderOffError(
            "engine lama-onnx needs a model: set CLEANPLATE_PROVIDERS__LOCAL__LAMA_MODEL to your ONNX file"
        )
    model = lama.load(settings.lama_model)
    return Engine(
        name="lama-onnx", fill=model.fill, context_share=1.0, context_px=64, long_side=model.side, square=True
    )
