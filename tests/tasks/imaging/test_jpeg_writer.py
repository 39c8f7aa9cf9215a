import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from tasks.imaging.decode import decode_picture
from tasks.imaging.jpeg_writer import write_jpeg
from tasks.imaging.picture import JpegFacts
from tests.factories.pictures import jpeg, photo


def _facts(data: bytes) -> JpegFacts:
    facts = decode_picture(data).source.jpeg
    assert facts is not None
    return facts


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [35, 90, 100])
def test_either_writer_compresses_as_the_source_was(quality: int, subsampling: int) -> None:
    """The usual tables go to the faster writer; the pixels that a reader sees are those of Pillow's file."""
    source = jpeg(photo(0), quality, subsampling=subsampling)

    written = write_jpeg(photo(1), _facts(source), None)

    assert _facts(written) == _facts(source)
    assert np.array_equal(
        decode_picture(written).pixels, decode_picture(jpeg(photo(1), quality, subsampling=subsampling)).pixels
    )


def test_tables_of_the_sources_own_are_written_again() -> None:
    tables = [[8 + i % 7 for i in range(64)], [11 + i % 5 for i in range(64)]]
    source = jpeg(photo(0), qtables=tables)

    assert _facts(write_jpeg(photo(1), _facts(source), None)).tables == _facts(source).tables


def test_grey_is_written_as_one_plane_and_progressive_as_progressive() -> None:
    grey = write_jpeg(photo(1)[..., 0], _facts(jpeg(photo(0)[..., 0], 80)), None)
    progressive = write_jpeg(photo(1), _facts(jpeg(photo(0), 80, progressive=True)), None)

    assert Image.open(io.BytesIO(grey)).mode == "L"
    assert _facts(progressive).progressive


@pytest.mark.parametrize("facts", [None, _facts(jpeg(photo(0), 80)), _facts(jpeg(photo(0), 80, progressive=True))])
def test_the_resolution_is_kept_by_either_writer(facts: JpegFacts | None) -> None:
    image = Image.open(io.BytesIO(write_jpeg(photo(1), facts, (300.0, 150.0))))

    assert image.info["dpi"] == (300, 150)
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
