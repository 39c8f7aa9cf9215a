"""The file that a shop gets: the composed picture in the manner of its source."""

from tasks.imaging.encode import Encoded, OutputFormat, encode_picture
from tasks.preflight.values import Preflight
from tasks.quality.values import Verdict


def deliver(preflight: Preflight, verdict: Verdict, output_format: OutputFormat = "source") -> Encoded:
    """Encode what the verdict composed; also for a refused one that is kept aside for review.

    Raises:
        ValueError: the verdict composed nothing.
    """
    picture, composed = preflight.picture, verdict.composed
    if picture is None or composed is None:
        raise ValueError(f"{preflight.item.item_id}: there is nothing to deliver")
    return encode_picture(composed.pixels, picture, alpha=composed.alpha, output_format=output_format)
