import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.items import Item
from tasks.config.imaging import PreflightSettings
from tasks.editing.byte_budget import ByteBudget
from tasks.editing.places import Places
from tasks.editing.runtime import LITTLE_FILES_BYTES
from tasks.editing.sources import SourceFile, Sources
from tasks.editing.workpiece import Workpiece
from tests.factories.pictures import hole, jpeg, photo, png

PIXELS = 192 * 128 * 4  # three channels and the mask


class Machine(SimpleNamespace):
    """What a workpiece needs of a runtime; counts how often something was decoded."""

    def __init__(self, room: int) -> None:
        super().__init__(
            kept_pixels=ByteBudget(room),
            decoded=Places(1),
            settings=SimpleNamespace(preflight=PreflightSettings()),
            decodings=0,
        )

    async def cpu(self, work: Callable[..., Any], *args: Any, little: bool) -> Any:
        assert little == (len(jpeg(photo())) + len(png(hole())) <= LITTLE_FILES_BYTES)
        self.decodings += 1
        return work(*args)


def piece_on(machine: Machine) -> Workpiece:
    image = SourceFile(role="image", uri="i", data=jpeg(photo()))
    mask = SourceFile(role="mask", uri="m", data=png(hole()))
    return Workpiece(machine, Item(item_id="i", image_uri="i", mask_uri="m"), Sources(image=image, mask=mask))  # type: ignore[arg-type]  # a stand-in


async def look(piece: Workpiece, *, keep: bool = False) -> None:
    async with piece.pixels() as checked:
        assert checked.accepted
        assert checked.pixels_bytes == PIXELS
        if keep:
            piece.keep(checked)


@pytest.mark.parametrize(("room", "decodings"), [(PIXELS, 1), (PIXELS - 1, 2)])
def test_pixels_are_kept_while_there_is_room_and_decoded_again_otherwise(room: int, decodings: int) -> None:
    async def run() -> int:
        machine = Machine(room)
        piece = piece_on(machine)
        await look(piece, keep=True)
        await look(piece)
        piece.let_go()
        return int(machine.decodings)

    assert asyncio.run(run()) == decodings


def test_the_room_of_a_finished_row_serves_the_next() -> None:
    async def run() -> list[int]:
        machine = Machine(PIXELS)
        first, second = piece_on(machine), piece_on(machine)
        seen = []
        await look(first, keep=True)
        await look(second, keep=True)
        await look(second)
        seen.append(machine.decodings)
        first.let_go()
        first.let_go()
        await look(second, keep=True)
        await look(second)
        seen.append(machine.decodings)
        return seen

    assert asyncio.run(run()) == [3, 4]
