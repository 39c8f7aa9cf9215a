import json
from decimal import Decimal

import pytest

from tasks.providers.answers import Answer, amount, charge, identifier, message_of, word


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"detail": "Insufficient credits"}, "Insufficient credits"),
        ({"detail": [{"loc": ["body", "mask"], "msg": "field required", "type": "x"}]}, "body.mask: field required"),
        ({"code": "RATE_LIMITED", "message": "slow down", "errors": None}, "RATE_LIMITED: slow down"),
        ({"error": {"message": "no such model", "code": "x"}}, "x: no such model"),
        ({"error": "no such model", "code": "x"}, "no such model"),
        ({"status": "error", "messege": "old spelling"}, "old spelling"),
        ({"message": {"init_image": ["is required", "is no url"]}}, "init_image: is required; is no url"),
        ({"code": "UNAUTHORIZED"}, "UNAUTHORIZED"),
        ("plain", "plain"),
        ({"message": "  "}, None),
        ({}, None),
        (None, None),
        (7, None),
        ([[[[[[["too deep"]]]]]]], None),
    ],
)
def test_the_words_for_people_are_found_wherever_vendors_put_them(answer: object, words: str | None) -> None:
    assert message_of(answer) == words


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, Decimal(3)),
        (0.1, Decimal("0.1")),
        ("0.480000", Decimal("0.48")),
        (" 7 ", Decimal(7)),
        (True, None),
        ("NaN", None),
        ("Infinity", None),
        (float("inf"), None),
        ("", None),
        (None, None),
        ([1], None),
        ("1,5", None),
        ("1e400000", None),
        (-4, Decimal(-4)),
    ],
)
def test_amounts_are_exact_and_finite_or_none(value: object, number: Decimal | None) -> None:
    assert amount(value) == number


@pytest.mark.parametrize(
    ("value", "charged"),
    [
        ("0.48", Decimal("0.48")),
        (0, Decimal(0)),
        (0.1 + 0.2, Decimal("0.3")),
        (-3, None),
        (1e9, None),
        ("free", None),
    ],
)
def test_a_charge_is_what_the_books_can_hold_and_never_negative(value: object, charged: Decimal | None) -> None:
    assert charge(value) == charged


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (77, "77"),
        ("abc-1", "abc-1"),
        (" a ", "a"),
        (True, None),
        (7.5, None),
        ("", None),
        ("a\x00b", None),
        ("\ud800", None),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
    ],
)
def test_ids_are_what_a_database_and_an_address_can_hold(value: object, found: str | None) -> None:
    assert identifier(value) == found


def test_a_status_is_one_short_word() -> None:
    assert (word("queued"), word("x" * 61), word("a\nb"), word(3)) == ("queued", None, None, None)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_body_that_is_no_json_reads_as_nothing(body: bytes) -> None:
    assert Answer(status=200, headers={}, body=body).record() == {}


def test_a_request_id_out_of_a_header_is_bounded_too() -> None:
    headers = {"runflow-request-id": "x" * 500, "x-request-id": "req-7"}

    assert Answer(status=200, headers=headers, body=json.dumps({}).encode()).request_id == "req-7"
