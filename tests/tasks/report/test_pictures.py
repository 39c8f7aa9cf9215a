"""Whatever lies at an address: a thumbnail the right way up, or the reason why there is none, in bounded time."""

import io
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tasks.report.pictures import (
    PictureLimits,
    PictureUnavailableError,
    Thumbnail,
    mask_outline,
    prompt_outline,
    thumbnail,
    within,
)

LIMITS = PictureLimits(long_side=64)


def opened(made: Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(made.data))


def saved(folder: Path, name: str, picture: Image.Image, **options: object) -> str:
    picture.save(folder / name, **options)
    return str(folder / name)


def test_a_thumbnail_is_small_and_knows_the_size_of_its_source(tmp_path: Path) -> None:
    made = thumbnail(saved(tmp_path, "wide.jpg", Image.new("RGB", (400, 100), "teal")), LIMITS)

    assert (made.width, made.height) == opened(made).size == (64, 16)
    assert (made.source_width, made.source_height) == (400, 100)


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    picture = Image.new("RGB", (80, 40), "red")
    exif = picture.getexif()
    exif[0x0112] = 6
    made = thumbnail(saved(tmp_path, "lying.jpg", picture, exif=exif), LIMITS)

    assert opened(made).size == (32, 64)
    assert (made.source_width, made.source_height) == (40, 80)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "1", "I;16"])
def test_every_mode_of_picture_is_shown(tmp_path: Path, mode: str) -> None:
    picture = Image.new("L", (64, 64), 200).convert(mode) if mode != "I;16" else Image.new("I;16", (64, 64), 200 * 257)
    name = "picture.tif" if mode in ("CMYK", "I;16") else "picture.png"

    made = opened(thumbnail(saved(tmp_path, name, picture), LIMITS)).convert("RGB")

    assert made.getpixel((32, 32))[0] == pytest.approx(255 if mode == "1" else 200, abs=8)


def test_transparency_is_shown_on_white(tmp_path: Path) -> None:
    made = thumbnail(saved(tmp_path, "clear.png", Image.new("RGBA", (64, 64), (0, 0, 0, 0))), LIMITS)

    assert opened(made).convert("RGB").getpixel((5, 5)) == pytest.approx((255, 255, 255), abs=2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found"),
        (b"", "not a readable picture"),
        (b"<html>gone</html>", "not a readable picture"),
        (b"\xff\xd8\xff\xe0" + b"x" * 50, "not a readable picture"),
        (b"x" * 5000, "too large to show"),
    ],
)
def test_what_is_no_picture_says_so(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "file.jpg").write_bytes(content)

    assert thumbnail(str(tmp_path / "file.jpg"), replace(LIMITS, max_bytes=4000)).missing == reason


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    bomb = saved(tmp_path, "bomb.png", Image.new("1", (3000, 3000)))

    assert thumbnail(bomb, replace(LIMITS, max_pixels=1_000_000)).missing == "too large to show: 3000 × 3000"


@pytest.mark.parametrize(
    "uri",
    [
        "github://org:repo@main/a.jpg",
        "zip://a.jpg::file:///a.zip",
        "simplecache::s3://b/a.jpg",
        "ftp://h/a.jpg",
        "https://h/a.jpg",
    ],
)
def test_rows_cannot_make_us_reach_where_we_were_not_sent(uri: str) -> None:
    missing = thumbnail(uri, replace(LIMITS, web=False)).missing

    assert "not shown" in missing or "not fetched" in missing


def test_what_hangs_is_left_behind() -> None:
    forever = threading.Event()

    with pytest.raises(PictureUnavailableError, match="took too long"):
        within(0.01, forever.wait)
    forever.set()


def test_the_outline_of_a_mask_runs_around_its_white_part(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[20:60, 120:180] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)

    outline = mask_outline(str(tmp_path / "mask.png"), PictureLimits(long_side=200))

    assert outline is not None
    assert (outline.width, outline.height) == (200, 100)
    corners = {tuple(map(int, part.split())) for part in outline.path.strip("MZ").split("L")}
    assert corners == {(120, 20), (179, 20), (179, 59), (120, 59)}
    assert outline.centre_percent == 75


def test_boxes_and_points_have_an_outline_too() -> None:
    box = prompt_outline([10, 20, 30, 40], None, (100, 80))
    points = prompt_outline(None, [[50, 40]], (100, 80))

    assert box is not None
    assert box.path == "M10 20L30 20L30 40L10 40Z"
    assert points is not None
    assert "M48 40h4" in points.path
    assert prompt_outline(None, None, (100, 80)) is None
