"""Nothing signed is kept."""

import json

import pytest

from tasks.credits.redaction import note, payload_without_secrets, without_secrets


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see https://x.example/a.png?sig=abc&expires=9 now", "see https://x.example/a.png now"),
        ("https://user:secret@x.example/a", "https://x.example/a"),
        ("s3://bucket/key?X-Amz-Signature=abc", "s3://bucket/key"),
        ("https://x.example/#token=abc", "https://x.example/"),
        ("why? because", "why? because"),
    ],
)
def test_addresses_lose_what_signs_them(text: str, kept: str) -> None:
    assert without_secrets(text) == kept


def test_a_payload_is_cleaned_in_every_depth() -> None:
    payload = {"output": [{"url": "https://x.example/a?sig=abc"}], "run_id": "r1", "n": 3, "none": None}

    assert json.loads(payload_without_secrets(json.dumps(payload))) == {
        "output": [{"url": "https://x.example/a"}],
        "run_id": "r1",
        "n": 3,
        "none": None,
    }


def test_a_note_is_short() -> None:
    assert len(note("x" * 10_000)) == 500
