"""What one row went through, what it cost, and the outcome that this adds up to."""

from decimal import Decimal
from typing import Any, Final

from manifests.error_codes import ErrorCode
from manifests.items import Item
from manifests.outcomes import Outcome, State
from tasks.config.routing import RetrySettings
from tasks.credits import Charge
from tasks.providers.errors import ProviderError
from tasks.retry_policy import History, Trial
from tasks.routing import NoRoute

_NOT_NOW: Final = frozenset(
    {
        ErrorCode.NO_PROVIDER,
        ErrorCode.OUT_OF_CREDITS,
        ErrorCode.BUDGET_REACHED,
        ErrorCode.DEADLINE_REACHED,
        ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.INTERRUPTED,
        ErrorCode.AUTHENTICATION,
    }
)
"""Nothing is wrong with the row: it is deferred."""


class Story:
    """Of one row in one pass."""

    def __init__(self, item: Item, content_key: str, settings: RetrySettings) -> None:
        self.history = History()
        self._item = item
        self._content_key = content_key
        self._settings = settings
        self._attempts = 0
        self._charged = Charge()
        self._provider: str | None = None

    @property
    def poisonous(self) -> bool:
        """The row itself seems to bring providers down."""
        return self.history.poisonous(self._settings)

    def sent(self, provider: str) -> None:
        """One request was taken by this provider."""
        self._attempts += 1
        self._provider = provider

    def paid(self, charge: Charge) -> None:
        """Money went."""
        self._charged = Charge(credits=self._charged.credits + charge.credits, usd=self._charged.usd + charge.usd)

    def note(
        self,
        provider: str,
        error: ProviderError,
        *,
        at: float,
        leave: bool = False,
        alone: bool = True,
        serves_others: bool = False,
    ) -> None:
        """A try that did not work out; `leave`: this provider is not asked again."""
        trial = Trial.of(error, provider=provider, at=at, alone=alone, provider_serves_others=serves_others)
        self.history = self.history.then(trial, leave=leave)
        self._provider = self._provider or provider

    def succeeded(self, **facts: Any) -> Outcome:
        """Delivered."""
        return Outcome(item_id=self._item.item_id, state=State.SUCCEEDED, **self._common(), **facts)

    def end(
        self,
        state: State,
        code: ErrorCode,
        message: str | None = None,
        *,
        provider: str | None = None,
        remote_id: str | None = None,
        repairs: tuple[str, ...] = (),
    ) -> Outcome:
        """Not delivered, and why: `message`, else the tries one by one."""
        return Outcome(
            item_id=self._item.item_id,
            state=state,
            error_code=code,
            error_message=message or self.history.story() or code.advice,
            remote_id=remote_id,
            repairs=repairs,
            **{**self._common(), "provider": provider or self._provider},
        )

    def nobody(self, none: NoRoute) -> Outcome:
        """Every way is closed: by the row's own tries where there were any, else by what stands at each provider."""
        trials = self.history.trials
        if none.reason is ErrorCode.OUT_OF_CREDITS and any(one.code is ErrorCode.BUDGET_REACHED for one in trials):
            message = f"{none.message}; {self.history.story()}"  # the budget is mended first: it is in the user's hand
            return self.end(State.DEFERRED, ErrorCode.BUDGET_REACHED, message)
        code = trials[-1].code if none.tried_all and trials else none.reason
        tried = [trial.code for trial in trials if trial.code not in _NOT_NOW]
        if code in _NOT_NOW and tried and none.tried_all:
            code = tried[-1]
        state = State.DEFERRED if code in _NOT_NOW else State.FAILED
        if code is ErrorCode.IMAGE_TOO_LARGE:
            state = State.REJECTED
        return self.end(state, code, self.history.story() if none.tried_all else none.message)

    def _common(self) -> dict[str, Any]:
        return {
            "provider": self._provider,
            "attempts": self._attempts,
            "content_key": self._content_key,
            "credits": self._charged.credits,
            "cost_usd": self._charged.usd,
        }

    @property
    def cost_usd(self) -> Decimal:
        """So far, US dollars."""
        return self._charged.usd
