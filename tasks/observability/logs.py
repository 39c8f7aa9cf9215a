"""Logs: no secret gets into them, and each line can say which run, batch, item and attempt it is about.

Redaction happens where a record is born, not in a handler: Prefect replaces the handlers when it sets up a flow run, sends records to its
API, and other libraries bring handlers of their own. What is taken out at birth reaches none of them.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from tasks.config import Settings
from tasks.observability.secrets import KnownSecrets
from tasks.providers.redact import Redactor, quiet_http_logs

KEYS: Final = ("run_id", "batch_id", "item_id", "provider", "attempt_key", "request_id")
"""The stable keys, the same in code, columns and logs. `request_id` is the vendor's own: the thread from our attempt to their support."""

OUR_LOGGERS: Final = ("flows", "tasks", "manifests")
_PREFECT_KEYS: Final = ("flow_run_id", "flow_run_name", "task_run_id", "task_run_name")
_CONTEXT: Final[ContextVar[dict[str, str] | None]] = ContextVar("cleanplate_log_context", default=None)

Redact = Callable[[str], str]


@contextlib.contextmanager
def log_context(**keys: str | None) -> Iterator[None]:
    """Every line logged inside the block says these keys; they follow awaits, asyncio tasks and `to_thread`.

    ValueError when a key is not one of `KEYS`: dashboards rely on their names.
    """
    if unknown := keys.keys() - set(KEYS):
        raise ValueError(f"{', '.join(sorted(unknown))}: log keys are {', '.join(KEYS)}")
    token = _CONTEXT.set({**(_CONTEXT.get() or {}), **{key: value for key, value in keys.items() if value is not None}})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def configure_logging(settings: Settings) -> None:
    """Hide this installation's secrets from every log record of the process, and write lines as the configuration asks.

    To be called in each process that works, after Prefect has set up its own logging; calling again is harmless.
    """
    redact = Redactor(KnownSecrets(settings))
    logging.setLogRecordFactory(_RedactingFactory(redact))
    quiet_http_logs()
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    if settings.observability.log_format == "json":
        for handler in _stream_handlers():
            handler.setFormatter(JsonFormatter(redact))
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(settings.observability.log_level)


def _stream_handlers() -> Iterator[logging.Handler]:
    for logger in (logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))):
        yield from (handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler))


class _RedactingFactory:
    """Makes log records without secrets, which carry the context that they were made in."""

    def __init__(self, redact: Redact) -> None:
        before = logging.getLogRecordFactory()
        self._make: Callable[..., logging.LogRecord] = before._make if isinstance(before, _RedactingFactory) else before
        self._redact = redact

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        """As `logging.LogRecord`."""
        record: logging.LogRecord = self._make(*args, **kwargs)
        record.cleanplate = _CONTEXT.get() or {}
        self._redact_message(record)
        if record.exc_info and record.exc_info[0] is not None:
            # formatters take the text that is there over the exception, whose message may quote a request
            record.exc_text = self._redact(logging.Formatter().formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return record

    def _redact_message(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - any argument's own formatting may fail, and logging would print it all
            message = f"{record.msg} {record.args!r}"
            record.msg, record.args = "%s", (self._redact(message),)
            return
        if self._redact(message) == message:
            return
        if isinstance(record.args, tuple):  # kept apart where that will do: uvicorn reads them one by one
            record.args = tuple(self._redact(one) if isinstance(one, str) else one for one in record.args)
        if self._redact(rest := record.getMessage()) != rest:
            record.msg, record.args = self._redact(rest), ()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the stable keys that are known, Prefect's run ids, and the exception."""

    def __init__(self, redact: Redact) -> None:
        """`redact` also sees what was given as `extra`."""
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        context: dict[str, str] = getattr(record, "cleanplate", {})
        for key in (*KEYS, *_PREFECT_KEYS):
            value = record.__dict__.get(key, context.get(key))
            if value is not None:
                line[key] = self._redact(str(value))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_text or self._redact(self.formatException(record.exc_info))
        text = json.dumps(line, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair must not break the stream
