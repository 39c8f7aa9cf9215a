"""The ledger: credits, budgets and rate limits, kept in one SQL database that every process shares."""

from tasks.credits.clock import Clock, ManualClock, SystemClock
from tasks.credits.errors import LedgerError, LedgerMisuse, LedgerUnavailable, Reason, Refusal
from tasks.credits.facts import (
    AccountTerms,
    AttemptIntent,
    AttemptState,
    Callback,
    Charge,
    Delivery,
    Endpoint,
    FileVersion,
    OpenAttempt,
    Outlook,
    PastAttempt,
    Resolution,
    Spend,
    StoredDelivery,
)
from tasks.credits.ledger import Ledger
from tasks.credits.reservation import Reservation
from tasks.credits.statement import BalanceLine, StatementLine

__all__ = [
    "AccountTerms",
    "AttemptIntent",
    "AttemptState",
    "BalanceLine",
    "Callback",
    "Charge",
    "Clock",
    "Delivery",
    "Endpoint",
    "FileVersion",
    "Ledger",
    "LedgerError",
    "LedgerMisuse",
    "LedgerUnavailable",
    "ManualClock",
    "OpenAttempt",
    "Outlook",
    "PastAttempt",
    "Reason",
    "Refusal",
    "Reservation",
    "Resolution",
    "Spend",
    "StatementLine",
    "StoredDelivery",
    "SystemClock",
]
