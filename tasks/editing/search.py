"""One row's search for a provider: route, send, fetch, judge, and again elsewhere, until it is delivered or nobody is left."""

import asyncio
import logging
from random import Random
from typing import Final

from manifests.error_codes import ErrorCode
from manifests.ids import attempt_key
from manifests.outcomes import Outcome, State
from tasks.credits import AttemptIntent, AttemptState, Refusal
from tasks.credits import Reason as Why
from tasks.editing.attempt import Attempt
from tasks.editing.errors import DeferredError, GaveUpError, RefusedResultError
from tasks.editing.finishing import Finish, Finisher, fitted_to
from tasks.editing.lane import Lane
from tasks.editing.leftovers import Leftovers
from tasks.editing.runtime import Runtime
from tasks.editing.story import Story
from tasks.editing.upstream import UpstreamPass
from tasks.editing.workpiece import Workpiece
from tasks.preflight import Preflight, Unfit
from tasks.providers.base import EditRequest
from tasks.providers.errors import InDoubtError, JobFailedError, ProviderError
from tasks.retry_policy import Action, decide
from tasks.routing import NoRoute, Work, route

log = logging.getLogger(__name__)

LOOK_ELSEWHERE_S: Final = 1.0  # between looks at work that another process has under way
TURNED_AWAY_S: Final = 0.05  # so that a row whose provider has just gone down does not spin


class ProviderSearch:
    """For one row and one content key."""

    def __init__(self, runtime: Runtime, piece: Workpiece, key: str, upstream: UpstreamPass) -> None:
        self._runtime = runtime
        self._piece = piece
        self._key = key
        self._upstream = upstream
        self._story = Story(piece.item, key, runtime.settings.retry)
        self._finisher = Finisher(runtime, piece, key, self._story)
        self._leftovers = Leftovers(runtime, self._finisher, self._story)
        self._used: dict[str, int] = {}  # by provider: attempt keys that stand for a request that may have been charged
        self._random = Random()  # noqa: S311 - spreads waits, guards nothing
        self._began = runtime.clock()

    async def outcome(self) -> Outcome:
        """The row's final fact."""
        await self._recall()
        resumed = await self._leftovers.resume(self._key)
        while resumed is None:
            self._runtime.switch.check()
            resumed = await self._step()
        return resumed

    async def _recall(self) -> None:
        """What was paid for this very content before and brought nothing is not paid for again at the same provider."""
        for past in await self._runtime.past_attempts.answer(self._key) or ():
            if past.state is AttemptState.RELEASED and past.remote_id is None:
                continue  # it was never taken, so its key may be used again
            self._used[past.provider] = self._used.get(past.provider, 0) + 1
            if past.state is AttemptState.SETTLED and self._runtime.plan.config.reuse:
                error = JobFailedError("paid before for this very content, and refused", code=ErrorCode.OUTPUT_POOR)
                self._story.note(past.provider, error, at=self._runtime.clock(), leave=True)

    async def _step(self) -> Outcome | None:
        """One provider's turn; None: go on."""
        async with self._piece.pixels() as checked:
            if not checked.accepted:
                code = checked.code or ErrorCode.INTERNAL_ERROR
                return self._story.end(State.REJECTED, code, checked.reason or code.advice, repairs=checked.repairs)
            work = self._work(checked)
            choice = self._choose(work)
            if isinstance(choice, Lane):
                limits = choice.provider.capabilities
                fitted = await fitted_to(self._runtime, checked, limits)
                if isinstance(fitted, Unfit):
                    self._note(choice, ProviderError(fitted.reason, code=fitted.code), leave=True)
                    return None
                callback_url = self._runtime.settings.callbacks.url_for(choice.provider.key)
                request = fitted.request(self._attempt_key(choice), callback_url=callback_url)
                if limits.local:  # no waiting there, so the pixels are kept for the gate
                    return await self._try(choice, work, request, self._finisher.with_pixels(checked, fitted))
                self._piece.keep(checked)
                del fitted  # this frame lives on while the row waits, and would hold the pixels with it
            del checked
        if isinstance(choice, NoRoute):
            return await self._nobody(choice)
        return await self._try(choice, work, request, self._finisher.decoding_again)

    def _work(self, checked: Preflight) -> Work:
        picture = checked.picture
        pixels = None if picture is None else picture.width * picture.height
        return Work.of(
            self._piece.item, pixels=pixels, size_bytes=self._piece.size_bytes, excluded=self._story.history.given_up
        )

    def _choose(self, work: Work) -> Lane | NoRoute:
        lanes = self._runtime.lanes
        views = [lane.view() for lane in lanes.values()]
        now = self._runtime.clock()
        course = self._runtime.course
        found = route(work, views, course.policy(views, now=now), now=now)
        self._runtime.decisions.note(found)
        if isinstance(found, NoRoute):
            return found
        course.taken(work, found.provider)
        return lanes[found.provider]

    def _attempt_key(self, lane: Lane) -> str:
        return attempt_key(self._key, lane.provider.key, self._used.get(lane.provider.key, 0) + 1)

    async def _try(self, lane: Lane, work: Work, request: EditRequest, finish: Finish) -> Outcome | None:
        """One request and all that comes of it; a row that comes back is to be routed anew."""
        outcome = await self._send(lane, work, request, finish)
        if outcome is None:
            self._runtime.course.returned(work, lane.provider.key)
        return outcome

    async def _send(self, lane: Lane, work: Work, request: EditRequest, finish: Finish) -> Outcome | None:
        """Send, and take the answer to its end; None: it did not work out, and what follows from that is noted."""
        price = lane.view().price(work.operation)
        intent = AttemptIntent(
            attempt_key=request.attempt_key,
            item_id=self._piece.item.item_id,
            content_key=self._key,
            credits=price.credits,
            usd=price.usd,
            megapixels=request.image.width * request.image.height / 1e6,
        )
        try:
            prepared = await self._runtime.switch.unless_stopped(lane.provider.prepare(request))
            self._upstream.leave()
            async with lane.attempt(work, prepared, intent) as attempt:
                self._story.sent(lane.provider.key)
                return await self._take(lane, attempt, finish)
        except RefusedResultError as refused:
            self._used[lane.provider.key] = self._used.get(lane.provider.key, 0) + 1
            self._note(lane, JobFailedError(refused.message, code=refused.code), leave=True)
        except GaveUpError as gave_up:
            self._note(lane, gave_up.error, leave=True, alone=False)
        except ProviderError as error:
            return await self._failed(lane, error)
        except Refusal as refusal:
            return await self._refused(lane, refusal)
        except DeferredError:
            await asyncio.sleep(TURNED_AWAY_S)
        return None

    async def _take(self, lane: Lane, attempt: Attempt, finish: Finish) -> Outcome:
        """From accepted to delivered. The job is paid, so it is left open rather than lost where it can be asked for again."""
        try:
            attempt.submission = await lane.collector.finish(attempt.submission)
            data = await lane.collector.download(attempt.submission)
        except ProviderError as error:
            late = error.code in {ErrorCode.PROVIDER_TIMEOUT, ErrorCode.DOWNLOAD_FAILED}
            if late and lane.provider.capabilities.pollable:
                remote_id = attempt.submission.remote_id
                return self._story.end(
                    State.FAILED, error.code, error.message, provider=lane.provider.key, remote_id=remote_id
                )
            self._story.paid(await attempt.account.book_failure(error))
            raise
        return await finish(attempt, data)

    async def _failed(self, lane: Lane, error: ProviderError) -> Outcome | None:
        provider = lane.provider.key
        if isinstance(error, InDoubtError) or type(error) is ProviderError:
            return self._story.end(
                State.IN_DOUBT, error.code, error.message, provider=provider, remote_id=error.remote_id
            )
        if isinstance(error, JobFailedError):  # it was taken, so its key stands for that job
            self._used[provider] = self._used.get(provider, 0) + 1
        history = self._story.history
        now = self._runtime.clock()
        decision = decide(
            error,
            attempt=history.attempts_at(provider) + 1,
            attempts_in_all=len(history.trials) + 1,
            elapsed_s=history.elapsed_s(now),
            settings=self._runtime.settings.retry,
            rng=self._random,
        )
        self._note(lane, error, leave=decision.action is Action.ELSEWHERE)
        if decision.action is Action.NO or self._story.poisonous:
            return self._story.end(State.FAILED, error.code, provider=provider)
        if decision.action is Action.AGAIN:
            await self._runtime.switch.unless_stopped(asyncio.sleep(decision.wait_s))
        return None

    async def _refused(self, lane: Lane, refusal: Refusal) -> Outcome | None:
        """The ledger said no: nothing was sent."""
        match refusal.reason:
            case Why.ALREADY_DELIVERED | Why.IN_FLIGHT_ELSEWHERE:
                resumed = await self._leftovers.resume(self._key)  # it may be this process that has taken it over
                if resumed is not None:
                    return resumed
                await self._runtime.switch.unless_stopped(asyncio.sleep(LOOK_ELSEWHERE_S))
                return await self._finisher.reused()
            case Why.IN_DOUBT:
                resumed = await self._leftovers.resume(self._key, look_again=True)
                return resumed or self._story.end(State.IN_DOUBT, ErrorCode.IN_DOUBT, provider=lane.provider.key)
            case Why.BUDGET_REACHED:
                self._note(lane, ProviderError(refusal.message, code=ErrorCode.BUDGET_REACHED), leave=True)
            case _:
                await lane.look_at_ledger()
                code = ErrorCode.DEADLINE_REACHED if refusal.reason is Why.DEADLINE else ErrorCode.OUT_OF_CREDITS
                if self._runtime.clock() - self._began > self._runtime.settings.retry.total_s:
                    return self._story.end(State.DEFERRED, code, refusal.message, provider=lane.provider.key)
                await asyncio.sleep(TURNED_AWAY_S)
        return None

    async def _nobody(self, none: NoRoute) -> Outcome | None:
        """Nobody takes it now: wait for a provider that is down, else that is the outcome (credits seldom come by themselves)."""
        now = self._runtime.clock()
        patience_s = self._began + self._runtime.settings.routing.patience_s - now
        down = none.reason is ErrorCode.PROVIDER_UNAVAILABLE
        if down and none.retry_at is not None and none.retry_at - now < patience_s:
            wait_s = none.retry_at - now
            if none.busy:  # a forecast: looked at again before long, and company for those that wait there
                wait_s = min(wait_s, self._runtime.settings.routing.lookahead_s / 2)
            else:
                self._upstream.leave()
            await self._runtime.switch.unless_stopped(asyncio.sleep(max(TURNED_AWAY_S, wait_s)))
            return None
        return await self._finisher.keep_best_refused(self._story.nobody(none))

    def _note(self, lane: Lane, error: ProviderError, *, leave: bool, alone: bool = True) -> None:
        serves_others = lane.health.last_success > self._began
        self._story.note(
            lane.provider.key, error, at=self._runtime.clock(), leave=leave, alone=alone, serves_others=serves_others
        )
