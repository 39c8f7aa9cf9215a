"""The free provider: the same protocol as a vendor, in this process, on all cores.

It takes pictures as files like any vendor, and also as raw pixels (`tasks/imaging/pnm.py`), which is what preflight hands to
a provider that lists that media type; its results are raw pixels. Nothing is decoded or encoded twice on the way.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import ClassVar, Final

import cv2

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import LocalSettings
from tasks.imaging import pnm
from tasks.imaging.decode import decode_picture
from tasks.imaging.masks import decode_mask
from tasks.imaging.picture import PictureError, Pixels, Plane, Role
from tasks.imaging.transparency import on_white
from tasks.providers.base import Balance, Capabilities, EditRequest, EditResult, Offer, OnSent, Submission
from tasks.providers.errors import JobFailedError, ProviderError, RejectedItemError
from tasks.providers.local.background import replace_background
from tasks.providers.local.engines import Engine, load_engine
from tasks.providers.local.fill import fill_holes
from tasks.providers.local.selection import select_object, with_rim

_SELECTIONS: Final = (frozenset({"mask"}), frozenset({"points"}), frozenset({"box"}))

CAPABILITIES: Final = Capabilities(
    offers=(
        Offer(operation=Operation.OBJECT_REMOVAL, selectors=_SELECTIONS),
        # by mask alone: what points or a box single out is not sharp enough at the edge to cut a product out by
        Offer(operation=Operation.BACKGROUND_REPLACE, selectors=(frozenset({"mask", "reference"}),)),
    ),
    media_types=frozenset({"image/jpeg", "image/png", "image/webp", pnm.MEDIA_TYPE}),
    replayable=True,
    local=True,
)


class LocalProvider:
    """Object removal and background replacement without key, network or cost."""

    key: ClassVar[str] = "local"

    def __init__(self, settings: LocalSettings | None = None) -> None:
        """Raises ProviderOffError when the chosen engine cannot be loaded."""
        settings = settings or LocalSettings()
        self.capabilities = CAPABILITIES
        self._engine = load_engine(settings)
        self._pool = ThreadPoolExecutor(settings.workers or available_cores(), thread_name_prefix="local-engine")

    async def prepare(self, request: EditRequest) -> EditRequest:
        """Nothing to upload."""
        return request

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """Do it now, in a thread of the provider's own pool."""
        await on_sent()
        loop = asyncio.get_running_loop()
        output = await loop.run_in_executor(self._pool, edit, request, self._engine)
        return Submission(remote_id=None, result=EditResult(output=output, credits=Decimal(0), cost_usd=Decimal(0)))

    async def submit_batch(
        self, requests: Sequence[EditRequest], *, on_sent: OnSent
    ) -> list[Submission | ProviderError]:
        """All at once; there is no batch endpoint to save calls at."""
        await on_sent()

        async def sent() -> None: ...

        answers = await asyncio.gather(*(self.submit(r, on_sent=sent) for r in requests), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ProviderError):
                raise answer
        return [a for a in answers if isinstance(a, Submission | ProviderError)]

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:  # noqa: ARG002
        """Nothing is ever left under way."""
        raise JobFailedError("the local engine keeps no jobs", charged_usd=Decimal(0), remote_id=remote_id)

    async def find(self, attempt_key: str) -> Submission | None:  # noqa: ARG002
        """An edit that was cut off never happened."""
        return None

    async def fetch_output(self, submission: Submission) -> bytes:
        """The result's raw pixels."""
        if submission.result is None or submission.result.output is None:
            raise JobFailedError("the local engine gave no result", charged_usd=Decimal(0))
        return submission.result.output

    async def balance(self) -> Balance | None:
        """It has no account."""
        return None

    async def aclose(self) -> None:
        """Let the threads go; work not yet begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def available_cores() -> int:
    """Cores that this process may use, not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def edit(request: EditRequest, engine: Engine) -> bytes:
    """One edit, from request to raw pixels (`pnm`). Pure CPU.

    Raises:
        RejectedItemError: the files cannot be used, or points and box found no object.
        JobFailedError: the engine itself failed.
    """
    try:
        pixels = on_white(decode_picture(request.image.data))
        if request.operation is Operation.BACKGROUND_REPLACE:
            return pnm.write(replace_background(pixels, _background_mask(request, pixels), _reference(request)))
        return pnm.write(fill_holes(pixels, _removal_mask(request, pixels), engine))
    except PictureError as error:
        raise RejectedItemError(error.message, code=error.code) from error
    except (cv2.error, RuntimeError, ValueError, MemoryError) as error:
        raise JobFailedError(f"the local engine {engine.name} failed: {error}", charged_usd=Decimal(0)) from error


def _removal_mask(request: EditRequest, pixels: Pixels) -> Plane:
    if request.mask is not None:
        return _given_mask(request.mask.data, pixels)
    if not request.points and request.box is None:
        raise RejectedItemError("the local engine needs a mask, points or a box", code=ErrorCode.MASK_MISSING)
    selected = select_object(pixels, points=request.points, labels=request.labels, box=request.box)
    return with_rim(selected)


def _background_mask(request: EditRequest, pixels: Pixels) -> Plane:
    if request.mask is None:
        raise RejectedItemError("background-replace needs a mask of the background", code=ErrorCode.MASK_MISSING)
    return _given_mask(request.mask.data, pixels)


def _given_mask(data: bytes, pixels: Pixels) -> Plane:
    values = decode_mask(data).values
    if values.shape != pixels.shape[:2]:
        found, wanted = (f"{s[1]}×{s[0]}" for s in (values.shape, pixels.shape))
        raise RejectedItemError(f"the mask is {found}, the image {wanted}", code=ErrorCode.MASK_SIZE_MISMATCH)
    if values.all():
        raise RejectedItemError("the mask marks every pixel", code=ErrorCode.MASK_FULL)
    return values


def _reference(request: EditRequest) -> Pixels:
    if request.reference is None:
        raise RejectedItemError("background-replace needs a reference picture", code=ErrorCode.REFERENCE_MISSING)
    return on_white(decode_picture(request.reference.data, role=Role.REFERENCE))
