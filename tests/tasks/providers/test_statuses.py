import json

import pytest

from tasks.config import ConfigurationError, load_settings
from tasks.providers.answers import Answer
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
from tasks.providers.statuses import Interpreter, Purpose
from tests.tasks.providers.factories import NOW, settings_for


def read(
    status: int,
    words: str = "no",
    purpose: Purpose = Purpose.SUBMIT,
    headers: dict[str, str] | None = None,
    **own: object,
) -> ProviderError | None:
    settings = settings_for("maskr", **own).providers.maskr
    interpreter = Interpreter(name="maskr", settings=settings, redact=Redactor())
    answer = Answer(status=status, headers=headers or {}, body=json.dumps({"message": words}).encode())
    return interpreter.error_for(answer, purpose, now=NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_good_status_is_no_error(status: int) -> None:
    assert read(status) is None


def test_an_upload_that_broke_down_was_never_charged() -> None:
    for status in (409, 500, 502, 504):
        assert type(read(status, purpose=Purpose.PREPARE)) is TransientError


def test_which_breakdowns_are_free_is_a_setting() -> None:
    assert isinstance(read(500), InDoubtError)
    assert type(read(500, uncharged_statuses=[500, 503])) is TransientError
    assert isinstance(read(503, uncharged_statuses=[]), InDoubtError)


def test_a_breakdown_that_says_when_to_come_back_asks_the_whole_account_to_wait() -> None:
    error = read(503, headers={"retry-after": "12"})

    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 12


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("Insufficient credits", OutOfCreditError),
        ("INSUFFICIENT_CREDIT: top up", OutOfCreditError),
        ("You do not have enough credits: not enough credits left", OutOfCreditError),
        ("Invalid API key", ProviderOffError),
        ("API key is missing", ProviderOffError),
        ("UNAUTHORIZED: bad token", ProviderOffError),
        ("Rate limit exceeded. Maximum 5 queued requests allowed.", RateLimitedError),
        ("Too many requests", RateLimitedError),
        ("Unable to fetch image from provided URL (401 unauthorized)", RejectedItemError),
        ("file type isn't supported", RejectedItemError),
        ("something else entirely", RejectedItemError),
    ],
)
def test_words_tell_what_a_400_means(words: str, meaning: type[ProviderError]) -> None:
    """A picture's own host that refuses the vendor must not switch the vendor off."""
    assert type(read(400, words)) is meaning


def test_words_about_a_file_excuse_no_breakdown() -> None:
    assert isinstance(read(500, "invalid file descriptor"), InDoubtError)
    assert isinstance(read(500, "Rate limit exceeded"), RateLimitedError)


def test_words_cannot_talk_a_wrong_key_away() -> None:
    assert isinstance(read(401, "Too many requests"), ProviderOffError)


def test_patterns_are_settings() -> None:
    own = {"messages": {"out_of_credit": ["kein Guthaben"]}}

    assert isinstance(read(400, "Kein Guthaben mehr", **own), OutOfCreditError)


def test_a_pattern_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="no regular expression"):
        load_settings(providers={"maskr": {"messages": {"rejected": ["("]}}})


def test_lists_of_statuses_and_limits_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__MASKR__UNCHARGED_STATUSES", "500, 503")
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__MASKR__LIMITS", '["60/min", "4/s"]')
    monkeypatch.setenv("CLEANPLATE_PROVIDERS__MASKR__BATCH_LIMITS", "30/min")

    maskr = load_settings().providers.maskr

    assert maskr.uncharged_statuses == [500, 503]
    assert (maskr.limits, maskr.batch_limits) == (["60/min", "4/s"], ["30/min"])
