"""Pictures with transparency, shown on white: what a shop's page, and a provider that ignores alpha, will see."""

import numpy as np

from tasks.imaging.picture import Picture, Pixels, Plane


def on_white(picture: Picture) -> Pixels:
    """The pixels as seen on a white page."""
    return picture.pixels if picture.alpha is None else blend_on_white(picture.pixels, picture.alpha)


def blend_on_white(pixels: Pixels, alpha: Plane) -> Pixels:
    """Alpha-blend over white, 8 bits, rounded."""
    weight = alpha[..., None].astype(np.uint16)
    return ((pixels * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)
