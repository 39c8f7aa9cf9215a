"""Requests that an earlier process sent and did not live to book: asked for again where the provider can be asked, never paid again."""

import logging

from manifests.error_codes import ErrorCode
from manifests.outcomes import Outcome, State
from tasks.credits import AttemptState, OpenAttempt
from tasks.editing.attempt import Account, Attempt
from tasks.editing.errors import RefusedResultError
from tasks.editing.finishing import Finisher
from tasks.editing.lane import Lane
from tasks.editing.runtime import Runtime
from tasks.editing.story import Story
from tasks.providers.base import Submission
from tasks.providers.errors import JobFailedError, ProviderError

log = logging.getLogger(__name__)


class Leftovers:
    """For one row."""

    def __init__(self, runtime: Runtime, finisher: Finisher, story: Story) -> None:
        self._runtime = runtime
        self._finisher = finisher
        self._story = story

    async def resume(self, content_key: str, *, look_again: bool = False) -> Outcome | None:
        """Take an earlier request for this content to its end; None: there is none, or it surely was not charged.

        `look_again`: at the ledger, for one whose process has died since the batch began.
        """
        if look_again:
            await self._runtime.recover([content_key])
        left = self._runtime.leftovers.pop(content_key, None)
        if left is None or left.send_again:
            return None
        lane = self._runtime.lanes.get(left.provider)
        if lane is None:
            return self._in_doubt(
                left, f"{left.provider} has a request for it under way, and this run does not use {left.provider}"
            )
        async with await self._runtime.ledger.resume(left.attempt_key) as reservation:
            account = Account(
                key=left.attempt_key,
                provider=left.provider,
                settings=lane.settings.provider,
                operation=self._finisher.operation,
                reservation=reservation,
            )
            submission = await self._ask(lane, left)
            if submission is None:
                can_tell = lane.provider.capabilities.findable
                await (account.free("the provider never took it") if can_tell else account.doubt(_note(left)))
                return None if can_tell else self._in_doubt(left, _note(left))
            attempt = Attempt(account=account, provider=lane.provider, submission=submission, alone=True)
            return await self._finish(lane, left, attempt)

    async def _ask(self, lane: Lane, left: OpenAttempt) -> Submission | None:
        """How the request stands, as far as the provider can tell."""
        can = lane.provider.capabilities
        if left.remote_id is not None and can.pollable:
            return Submission(remote_id=left.remote_id, poll_after_s=0.0)
        if left.state is not AttemptState.ACCEPTED and can.findable:
            return await lane.provider.find(left.attempt_key)
        return None

    async def _finish(self, lane: Lane, left: OpenAttempt, attempt: Attempt) -> Outcome | None:
        try:
            attempt.submission = await lane.collector.finish(attempt.submission)
            data = await lane.collector.download(attempt.submission)
            return await self._finisher.decoding_again(attempt, data)
        except RefusedResultError as refused:
            self._story.note(
                left.provider, JobFailedError(refused.message, code=refused.code), at=self._runtime.clock(), leave=True
            )
            return None
        except ProviderError as error:
            if error.code in {ErrorCode.PROVIDER_TIMEOUT, ErrorCode.DOWNLOAD_FAILED}:
                return self._story.end(
                    State.FAILED, error.code, error.message, provider=left.provider, remote_id=left.remote_id
                )
            self._story.paid(await attempt.account.book_failure(error))
            self._story.note(left.provider, error, at=self._runtime.clock(), leave=True)
            return None

    def _in_doubt(self, left: OpenAttempt, message: str) -> Outcome:
        return self._story.end(
            State.IN_DOUBT, ErrorCode.IN_DOUBT, message, provider=left.provider, remote_id=left.remote_id
        )


def _note(left: OpenAttempt) -> str:
    answered = "was accepted" if left.state is AttemptState.ACCEPTED else "may have left"
    return f"the request {answered} at {left.provider} before its process ended, and {left.provider} cannot be asked what became of it"
