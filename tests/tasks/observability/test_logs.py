"""Lines that machines read, and what may never stand in them."""

import asyncio
import io
import json
import logging
import logging.config
from pathlib import Path
from typing import Any

import pytest
from uvicorn.logging import AccessFormatter

from tasks.config import Settings, load_settings
from tasks.observability import KEYS, configure_logging, log_context
from tasks.observability.logs import JsonFormatter

pytestmark = pytest.mark.usefixtures("fresh_logging")

KEY = "sk-live-0123456789abcdef"
PASSWORD = "p@ss/word"
LOG = logging.getLogger("tasks.somewhere")


def settings(**overrides: Any) -> Settings:
    usual = {
        "ledger_url": "postgresql://cleanplate:p%40ss%2Fword@db/ledger",
        "providers": {"maskr": {"api_key": KEY}},
        "callbacks": {"secrets": ["whsec_abcdefgh"]},
    }
    return load_settings(**{**usual, **overrides})


def listen(log_format: str = "text", **overrides: Any) -> io.StringIO:
    """Configure logging; what is written comes into the returned text."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    configure_logging(settings(observability={"log_format": log_format}, **overrides))
    return written


def lines(written: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_json_line_says_when_where_and_what() -> None:
    written = listen("json")

    LOG.warning("row %d is odd", 7)

    [line] = lines(written)
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "tasks.somewhere", "row 7 is odd")
    assert line["time"].endswith("+00:00")


def test_every_stable_key_comes_from_the_context_or_from_the_call() -> None:
    written = listen("json")
    given = {key: f"the {key}" for key in KEYS}

    with log_context(**given):
        LOG.info("inside")
        LOG.info("its own", extra={"item_id": "another"})
    LOG.info("outside")

    inside, own, outside = lines(written)
    assert {key: inside[key] for key in KEYS} == given
    assert own["item_id"] == "another"
    assert own["run_id"] == "the run_id"
    assert not outside.keys() & set(KEYS)


def test_concurrent_items_keep_their_own_context() -> None:
    written = listen("json")

    async def work(item_id: str) -> None:
        with log_context(item_id=item_id):
            await asyncio.sleep(0)
            await asyncio.to_thread(LOG.info, "done with %s", item_id)

    async def everything() -> None:
        with log_context(run_id="r"):
            await asyncio.gather(*(work(f"i{n}") for n in range(20)))

    asyncio.run(everything())

    assert all(line["message"] == f"done with {line['item_id']}" and line["run_id"] == "r" for line in lines(written))


def test_a_key_that_no_dashboard_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="itemid"), log_context(itemid="x"):
        pass


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    ("message", "args"),
    [
        (f"the key is {KEY}", ()),
        ("the key is %s", (KEY,)),
        ("headers %r", ({"Authorization": f"Bearer {KEY}"},)),
        ("%(key)s", ({"key": KEY},)),
        ("signed with whsec_abcdefgh", ()),
        ("connecting to postgresql://cleanplate:p%40ss%2Fword@db/ledger", ()),
        (f"password authentication failed for {PASSWORD}", ()),
        ("get https://bucket.s3/x?X-Amz-Signature=abcdef0123&X-Amz-Credential=AKIA", ()),
        ("wrong number of arguments %s %s", (KEY,)),
    ],
)
def test_no_secret_is_written_however_it_was_logged(log_format: str, message: str, args: tuple[object, ...]) -> None:
    written = listen(log_format)

    LOG.error(message, *args)

    assert written.getvalue().count("\n") == 1
    for secret in (KEY, "whsec_abcdefgh", PASSWORD, "p%40ss%2Fword", "abcdef0123"):
        assert secret not in written.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_written_with_a_traceback(log_format: str) -> None:
    written = listen(log_format)

    try:
        int(f"Bearer {KEY}")
    except ValueError:
        LOG.exception("it failed")

    assert "ValueError" in written.getvalue()
    assert KEY not in written.getvalue()


def test_no_secret_is_written_as_an_extra() -> None:
    written = listen("json")

    LOG.info("answered", extra={"request_id": f"echo {KEY}"})

    assert KEY not in written.getvalue()


def test_handlers_that_come_later_see_no_secret_either() -> None:
    """Prefect sets up its handlers anew, the one that sends logs to its API among them."""
    listen()
    later = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"new": {"class": "logging.StreamHandler", "stream": later}},
            "root": {"handlers": ["new"], "level": "INFO"},
        }
    )

    LOG.info("with %s", KEY)

    assert "with [hidden]" in later.getvalue()


def test_a_rotated_key_is_hidden_too_and_so_is_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key-abcdef\n")
    written = listen(providers={"maskr": {"api_key_file": file}})
    LOG.info("one first-key-abcdef")

    file.write_text("second-key-of-another-length\n")
    LOG.info("two second-key-of-another-length, formerly first-key-abcdef")

    assert written.getvalue().count("[hidden]") == 3
    assert "-key-" not in written.getvalue()


def test_access_logs_that_read_their_arguments_one_by_one_still_can() -> None:
    """uvicorn's formatter unpacks five of them; a callback's address may hold a token."""
    listen()
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(AccessFormatter("%(request_line)s %(status_code)s", use_colors=False))
    access = logging.getLogger("uvicorn.access")  # a server in this process may have cut it off from the root
    access.addHandler(handler)

    access.warning('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "POST", f"/callbacks?token={KEY}", "1.1", 200)
    access.removeHandler(handler)

    assert written.getvalue() == "POST /callbacks?token=[hidden] HTTP/1.1 200 OK\n"


def test_configuring_twice_redacts_once() -> None:
    written = listen("json")
    configure_logging(settings(observability={"log_format": "json"}))

    LOG.info("x %s", KEY)

    assert [line["message"] for line in lines(written)] == ["x [hidden]"]


def test_hostile_text_stays_one_line_of_json() -> None:
    """Through the formatter alone: a lone surrogate that reached pytest's own log capture would break its reports."""
    record = logging.makeLogRecord({"msg": 'a\nb \u2028 \x00 \ud800 {"level": "forged"}', "levelname": "INFO"})

    text = JsonFormatter(lambda said: said).format(record)

    assert "\n" not in text
    assert text.encode()
    assert "forged" in text
