import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tasks.config.providers import LocalSettings
from tasks.imaging.picture import Pixels, Plane
from tasks.providers.errors import ProviderOffError
from tasks.providers.local.engines import Engine, load_engine
from tasks.providers.local.fill import fill_holes
from tasks.providers.local.patchmatch import _SeedGate
from tests.factories.pictures import hole, photo

PHOTO, HOLE = photo(1), hole()


def lama_file(path: Path, *, scale: float = 1.0, side: int | str = 64, image_channels: int = 3) -> Path:
    """A model of LaMa's signature that paints the hole with 1 minus the picture; outputs 0 to `scale`."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, image_channels, side, side])
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, side, side])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, image_channels, side, side])
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    top = helper.make_tensor("top", TensorProto.FLOAT, [], [scale])
    nodes = [
        helper.make_node("Sub", ["one", "image"], ["inverse"]),
        helper.make_node("Sub", ["one", "mask"], ["keep"]),
        helper.make_node("Mul", ["inverse", "mask"], ["inside"]),
        helper.make_node("Mul", ["image", "keep"], ["outside"]),
        helper.make_node("Add", ["inside", "outside"], ["sum"]),
        helper.make_node("Mul", ["sum", "top"], ["output"]),
    ]
    graph = helper.make_graph(nodes, "lama", [image, mask], [output], [one, top])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.fixture(params=["patchmatch", "telea", "ns", "lama-onnx"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    model = lama_file(tmp_path / "lama.onnx") if request.param == "lama-onnx" else None
    return load_engine(LocalSettings(engine=request.param, lama_model=model, long_side=96))


def test_every_engine_fills_the_hole_and_touches_nothing_else(engine: Engine) -> None:
    result = fill_holes(PHOTO, HOLE, engine)

    assert np.array_equal(result[HOLE == 0], PHOTO[HOLE == 0])
    assert np.abs(result.astype(int) - PHOTO)[HOLE > 0].mean() > 2


def test_every_engine_gives_the_same_bytes_again_also_in_threads(engine: Engine) -> None:
    once = fill_holes(PHOTO, HOLE, engine)

    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: fill_holes(PHOTO, HOLE, engine), range(6)))

    assert all(np.array_equal(once, other) for other in again)


@pytest.mark.parametrize("name", ["patchmatch", "telea", "ns"])
def test_an_object_on_an_even_ground_disappears(name: str) -> None:
    ground = np.random.default_rng(3).normal(150, 2, (160, 160, 3)).astype(np.uint8)
    scene, mask = ground.copy(), hole(160, 160, share=0.06)
    scene[hole(160, 160, share=0.04) > 0] = (200, 30, 30)

    result = fill_holes(scene, mask, load_engine(LocalSettings(engine=name)))  # type: ignore[arg-type]

    assert int(np.abs(result.astype(int) - 150).max()) < 20


@pytest.mark.parametrize(
    "mask", [np.zeros((40, 40), np.uint8), hole(40, 40, share=0.2, at=(0, 0)), hole(40, 40, share=0.9)]
)
def test_empty_cut_off_and_huge_holes_do_no_harm(mask: Plane, engine: Engine) -> None:
    picture = photo(2, 40, 40)

    result = fill_holes(picture, mask, engine)

    assert np.array_equal(result[mask == 0], picture[mask == 0])


def test_a_studio_backdrop_stays_as_smooth_as_it_was() -> None:
    down, across = np.linspace(0, -30, 200)[:, None, None], np.linspace(250, 190, 300)[None, :, None]
    backdrop = np.clip(down + across + np.random.default_rng(0).normal(0, 2, (200, 300, 3)), 0, 255).astype(np.uint8)
    scene, mask = backdrop.copy(), hole(300, 200, share=0.08)
    scene[hole(300, 200, share=0.05) > 0] = (40, 60, 140)

    result = fill_holes(scene, mask, load_engine(LocalSettings()))

    light, wanted = (cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 4) for pixels in (result, backdrop))
    grain, usual = (float(p[mask > 0].std()) for p in (result - light, backdrop - wanted))
    assert float(np.abs(light - wanted)[mask > 0].max()) < 2, "blotches show"
    assert 0.7 < grain / usual < 1.3, "smoothed over, or rough"


def test_far_apart_holes_do_not_see_each_other() -> None:
    left, right = hole(600, 100, share=0.01, at=(0.1, 0.5)), hole(600, 100, share=0.01, at=(0.9, 0.5))
    picture = photo(0, 600, 100)
    engine = load_engine(LocalSettings())

    together = fill_holes(picture, left | right, engine)

    assert np.array_equal(together[:, :300], fill_holes(picture, left, engine)[:, :300])
    assert np.array_equal(together[:, 300:], fill_holes(picture, right, engine)[:, 300:])


def test_a_large_crop_is_worked_on_within_the_cap() -> None:
    seen: list[tuple[int, ...]] = []

    def spy(pixels: Pixels, mask: Plane) -> Pixels:
        seen.append(pixels.shape[:2])
        return np.zeros_like(pixels)

    engine = Engine(name="spy", fill=spy, context_share=0.35, context_px=24, long_side=100)

    result = fill_holes(photo(0, 800, 600), hole(800, 600, share=0.2), engine)

    assert max(seen[0]) == 100
    assert not result[hole(800, 600, share=0.2) > 0].any()


def test_another_seed_is_another_fill() -> None:
    first, second = (fill_holes(PHOTO, HOLE, load_engine(LocalSettings(seed=seed))) for seed in (1, 2))

    assert not np.array_equal(first, second)


def test_two_seeds_at_once_do_not_mix() -> None:
    engines = [load_engine(LocalSettings(seed=seed)) for seed in (1, 2)]
    alone = [fill_holes(PHOTO, HOLE, engine) for engine in engines]

    with ThreadPoolExecutor(4) as pool:
        mixed = list(pool.map(lambda i: fill_holes(PHOTO, HOLE, engines[i % 2]), range(8)))

    assert all(np.array_equal(alone[i % 2], result) for i, result in enumerate(mixed))


def test_the_gate_lets_one_seed_in_at_a_time_and_equals_together() -> None:
    seeds: list[int] = []
    gate = _SeedGate(seeds.append)
    both_inside = threading.Barrier(2, timeout=10)

    def enter(seed: int, inside: Callable[[], object]) -> None:
        with gate(seed):
            assert seeds[-1] == seed
            inside()

    with ThreadPoolExecutor(3) as pool:
        together = [pool.submit(enter, 1, both_inside.wait) for _ in range(2)]
        other = pool.submit(enter, 2, lambda: None)
        for future in (*together, other):
            future.result(timeout=20)

    assert set(seeds) == {1, 2}


@pytest.mark.parametrize(("scale", "side"), [(1.0, 64), (255.0, 64), (1.0, "side")])
def test_lama_models_of_either_scale_and_open_size_are_understood(
    tmp_path: Path, scale: float, side: int | str
) -> None:
    model = lama_file(tmp_path / "m.onnx", scale=scale, side=side)
    engine = load_engine(LocalSettings(engine="lama-onnx", lama_model=model))
    plain = np.full((128, 192, 3), 55, np.uint8)

    result = fill_holes(plain, HOLE, engine)

    assert abs(float(result[hole(share=0.02) > 0].mean()) - 200) < 2


def test_a_lama_engine_without_a_usable_model_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    other = lama_file(tmp_path / "other.onnx", image_channels=4)
    for model, words in (
        (None, "CLEANPLATE_PROVIDERS__LOCAL__LAMA_MODEL"),
        (tmp_path / "absent.onnx", "there is no file"),
        (broken, "cannot be loaded"),
        (other, r"expected image\[1,3,512,512\]"),
    ):
        with pytest.raises(ProviderOffError, match=words):
            load_engine(LocalSettings(engine="lama-onnx", lama_model=model))
