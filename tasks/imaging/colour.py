"""From the colour modes that files are stored in to RGB."""

import io

import cv2
import numpy as np
from PIL import Image, ImageCms


def to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """RGB or RGBA, and a note where the colours had to be converted."""
    if image.mode in {"CMYK", "LAB", "YCbCr"}:
        return _convert_colours(image)
    if image.mode in {"I", "I;16", "I;16B", "I;16L"}:
        wide = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return Image.fromarray(cv2.convertScaleAbs(wide, alpha=255 / 65535)).convert("RGB"), ()
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    transparent = "A" in image.mode or "a" in image.mode or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB"), ()


def _convert_colours(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """To sRGB through the embedded profile; by formula when there is none or it is damaged."""
    note = (f"{image.mode.lower()}_to_rgb",)
    profile = image.info.get("icc_profile")
    if profile:
        try:
            target = ImageCms.createProfile("sRGB")
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
        else:
            return converted or image.convert("RGB"), note
    if image.mode == "LAB":
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), target, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image.convert("RGB"), note
    return image.convert("RGB"), note
