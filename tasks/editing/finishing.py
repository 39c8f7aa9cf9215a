"""From a provider's bytes to a delivered file: the gate, the composite, the store, and the booking that goes with them."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from manifests.error_codes import ErrorCode
from manifests.outcomes import Outcome
from tasks.credits import Delivery
from tasks.editing.attempt import Attempt
from tasks.editing.deliveries import reused_outcome
from tasks.editing.errors import RefusedResultError
from tasks.editing.runtime import LITTLE_PIXELS_BYTES, Runtime
from tasks.editing.story import Story
from tasks.editing.workpiece import Workpiece
from tasks.imaging.encode import Encoded
from tasks.preflight import Fitted, Preflight, Unfit, fit_to_provider, unchanged
from tasks.providers.base import Capabilities
from tasks.quality import Verdict, deliver, judge

Finish = Callable[[Attempt, bytes], Awaitable[Outcome]]
"""Takes an accepted attempt and the picture that the provider made to the row's outcome."""


class Finisher:
    """For one row."""

    def __init__(self, runtime: Runtime, piece: Workpiece, key: str, story: Story) -> None:
        self._runtime = runtime
        self._piece = piece
        self._key = key
        self._story = story
        self.operation = piece.item.operation
        self._best_refused: tuple[float, str, Encoded] | None = None

    def with_pixels(self, checked: Preflight, fitted: Fitted) -> Finish:
        """How to finish with pixels that are still at hand."""

        async def finish(attempt: Attempt, data: bytes) -> Outcome:
            return await self.finish(attempt, data, checked, fitted)

        return finish

    async def decoding_again(self, attempt: Attempt, data: bytes) -> Outcome:
        """Finish after a wait; where no pixels could be kept, they are decoded once more, and what was sent is worked out."""
        return await self._deliver(attempt, await self._judge_again(attempt, data))

    async def _judge_again(self, attempt: Attempt, data: bytes) -> "_Judged":
        """In a frame of its own: whoever stores and books holds no pixels meanwhile, and no place for decoding."""
        async with self._piece.pixels(finishing=True) as checked:
            fitted = await fitted_to(self._runtime, checked, attempt.provider.capabilities)
            assert not isinstance(fitted, Unfit)  # noqa: S101 - it was fitted before it was sent
            return await self._judge(attempt, data, checked, fitted)

    async def reused(self) -> Outcome | None:
        """What another row or process delivered for the same content meanwhile."""
        delivery = await self._runtime.deliveries.get(self._key)
        return None if delivery is None else reused_outcome(self._piece.item.item_id, delivery)

    async def keep_best_refused(self, outcome: Outcome) -> Outcome:
        """Store the best of the refused results for a person's look; it is never delivered as success."""
        if self._best_refused is None:
            return outcome
        _, provider, encoded = self._best_refused
        uri = self._runtime.plan.folder.refused_uri(f"{self._piece.item.item_id}.{provider}{encoded.suffix}")
        await self._runtime.storage.write(uri, encoded.data)
        return replace(outcome, error_message=f"{outcome.error_message} (kept for review: {uri})"[:1000])

    async def finish(self, attempt: Attempt, data: bytes, checked: Preflight, fitted: Fitted) -> Outcome:
        """Judge, store, book.

        Raises:
            RefusedResultError: the gate refused it; it is paid and booked.
            StorageError: it could not be stored; the attempt stays open, so that a retry can fetch it again.
        """
        return await self._deliver(attempt, await self._judge(attempt, data, checked, fitted))

    async def _judge(self, attempt: Attempt, data: bytes, checked: Preflight, fitted: Fitted) -> "_Judged":
        result = attempt.submission.result
        return await self._runtime.cpu(
            self._judge_and_encode,
            checked,
            fitted,
            data,
            nsfw=result.nsfw if result else None,
            trusted=attempt.provider.capabilities.local,
            little=checked.pixels_bytes <= LITTLE_PIXELS_BYTES,
        )

    async def _deliver(self, attempt: Attempt, judged: "_Judged") -> Outcome:
        price = attempt.account.price(attempt.submission.result)
        verdict, encoded = judged.verdict, judged.encoded
        if not verdict.accepted:
            self._remember(judged, attempt.provider.key)
            self._story.paid(price)
            await attempt.account.charge(price)
            raise RefusedResultError(
                verdict.code or ErrorCode.OUTPUT_POOR, verdict.reason or "refused by the quality gate"
            )
        assert encoded is not None  # noqa: S101 - what is accepted was composed
        self._piece.let_go()
        uri = self._runtime.plan.folder.image_uri(self._piece.item.item_id, encoded.suffix)
        await self._runtime.storage.write(uri, encoded.data)
        delivery = Delivery(
            content_key=self._key,
            output_uri=uri,
            sha256=judged.sha256,
            width=encoded.width,
            height=encoded.height,
            media_type=encoded.media_type,
            provider=attempt.provider.key,
            credits=price.credits,
            usd=price.usd,
            quality=verdict.metrics,
        )
        await attempt.account.charge(price, delivery)
        if attempt.account.reservation is None:
            await self._runtime.ledger.record_delivery(delivery)
        self._runtime.deliveries.made(self._key)
        self._story.paid(price)
        return self._story.succeeded(
            output_uri=uri,
            output_sha256=delivery.sha256,
            width=delivery.width,
            height=delivery.height,
            remote_id=attempt.submission.remote_id,
            quality=verdict.metrics,
            repairs=judged.repairs,
        )

    def _judge_and_encode(
        self, checked: Preflight, fitted: Fitted, data: bytes, *, nsfw: bool | None, trusted: bool
    ) -> "_Judged":
        """Pure CPU, one hand-over to the pool."""
        verdict = judge(checked, fitted, data, self._runtime.settings.quality, nsfw=nsfw, trusted=trusted)
        encoded = None
        if verdict.composed is not None:
            encoded = deliver(checked, verdict, self._runtime.plan.config.output_format)
        return _Judged(
            verdict=replace(verdict, composed=None),
            rank=verdict.rank,
            encoded=encoded,
            sha256=hashlib.sha256(encoded.data).hexdigest() if encoded else "",
            repairs=(*fitted.repairs, *verdict.repairs),
        )

    def _remember(self, judged: "_Judged", provider: str) -> None:
        if judged.encoded is not None and (self._best_refused is None or judged.rank > self._best_refused[0]):
            self._best_refused = (judged.rank, provider, judged.encoded)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """What the gate made of an answer, with nothing decoded in it."""

    verdict: Verdict
    rank: float  # among refused ones
    encoded: Encoded | None
    sha256: str  # of the file, hex
    repairs: tuple[str, ...]


async def fitted_to(runtime: Runtime, checked: Preflight, limits: Capabilities) -> Fitted | Unfit:
    """The row as a provider gets it. What goes as it is takes microseconds, less than a hand-over to the pool."""
    settings = runtime.settings.preflight
    if (as_it_is := unchanged(checked, limits, settings)) is not None:
        return as_it_is
    return await runtime.cpu(fit_to_provider, checked, limits, settings)
