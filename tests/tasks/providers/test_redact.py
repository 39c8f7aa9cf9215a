import pytest

from tasks.providers.redact import Redactor

SECRET = 'rf_live_"0123&456'
redact = Redactor(lambda: (SECRET, "ab"))


@pytest.mark.parametrize(
    "text",
    [
        f"bad key {SECRET}!",
        "key=rf_live_%220123%26456",
        'echo {"key": "rf_live_\\"0123&456"}',
        f"Authorization: Bearer {SECRET}",
    ],
)
def test_known_secrets_go_in_every_spelling(text: str) -> None:
    cleaned = redact(text)

    assert "0123" not in cleaned
    assert "[hidden]" in cleaned


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("get https://a.example/x.png?X-Amz-Signature=feed&y=1 now", "https://a.example/x.png", "feed"),
        ("https://user:pass@a.example/x", "a.example/x", "pass"),
        ('{"url":"https://a.example/x?sig=feed"}', "a.example", "feed"),
        ("https:\\/\\/a.example\\/x?sig=feed", "a.example", "feed"),
        ("Authorization: Bearer someone-elses", "Authorization", "someone-elses"),
        ('{"api_key": "someone-elses", "a": 1}', "api_key", "someone-elses"),
        ("X-Amz-Signature=feedbeef; other", "other", "feedbeef"),
        ("image data:image/png;base64,iVBORw0KGgo= is bad", "is bad", "iVBOR"),
        ("s3://bucket/x?versionId=feed", "s3://bucket/x", "feed"),
    ],
)
def test_signed_and_named_secrets_go_and_the_rest_stays(text: str, kept: str, gone: str) -> None:
    cleaned = redact(text)

    assert kept in cleaned
    assert gone not in cleaned


@pytest.mark.parametrize(
    "text", ["Insufficient credits", "the key of the matter", "mask must be black & white", "ab initio", "code: 42"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_an_excerpt_is_one_short_printable_line() -> None:
    excerpt = redact.excerpt(b"<html>\n\n\x00  " + b"long " * 1000)

    assert excerpt.startswith("<html> long")
    assert len(excerpt) <= 301
    assert excerpt.isprintable()


def test_a_secret_across_the_cut_leaves_nothing_behind() -> None:
    cleaned = redact.excerpt("x" * 295 + SECRET)

    assert "rf_l" not in cleaned


def test_a_message_without_end_is_not_read_to_its_end() -> None:
    """Each dot could begin an address: read whole, this would take hours."""
    assert len(redact.excerpt("a." * 10_000_000)) == 301


def test_an_empty_body_is_called_so() -> None:
    assert redact.excerpt(b" \n") == "(empty)"
