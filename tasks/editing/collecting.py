"""From an accepted request to the finished picture's bytes: polling, callbacks, download. The job is paid, so patience is cheap."""

import asyncio
from collections.abc import Callable
from random import Random

from manifests.error_codes import ErrorCode
from tasks.config import ProviderSettings
from tasks.config.routing import RetrySettings
from tasks.credits import Ledger
from tasks.providers.base import Provider, Submission
from tasks.providers.errors import JobFailedError, ProviderError, TransientError
from tasks.retry_policy import Action, Phase, decide

Clock = Callable[[], float]


class Collector:
    """Fetches what one provider has made."""

    def __init__(
        self,
        provider: Provider,
        settings: ProviderSettings,
        retry: RetrySettings,
        ledger: Ledger,
        clock: Clock,
        is_down: Callable[[], bool],
    ) -> None:
        """`clock`: seconds since the epoch. `is_down`: whether the provider serves nobody now."""
        self._provider = provider
        self._settings = settings
        self._retry = retry
        self._ledger = ledger
        self._clock = clock
        self._is_down = is_down
        self._random = Random()  # noqa: S311 - spreads waits, guards nothing

    async def finish(self, submission: Submission) -> Submission:
        """Ask until the job has ended.

        Raises:
            ProviderError: it ended badly, or did not end by `poll_deadline_s` (PROVIDER_TIMEOUT; the job stays open).
        """
        deadline = self._clock() + self._settings.poll_deadline_s
        failures = 0
        wait_s = submission.poll_after_s or self._settings.poll_interval_s
        while submission.result is None:
            if submission.remote_id is None:
                raise ProviderError("accepted without a result or an id to ask for", code=ErrorCode.UNEXPECTED_ANSWER)
            if self._clock() >= deadline:
                message = f"the job {submission.remote_id} did not end within {self._settings.poll_deadline_s:g} s"
                raise TransientError(message, code=ErrorCode.PROVIDER_TIMEOUT, remote_id=submission.remote_id)
            await self._wait(submission.remote_id, min(wait_s, self._settings.poll_interval_s * 5))
            try:
                submission = await self._provider.poll(submission.remote_id)
                failures, wait_s = 0, self._settings.poll_interval_s
            except ProviderError as error:
                failures += 1
                wait_s = self._wait_after(error, failures, deadline)
        return submission

    async def download(self, submission: Submission) -> bytes:
        """The picture's bytes; passing errors are tried again, for a while at least: it is paid. While the provider is down for everybody, they do not count.

        Raises:
            JobFailedError: the picture is paid and cannot be had (DOWNLOAD_FAILED).
        """
        failures = counted = 0
        began = self._clock()
        deadline = began + self._settings.poll_deadline_s
        while True:
            try:
                return await self._provider.fetch_output(submission)
            except ProviderError as error:
                failures += 1
                counted += not self._is_down()
                try:
                    if counted >= self._retry.attempts and self._clock() - began >= self._retry.download_s:
                        raise
                    wait_s = self._wait_after(error, failures, deadline)
                except TransientError as last:
                    raise JobFailedError(
                        last.message, code=ErrorCode.DOWNLOAD_FAILED, remote_id=submission.remote_id
                    ) from last
                await asyncio.sleep(wait_s)

    def _wait_after(self, error: ProviderError, failures: int, deadline: float) -> float:
        decision = decide(
            error,
            attempt=failures,
            attempts_in_all=failures,
            elapsed_s=0,
            settings=self._retry,
            rng=self._random,
            phase=Phase.COLLECT,
            time_left_s=deadline - self._clock(),
        )
        if decision.action is not Action.AGAIN:
            raise error
        return decision.wait_s

    async def _wait(self, remote_id: str, wait_s: float) -> None:
        """Until the next poll is due, or a verified callback says that the job has ended."""
        ends = self._clock() + wait_s
        while (left_s := ends - self._clock()) > 0:
            await asyncio.sleep(min(left_s, 1.0))
            if left_s > 1.0 and await self._called_back(remote_id):
                return

    async def _called_back(self, remote_id: str) -> bool:
        return remote_id in await self._ledger.callbacks(self._provider.key, [remote_id])
