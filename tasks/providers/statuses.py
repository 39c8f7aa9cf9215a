"""What an HTTP status and a vendor's words mean for the money: one place, for every adapter.

The question that decides is always: can this request have been charged? It depends on what was asked (`Purpose`), and for the
one charged request on where the refusal was made:

- 4xx: the vendor read the request and refused it. Not charged.
- 503, and 521/523/525/526 of a proxy that never reached its origin: refused before any work. Not charged.
- 500, 502, 504 and the rest: the request was being worked on when something broke. It may have been charged: in doubt.
  `uncharged_statuses` moves the line for a vendor that promises more.
- 2xx that fits no document: taken, so surely not to be sent again: in doubt, with an excerpt.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

from manifests.error_codes import ErrorCode
from tasks.config.providers import MessagePatterns, ProviderSettings
from tasks.providers.answers import Answer, amount, message_of, record
from tasks.providers.errors import (
    InDoubtError,
    OutOfCreditError,
    ProviderError,
    ProviderOffError,
    RateLimitedError,
    RejectedItemError,
    TransientError,
)
from tasks.providers.redact import Redactor

LONGEST_WAIT_S: Final = 86_400.0  # a vendor that asks for more than a day is answered with a day
_SEEN_CHARS: Final = 2_000  # of a message, for the patterns


class Purpose(Enum):
    """What a request is for; it decides what a failure means."""

    PREPARE = auto()  # before the charge: uploads
    SUBMIT = auto()  # the one charged request
    ASK = auto()  # about something accepted, or about the account: may be asked again at will


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """Reads refusals of one provider. `name` opens every message."""

    name: str
    settings: ProviderSettings
    redact: Redactor

    def error_for(self, answer: Answer, purpose: Purpose, *, now: datetime) -> ProviderError | None:
        """The error that an answer's status means; None when the status is 2xx."""
        if 200 <= answer.status < 300:
            return None
        words = message_of(answer.json())
        said = f"{self.name} answered HTTP {answer.status}: {self.redact.excerpt(words or answer.body)}"
        wait_s = retry_after_s(answer, now)
        error = self._spoken(words, said, wait_s, answer.status) or self._by_status(
            answer.status, said, wait_s, purpose
        )
        return as_answer_to_a_question(error) if purpose is Purpose.ASK else error

    def error_in_words(self, words: str, said: str, wait_s: float | None = None) -> ProviderError | None:
        """The error that a vendor's words mean, whatever the status; None when they are not known."""
        patterns: MessagePatterns = self.settings.messages
        kinds: list[tuple[list[str], ProviderError]] = [
            (patterns.out_of_credit, OutOfCreditError(said)),
            (patterns.wrong_key, ProviderOffError(said)),
            (patterns.too_many, RateLimitedError(said, retry_after_s=wait_s)),
            (patterns.rejected, RejectedItemError(said)),
        ]
        seen = words[:_SEEN_CHARS]
        return next((e for group, e in kinds if any(re.search(p, seen, re.IGNORECASE) for p in group)), None)

    def _spoken(self, words: str | None, said: str, wait_s: float | None, status: int) -> ProviderError | None:
        if words is None or status in (401, 402):
            return None
        error = self.error_in_words(words, said, wait_s)
        broken = status >= 500 and isinstance(error, RejectedItemError)  # "invalid file …" of a crash promises nothing
        return None if broken else error

    def unexpected(
        self, answer: Answer, missing: str, purpose: Purpose, *, remote_id: str | None = None
    ) -> ProviderError:
        """An answer with a good status that fits no document; `missing` names what was looked for."""
        message = f"{self.name}: {missing} in the answer: {self.redact.excerpt(answer.body)}"
        kind = InDoubtError if purpose is Purpose.SUBMIT else TransientError
        return kind(message, code=ErrorCode.UNEXPECTED_ANSWER, remote_id=remote_id)

    def _by_status(self, status: int, said: str, wait_s: float | None, purpose: Purpose) -> ProviderError:
        if status >= 500:
            return self._broken(status, said, wait_s, purpose)
        if status == 409:  # the same idempotency key is taken: an earlier request exists
            return InDoubtError(said) if purpose is Purpose.SUBMIT else TransientError(said)
        if status in (404, 405) or status < 400:
            return ProviderOffError(f"{said} (check base_url and model)", code=ErrorCode.PROVIDER_ERROR)
        refusals: dict[int, ProviderError] = {
            401: ProviderOffError(said),
            402: OutOfCreditError(said),
            403: ProviderOffError(said),
            408: TransientError(said),
            413: RejectedItemError(said, code=ErrorCode.IMAGE_TOO_LARGE),
            425: TransientError(said),
            429: RateLimitedError(said, retry_after_s=wait_s),
        }
        return refusals.get(status) or RejectedItemError(said)

    def _broken(self, status: int, said: str, wait_s: float | None, purpose: Purpose) -> ProviderError:
        if purpose is Purpose.SUBMIT and status not in self.settings.uncharged_statuses:
            return InDoubtError(said)
        if wait_s is not None:
            return RateLimitedError(said, retry_after_s=wait_s)
        return TransientError(said, code=ErrorCode.PROVIDER_UNAVAILABLE)


def as_answer_to_a_question(error: ProviderError) -> ProviderError:
    """No answer to a question may say that the item was refused or unpaid: that was settled when it was accepted."""
    if isinstance(error, ProviderOffError | RateLimitedError) and error.code is not ErrorCode.PROVIDER_ERROR:
        return error
    return TransientError(error.message, code=error.code, remote_id=error.remote_id)


def retry_after_s(answer: Answer, now: datetime) -> float | None:
    """How long to wait, seconds: from the header (seconds or a date) or from the body's `retry_after`; None when not said."""
    header = answer.headers.get("retry-after", "").strip()
    body = record(answer.json())
    stated = amount(header)
    if stated is None and header:
        stated = _until(header, now)
    if stated is None:
        stated = amount(body.get("retry_after"))
    if stated is None:
        stated = amount(record(body.get("error")).get("retry_after"))
    if stated is None:
        return None
    return min(max(float(stated), 0.0), LONGEST_WAIT_S)


def _until(header: str, now: datetime) -> Decimal | None:
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return amount((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
