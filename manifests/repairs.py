"""Every repair that a results manifest may name, and what was done: one list for reports and docs."""

from typing import Final

REPAIRS: Final[dict[str, str]] = {
    # Of the row, whoever edits it
    "mask_thresholded": "The mask had greys; those of 128 and more count as white.",
    "mask_levels_stretched": "The mask had two dark values, such as 0 and 1; the lighter one counts as white.",
    "mask_from_alpha": "The mask was painted on a transparent layer; its opaque part counts.",
    "mask_from_transparent_hole": "The mask was a photograph with a transparent hole; the hole counts.",
    "mask_from_transparency": "There was no mask; what is transparent in the picture is its background.",
    "mask_from_white_background": "There was no mask; the white that reaches the border is the background.",
    "mask_resized": "The mask had another size and the picture's shape; it was resized without smoothing.",
    "mask_rotated": "The mask was drawn on the photo before its EXIF rotation; it was turned with it.",
    "mask_inverted": "White surrounded a black hole; the mask was turned over, as `invert_masks` allows.",
    "box_clipped": "The box reached beyond the picture; it was cut off at the border.",
    "first_of_several_frames": "The JPEG holds a preview or gain map; the main picture was taken.",
    "cmyk_to_rgb": "Print colours were converted to sRGB through the embedded profile, or by formula.",
    "lab_to_rgb": "Lab colours were converted to sRGB.",
    "ycbcr_to_rgb": "YCbCr colours were converted to RGB.",
    # For the provider that edited it
    "sent_crop": "The hole was sent with its surroundings, and the answer put back into the full picture.",
    "sent_scaled": "It was sent at another size, for the provider's limits, and the answer put back at full size.",
    "sent_as_jpeg": "It was sent as JPEG, which the provider takes, or which fits its limit of bytes.",
    "sent_as_png": "It was sent as PNG: turned upright, without transparency, or in 8 bits.",
    "sent_as_webp": "It was sent as WebP, which the provider takes.",
    # Of the answer
    "output_rescaled": "The answer had another size and the same shape; it was brought to the size that was sent.",
}
