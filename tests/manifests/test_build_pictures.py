"""A manifest of folders and globs: every picture once, its mask by pattern, its id readable and stable."""

from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from manifests.build import BuildReport, build_from_pictures
from manifests.errors import ManifestError
from manifests.item_ids import fault_of
from manifests.patterns import Picture
from manifests.pictures import item_id_of
from manifests.schemas import MANIFEST_SCHEMA


def touch(root: Path, *names: str) -> str:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def built(report: BuildReport, root: Path | str) -> list[tuple[str, str | None]]:
    """Pictures and masks, relative to the root."""
    rows = pq.read_table(report.uri).to_pylist()
    return [
        (row["image_uri"].removeprefix(f"{root}/"), (row.get("mask_uri") or "").removeprefix(f"{root}/") or None)
        for row in rows
    ]


def test_masks_beside_their_pictures_are_matched_and_are_no_pictures_themselves(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "in",
        "a.jpg",
        "a_mask.png",
        "deep/er/B.JPEG",
        "deep/er/B_mask.png",
        "notes.txt",
        ".hidden.jpg",
        "__MACOSX/a.jpg",
    )

    report = build_from_pictures([root], str(tmp_path / "m.parquet"), mask="{stem}_mask.png")

    assert built(report, root) == [("a.jpg", "a_mask.png"), ("deep/er/B.JPEG", "deep/er/B_mask.png")]
    assert (report.rows, report.without_mask, report.other_files, report.duplicate_ids) == (2, 0, 1, 0)


def test_a_product_named_like_a_mask_is_a_picture(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "face_mask.png", "face_mask_mask.png")

    report = build_from_pictures([root], str(tmp_path / "m.parquet"), mask="{stem}_mask.png")

    assert built(report, root) == [("face_mask.png", "face_mask_mask.png")]


@pytest.mark.parametrize(
    ("pattern", "mask"),
    [
        ("masks/{stem}.png", "in/shoes/masks/a.png"),
        ("../masks/{stem}.png", "in/masks/a.png"),
        ("{parent}_masks/{name}", "in/shoes_masks/a.jpg"),
        ("ROOT/elsewhere/{folder}/{stem}-{ext}.png", "elsewhere/shoes/a-jpg.png"),
    ],
)
def test_masks_may_lie_elsewhere(tmp_path: Path, pattern: str, mask: str) -> None:
    root = touch(tmp_path, "in/shoes/a.jpg", mask)

    report = build_from_pictures([f"{root}/in"], f"{root}/m.parquet", mask=pattern.replace("ROOT", root))

    assert built(report, root) == [("in/shoes/a.jpg", mask)]


def test_pictures_without_their_mask_are_reported_and_left_out_or_kept(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.jpg", "a_mask.png", "b.jpg")

    left_out = build_from_pictures([root], str(tmp_path / "m.parquet"), mask="{stem}_mask.png")
    assert (built(left_out, root), left_out.left_out, left_out.examples) == (
        [("a.jpg", "a_mask.png")],
        1,
        (f"{root}/b.jpg",),
    )

    kept = build_from_pictures([root], str(tmp_path / "m.parquet"), mask="{stem}_mask.png", keep_unmatched=True)
    assert built(kept, root) == [("a.jpg", "a_mask.png"), ("b.jpg", None)]
    assert (kept.without_mask, kept.left_out) == (1, 0)


def test_a_reference_may_be_one_for_all(tmp_path: Path) -> None:
    root = touch(tmp_path, "in/a.jpg", "in/b.jpg", "studio.jpg")

    report = build_from_pictures(
        [f"{root}/in"],
        f"{root}/m.parquet",
        reference=f"{root}/studio.jpg",
        constants={"operation": "background-replace"},
    )

    rows = pq.read_table(report.uri).to_pylist()
    assert [(row["operation"], row["reference_uri"]) for row in rows] == [
        ("background-replace", f"{root}/studio.jpg")
    ] * 2


def test_globs_choose_pictures_and_still_find_masks_that_they_do_not_match(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "in",
        "x/front_1.jpg",
        "x/front_1_mask.png",
        "x/back_1.jpg",
        "y/front_2.jpg",
        "y/front_2_mask.png",
        "y/z/front_3.jpg",
    )

    one_level = build_from_pictures([f"{root}/*/front_*.jpg"], str(tmp_path / "m.parquet"), mask="{stem}_mask.png")
    assert built(one_level, root) == [("x/front_1.jpg", "x/front_1_mask.png"), ("y/front_2.jpg", "y/front_2_mask.png")]

    any_level = build_from_pictures([f"{root}/**/front_*.jpg"], str(tmp_path / "m.parquet"))
    assert [image for image, _ in built(any_level, root)] == ["x/front_1.jpg", "y/front_2.jpg", "y/z/front_3.jpg"]


def test_single_pictures_are_sources_too(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.jpg", "a_mask.png", "b.jpg")

    report = build_from_pictures([f"{root}/a.jpg"], str(tmp_path / "m.parquet"), mask="{stem}_mask.png")

    assert built(report, root) == [("a.jpg", "a_mask.png")]


def test_a_bucket_is_a_source_and_a_place_to_write_to(tmp_path: Path) -> None:
    root = f"memory:///{tmp_path.name}"
    for name in ("in/a.jpg", "in/a_mask.png"):
        with fsspec.open(f"{root}/{name}", "wb") as file:
            file.write(b"x")

    report = build_from_pictures([f"{root}/in"], f"{root}/m.parquet", mask="{stem}_mask.png")

    with fsspec.open(report.uri, "rb") as file:
        (row,) = pq.read_table(file).to_pylist()
    assert (row["image_uri"], row["mask_uri"]) == (f"{root}/in/a.jpg", f"{root}/in/a_mask.png")


def test_ids_are_readable_unique_and_safe(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        "shoes/a.jpg",
        "shoes/b.jpg",
        "shoes/b.png",
        "shoes__a.jpg",
        "sub/we#ird?.jpg",
        "con.jpg",
        "x" * 200 + ".jpg",
    ]
    root = touch(tmp_path / "in", *names)

    report = build_from_pictures([root], str(tmp_path / "m.parquet"))

    ids = {row["image_uri"].removeprefix(f"{root}/"): row["item_id"] for row in pq.read_table(report.uri).to_pylist()}
    assert (ids["a.jpg"], ids["shoes/a.jpg"]) == ("a", "shoes__a")
    assert len(set(ids.values())) == len(names)
    assert report.duplicate_ids == 0
    assert [fault_of(item_id) for item_id in ids.values()] == [None] * len(names)


def test_an_id_does_not_depend_on_where_the_folder_stands() -> None:
    here, there = (Picture(uri=f"{root}/shoes/a b#.jpg", root=root) for root in ("/home/me/in", "s3://bucket/in"))

    assert item_id_of(here) == item_id_of(there)


def test_the_manifest_explains_its_columns(tmp_path: Path) -> None:
    report = build_from_pictures(
        [touch(tmp_path / "in", "a.jpg")], str(tmp_path / "m.parquet"), constants={"prompt": "on marble"}
    )

    for field in pq.read_schema(report.uri):
        assert field.metadata[b"description"] == MANIFEST_SCHEMA.field(field.name).metadata[b"description"]


@pytest.mark.parametrize(
    ("files", "options", "complaint"),
    [
        (["notes.txt"], {}, r"holds no pictures .*; 1 other files"),
        (["a.jpg"], {"mask": "{stem}_mask.png"}, r"none of the 1 pictures has its mask .*in/a\.jpg"),
        (["a.png"], {"mask": "{stem}.png"}, "none of the 1 pictures has its mask"),
        (["a.jpg"], {"mask": "{sku}.png"}, r"the mask pattern '\{sku\}\.png': there is no \{sku\}; known are \{stem\}"),
        (["a.jpg"], {"mask": "{stem.__class__}.png"}, "there is no"),
        (["a.jpg"], {"mask": "{stem"}, "the mask pattern '{stem'"),
        (["a.jpg"], {"constants": {"operation": "remove"}}, "operation 'remove' is unknown"),
        (["a.jpg"], {"constants": {"sku": "1"}}, "'sku' cannot be set"),
        (["a.jpg"], {"constants": {"box": "[1, 2"}}, "box: JSON such as"),
    ],
)
def test_what_cannot_be_built_says_why_and_writes_nothing(
    tmp_path: Path, files: list[str], options: dict[str, object], complaint: str
) -> None:
    root = touch(tmp_path / "in", *files)

    with pytest.raises(ManifestError, match=complaint):
        build_from_pictures([root], str(tmp_path / "m.parquet"), **options)  # type: ignore[arg-type]  # each case its own

    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.jpg")

    with pytest.raises(ManifestError, match=r"a\.jpg/m\.parquet: cannot be written"):
        build_from_pictures([root], f"{root}/a.jpg/m.parquet")


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="nowhere: not found"):
        build_from_pictures([str(tmp_path / "nowhere")], str(tmp_path / "m.parquet"))
