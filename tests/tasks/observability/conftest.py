"""Logging is one thing a process; each test here gets it as it was before."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def fresh_logging() -> Iterator[None]:
    """Record factory, root handlers and their formatters are put back afterwards."""
    factory, root = logging.getLogRecordFactory(), logging.getLogger()
    handlers = list(root.handlers)
    root.handlers = []
    yield
    root.handlers = handlers
    logging.setLogRecordFactory(factory)
