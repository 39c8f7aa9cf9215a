"""Error + attempt → decision. Values in, values out: nothing here waits, sends or spends.

Three questions, one function each:

- `decide`: what becomes of one row after one error;
- `decide_batch`: what becomes of a batch that failed whole;
- `consequence`: what the error says about the provider itself, whoever's row it was.

`History` keeps what a row went through, and knows when it is poison.
"""

from tasks.retry_policy.batches import decide_batch
from tasks.retry_policy.consequences import Consequence, Effect, Verdict, consequence
from tasks.retry_policy.decisions import Action, Phase, RetryDecision, backoff_s, decide
from tasks.retry_policy.history import History, Trial

__all__ = [
    "Action",
    "Consequence",
    "Effect",
    "History",
    "Phase",
    "RetryDecision",
    "Trial",
    "Verdict",
    "backoff_s",
    "consequence",
    "decide",
    "decide_batch",
]
