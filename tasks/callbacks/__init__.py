"""Receives providers' callbacks, and hands the true ones over. Without it, polling alone suffices."""

from tasks.callbacks.inbox import Inbox, LedgerInbox
from tasks.callbacks.receiver import make_app
from tasks.callbacks.server import serve

__all__ = ["Inbox", "LedgerInbox", "make_app", "serve"]
