"""What a test or a person asks of the sandbox itself: the bill, the traffic, credits, faults, health."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account, fingerprint
from tasks.providers.sandbox.config import explain
from tasks.providers.sandbox.faults import Fault
from tasks.providers.sandbox.limits import Limit
from tasks.providers.sandbox.state import SandboxState

_FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])


class Control:
    """The routes below `/_sandbox`."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/health", self.health),
            Route("/bill", self.bill),
            Route("/requests", self.requests),
            Route("/credits", self.credits, methods=["POST"]),
            Route("/faults", self.faults, methods=["GET"]),
            Route("/faults", self.set_faults, methods=["POST"]),
            Route("/faults", self.remove_faults, methods=["DELETE"]),
        ]

    async def health(self, _: Request) -> Response:
        """200 once the sandbox serves."""
        return JSONResponse({"status": "ok", "defects": self.state.traffic.defects})

    async def bill(self, request: Request) -> Response:
        """?vendor= and ?account= narrow it; ?entries=false gives the sums alone."""
        vendor, account = request.query_params.get("vendor"), request.query_params.get("account")
        accounts = self.state.bill.accounts(vendor, account)
        answer: dict[str, Any] = {
            "accounts": [_shown(each) for each in accounts],
            "charges": sum(each.charges for each in accounts),
            "credits": str(sum((each.credits_charged for each in accounts), Decimal(0))),
            "usd": str(sum((each.usd_charged for each in accounts), Decimal(0))),
        }
        if request.query_params.get("entries") != "false":
            answer["entries"] = list(self.state.bill.entries(vendor, account))
        return JSONResponse(answer)

    async def requests(self, request: Request) -> Response:
        """Counts by status, refusals, and the busiest windows; ?limit=60/min asks for more, ?arrivals=true for times."""
        try:
            limits = tuple(Limit.parse(text) for text in request.query_params.getlist("limit"))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 422)
        arrivals = request.query_params.get("arrivals") == "true"
        return JSONResponse(self.state.traffic.report(limits, arrivals=arrivals))

    async def credits(self, request: Request) -> Response:
        """{"vendor", "amount", "account" or "key"}: the accounts that got (or, negative, lost) it."""
        body = await _json(request)
        try:
            amount = Decimal(str(body["amount"]))
            vendor = str(body["vendor"])
        except (KeyError, TypeError, InvalidOperation):
            return JSONResponse({"error": 'expected {"vendor": ..., "amount": a number, "account" or "key": ...}'}, 422)
        account = fingerprint(str(body["key"])) if "key" in body else body.get("account")
        accounts = self.state.bill.accounts(vendor, account)
        if not accounts or not amount.is_finite():
            return JSONResponse({"error": "no such account, or no such amount"}, 404)
        for each in accounts:
            self.state.bill.top_up(each, amount)
        return JSONResponse({"accounts": [_shown(each) for each in accounts]})

    async def faults(self, _: Request) -> Response:
        """What is set, and what was injected by kind."""
        return JSONResponse(self.state.faults.report())

    async def set_faults(self, request: Request) -> Response:
        """One fault, or a list of them; their ids."""
        body = await _json(request)
        try:
            faults = _FAULTS.validate_python(body if isinstance(body, list) else [body])
        except ValidationError as error:
            return JSONResponse({"error": explain(error)}, 422)
        return JSONResponse({"ids": [self.state.faults.add(fault) for fault in faults]}, 201)

    async def remove_faults(self, request: Request) -> Response:
        """?id= removes one; without it, all."""
        wanted = request.query_params.get("id", "")
        removed = self.state.faults.remove(int(wanted) if wanted.isdecimal() else None)
        return JSONResponse({"removed": removed})


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return {}


def _shown(account: Account) -> dict[str, Any]:
    return {
        "vendor": account.vendor,
        "account": account.id,
        "unit": account.unit,
        "opened": str(account.opened),
        "topped_up": str(account.topped_up),
        "balance": str(account.balance),
        "held": str(account.held),
        "charges": account.charges,
        "credits_charged": str(account.credits_charged),
        "usd_charged": str(account.usd_charged),
    }
