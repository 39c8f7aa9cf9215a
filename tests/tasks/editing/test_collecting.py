"""A paid picture is asked for again and again; how long depends on whether others can be had from the same provider."""

import asyncio
from itertools import count
from typing import Any, cast

import pytest

from manifests.error_codes import ErrorCode
from tasks.config import ProviderSettings
from tasks.config.routing import RetrySettings
from tasks.credits import Ledger
from tasks.editing.collecting import Collector
from tasks.providers.base import Provider, Submission
from tasks.providers.errors import JobFailedError, TransientError

RETRY = RetrySettings(attempts=3, first_wait_s=1e-6, longest_wait_s=1e-6, download_s=60)


class Failing:
    """Serves nothing the first so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0

    async def fetch_output(self, _: Submission) -> bytes:
        """Of a provider."""
        self.asked += 1
        if self.asked <= self.failures:
            raise TransientError("HTTP 503", code=ErrorCode.DOWNLOAD_FAILED)
        return b"picture"


def download(provider: Failing, *, down: bool, clock: Any = lambda: 0.0) -> bytes:
    ledger = cast("Ledger", None)  # only polling asks it
    collector = Collector(
        cast("Provider", provider), ProviderSettings(poll_deadline_s=100), RETRY, ledger, clock, lambda: down
    )
    return asyncio.run(collector.download(Submission(remote_id="job")))


def seconds(step: int) -> Any:
    """A clock that goes on by `step` at each look."""
    ticks = count(0, step)
    return lambda: float(next(ticks))


def test_a_picture_that_alone_cannot_be_had_is_given_up_after_a_few_tries() -> None:
    provider = Failing(99)
    with pytest.raises(JobFailedError) as caught:
        download(provider, down=False, clock=seconds(61))

    assert caught.value.code == ErrorCode.DOWNLOAD_FAILED
    assert provider.asked <= RETRY.attempts


def test_it_is_not_given_up_before_its_time_for_it_is_paid() -> None:
    """However quickly the first tries fail: a store that restarts comes back within a minute."""
    assert download(Failing(20), down=False, clock=seconds(1)) == b"picture"


def test_while_the_provider_is_down_the_paid_picture_is_waited_for() -> None:
    """Else an outage would have every finished picture paid again elsewhere."""
    assert download(Failing(20), down=True) == b"picture"


def test_but_not_for_ever() -> None:
    """What comes out at the deadline is a paid job that failed, not one that was never paid."""
    with pytest.raises(JobFailedError):
        download(Failing(99), down=True, clock=seconds(10))
