"""LaMa (Suvorov et al., WACV 2022) from an ONNX file that the user supplies; cleanplate ships no weights.

The signature of the exports in use: `image` 1×3×S×S and `mask` 1×1×S×S, float32, 0 to 1, mask 1 = hole; the result is
1×3×S×S, either 0 to 1 or 0 to 255 according to who exported it, which is found out once by a trial.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tasks.imaging.picture import Pixels, Plane
from tasks.providers.errors import ProviderOffError

_SIDE: Final = 512  # where the model leaves its size open


@dataclass(frozen=True, kw_only=True, slots=True)
class LamaModel:
    """A loaded model. Sessions may be used by several threads at once."""

    session: Any = field(repr=False)
    image_input: str
    mask_input: str
    side: int  # pixels
    scale: float  # what its output is multiplied with to reach 0 to 255

    def fill(self, pixels: Pixels, mask: Plane) -> Pixels:
        """Fill a crop no larger than `side`; what the model's square has beyond it is the crop mirrored."""
        height, width = mask.shape
        if max(height, width) > self.side:
            raise ValueError(f"a crop of {width}×{height} is larger than the model's {self.side}")
        beyond = (0, self.side - height, 0, self.side - width)
        image = np.asarray(cv2.copyMakeBorder(pixels, *beyond, cv2.BORDER_REFLECT))
        hole = np.asarray(cv2.copyMakeBorder(mask, *beyond, cv2.BORDER_CONSTANT, value=0))
        result = _run(self.session, self.image_input, self.mask_input, image, hole) * self.scale
        return np.clip(np.rint(result[:height, :width]), 0, 255).astype(np.uint8)


def load(path: Path) -> LamaModel:
    """Load and try a model.

    Raises:
        ProviderOffError: no such file, no ONNX, or not of LaMa's signature.
    """
    if not path.is_file():
        raise ProviderOffError(f"lama_model: there is no file {path}")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ProviderOffError(f"lama_model: {path} cannot be loaded as ONNX: {str(error)[:200]}") from error
    image_input, mask_input, side = _signature(session, path)
    return LamaModel(
        session=session,
        image_input=image_input,
        mask_input=mask_input,
        side=side,
        scale=_output_scale(session, image_input, mask_input, side, path),
    )


def _signature(session: Any, path: Path) -> tuple[str, str, int]:
    by_channels = {(len(i.shape), i.shape[1]): i for i in session.get_inputs() if len(i.shape) == 4}
    image, mask = by_channels.get((4, 3)), by_channels.get((4, 1))
    if image is None or mask is None or len(session.get_inputs()) != 2:
        found = ", ".join(f"{i.name}{i.shape}" for i in session.get_inputs())
        raise ProviderOffError(f"lama_model: {path} takes {found}; expected image[1,3,512,512] and mask[1,1,512,512]")
    side = image.shape[2] if isinstance(image.shape[2], int) else _SIDE
    return image.name, mask.name, side


def _output_scale(session: Any, image_input: str, mask_input: str, side: int, path: Path) -> float:
    grey = np.full((side, side, 3), 128, np.uint8)
    hole = np.zeros((side, side), np.uint8)
    hole[side // 2 - 4 : side // 2 + 4, side // 2 - 4 : side // 2 + 4] = 255
    try:
        result = _run(session, image_input, mask_input, grey, hole)
    except Exception as error:
        raise ProviderOffError(f"lama_model: {path} fails on a trial picture: {str(error)[:200]}") from error
    if result.shape != (side, side, 3):
        raise ProviderOffError(f"lama_model: {path} gives {result.shape}; expected 1×3×{side}×{side}")
    return 255.0 if float(result.mean()) < 2 else 1.0


def _run(session: Any, image_input: str, mask_input: str, image: NDArray[Any], hole: NDArray[Any]) -> NDArray[Any]:
    feed = {
        image_input: np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32) / 255,
        mask_input: (hole[None, None] > 0).astype(np.float32),
    }
    result: NDArray[Any] = np.asarray(session.run(None, feed)[0])
    rgb: NDArray[Any] = result[0].transpose(1, 2, 0)
    return rgb
