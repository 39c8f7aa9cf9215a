"""Runflow's wire: a zip by address in, a run to be polled or called back about (seeds 000 and 003)."""

import hashlib
import itertools
import json
import re
import secrets
import time
from collections import defaultdict
from decimal import ROUND_DOWN
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.providers.sandbox.bill import Account
from tasks.providers.sandbox.calls import Call, Door, Vendor, VendorError
from tasks.providers.sandbox.clock import iso
from tasks.providers.sandbox.config import RunflowConfig
from tasks.providers.sandbox.faults import Endpoint
from tasks.providers.sandbox.recent import Recent
from tasks.providers.sandbox.state import SandboxState
from tasks.providers.sandbox.vendors.downloads import download
from tasks.providers.sandbox.vendors.runflow_assets import Assets
from tasks.providers.sandbox.vendors.runflow_runs import INPUTS, TERMINAL, Run, call_back, live, price_of, record

CODES = {
    401: "UNAUTHORIZED",
    402: "INSUFFICIENT_CREDIT",
    403: "PERMISSION_DENIED",
    404: "RUN_NOT_FOUND",
    409: "CONFLICT",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    503: "MODEL_UNAVAILABLE",
}
# client_ref.EQ:'token' (the vendor's plugin) and status_code:succeeded (the documents)
_FILTERED = {"id": "id", "client_ref": "client_ref", "status_code": "status", "model_id": "model"}  # → Run's own names
_FILTER = re.compile(rf"(?P<field>{'|'.join(_FILTERED)})(?:\.EQ)?:(?:'(?P<quoted>[^']*)'|(?P<plain>\S+))")


class Runflow(Vendor):
    """Runs, assets, callbacks and balances."""

    key = "runflow"
    unit = "usd"
    invalid_key = "Invalid or missing API key"
    too_many_requests = "Rate limit exceeded: too many requests"
    out_of_credits = "Insufficient credit balance"

    config: RunflowConfig

    def __init__(self, state: SandboxState) -> None:
        super().__init__(state)
        self.assets = Assets(self)
        self._runs: Recent[str, Run] = Recent()
        self._replays: Recent[tuple[str, str], tuple[str, Run]] = Recent()  # (account, key) → (digest of the body, run)
        self._secrets: defaultdict[str, list[str]] = defaultdict(list)  # by account, the current one last

    def routes(self) -> list[Route]:
        """Paths below this vendor's prefix."""
        poll, other = Endpoint.POLL, Endpoint.OTHER
        return [
            Route("/v1/models/{model:path}/runs", Door(self, Endpoint.SUBMIT, self.create_run), methods=["POST"]),
            Route("/v1/models/{model:path}/batches", Door(self, Endpoint.BATCH, self.create_batch), methods=["POST"]),
            Route("/v1/runs", Door(self, Endpoint.LOOKUP, self.list_runs), methods=["GET"]),
            Route("/v1/runs/statuses", Door(self, other, self.statuses), methods=["GET"]),
            Route("/v1/runs/{run_id}", Door(self, poll, self.get_run), methods=["GET"]),
            Route("/v1/runs/{run_id}/callback", Door(self, other, self.callback_history), methods=["GET"]),
            Route("/v1/runs/{run_id}/callback-redeliveries", Door(self, other, self.redeliver), methods=["POST"]),
            Route("/v1/callback-secrets", Door(self, other, self.create_secret), methods=["POST"]),
            Route("/v1/billing/balance", Door(self, Endpoint.BALANCE, self.balance), methods=["GET"]),
            Route("/v1/credit-balances", Door(self, Endpoint.BALANCE, self.balances), methods=["GET"]),
            Route("/v1/auth/me", Door(self, other, self.me), methods=["GET"]),
            Route("/v1/health", Door(self, other, self.health), methods=["GET"]),
            Route("/outputs/{name}", Door(self, Endpoint.DOWNLOAD, download), methods=["GET"]),
            *self.assets.routes(),
        ]

    def refusal(self, error: VendorError) -> Response:
        """The flat envelope: code, message, errors."""
        code = error.code or CODES.get(error.status, "INTERNAL_ERROR")
        body = {"code": code, "message": error.message, "errors": list(error.details) or None}
        return JSONResponse(body, error.status, headers=self.retry_headers(error))

    def who(self, call: Call) -> Account:
        """The account behind the bearer key."""
        scheme, _, key = call.request.headers.get("authorization", "").partition(" ")
        return call.account(key.strip() if scheme.lower() == "bearer" else None)

    async def create_run(self, call: Call) -> Response:
        """POST /v1/models/{owner}/{slug}/runs."""
        account = self.who(call)
        call.admit(account, self.config.single_limits())
        body = await call.json()
        replay_key = call.request.headers.get("idempotency-key")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        await call.meet_faults([name for name in (replay_key, body.get("client_ref")) if isinstance(name, str)])
        replayed = self._replayed(account, replay_key, digest, call.request.path_params["model"])
        run = replayed or self._begin(call, account, body, replay_key)
        if replay_key:
            self._replays[account.id, f"{run.model} {replay_key}"] = (digest, run)
        return JSONResponse(record(self, run), 201)

    def _replayed(self, account: Account, replay_key: str | None, digest: str, model: str) -> Run | None:
        """The run that this Idempotency-Key made before. Raises 409 when the body is another."""
        known = self._replays.get((account.id, f"{model} {replay_key}"))
        if replay_key is None or known is None:
            return None
        if known[0] != digest:
            raise VendorError(409, "Idempotency-Key was used with a different request body")
        return known[1]

    def _begin(self, call: Call, account: Account, body: dict[str, Any], replay_key: str | None) -> Run:
        model = call.request.path_params["model"]
        if model not in INPUTS:
            raise VendorError(404, f"Model '{model}' not found", code="MODEL_NOT_FOUND")
        _validate(model, body)
        hold = call.hold(account, price_of(self, model))
        run = Run(
            id=str(_uuid7()),
            model=model,
            account=account,
            input=body["input"],
            created_at=self.state.clock.now(),
            request_id=call.request_id,
            reference=replay_key or body.get("client_ref"),
            base_url=call.base_url,
            callback_url=body.get("callback_url"),
            metadata=body.get("metadata"),
            client_ref=body.get("client_ref"),
        )
        self._runs[run.id] = run
        self.state.spawn(live(self, run, hold))
        return run

    async def create_batch(self, call: Call) -> Response:
        """Neither model is known to be template-backed: the documented 422."""
        self.who(call)
        raise VendorError(422, "This model does not support batches", code="BATCH_NOT_SUPPORTED")

    async def get_run(self, call: Call) -> Response:
        """GET /v1/runs/{id}."""
        run = self._run_of(call)
        await call.meet_faults(run.names)
        return JSONResponse(record(self, run))

    async def list_runs(self, call: Call) -> Response:
        """GET /v1/runs?q=client_ref.EQ:'…', newest first; conditions are joined by AND."""
        account = self.who(call)
        wanted = _conditions(call.request.query_params.get("q", ""))
        limit_text = call.request.query_params.get("limit", "50")
        if not re.fullmatch(r"[1-9]\d{0,2}", limit_text) or int(limit_text) > 500:
            raise VendorError(422, "limit must be from 1 to 500")
        mine = (run for run in self._runs.newest_first() if run.account is account)
        found = (run for run in mine if all(getattr(run, name) == value for name, value in wanted))
        items = [record(self, run) for run in itertools.islice(found, int(limit_text))]
        return JSONResponse({"items": items, "next_pq": None, "prev_pq": None})

    def _run_of(self, call: Call) -> Run:
        account = self.who(call)
        run = self._runs.get(call.request.path_params["run_id"])
        if run is None or run.account is not account:
            raise VendorError(404, "Run not found")
        return run

    async def statuses(self, call: Call) -> Response:
        """GET /v1/runs/statuses."""
        self.who(call)
        return JSONResponse(["queued", "dispatching", "running", *TERMINAL])

    async def callback_history(self, call: Call) -> Response:
        """GET /v1/runs/{id}/callback."""
        run = self._run_of(call)
        most = len(self.config.callback_backoff_s) + 1
        attempts = {"attempts": run.callbacks, "attempt_count": len(run.callbacks), "max_attempts": most}
        return JSONResponse([attempts | {"next_attempt_at": None}] if run.callback_url else [])

    async def redeliver(self, call: Call) -> Response:
        """POST /v1/runs/{id}/callback-redeliveries."""
        run = self._run_of(call)
        if not run.callback_url or run.status not in TERMINAL:
            raise VendorError(409, "There is no callback to redeliver")
        self.state.spawn(call_back(self, run))
        return JSONResponse({"run_id": run.id}, 201)

    async def create_secret(self, call: Call) -> Response:
        """POST /v1/callback-secrets; the newest signs, the text is shown once."""
        account = self.who(call)
        body = await call.json()
        secret = f"whsec_{secrets.token_hex(16)}"
        self._secrets[account.id].append(secret)
        answer = {"plain_secret": secret, "id": str(_uuid7()), "label": body.get("label"), "key_prefix": secret[:10]}
        return JSONResponse(answer | {"is_current": True}, 201)

    def callback_secret(self, account: Account) -> str | None:
        """What signs this account's callbacks: its newest secret, else the configured one, else nothing."""
        own = self._secrets.get(account.id)
        return own[-1] if own else self.config.callback_secret

    async def balance(self, call: Call) -> Response:
        """GET /v1/billing/balance, in the shape of concepts/pricing."""
        account = self.who(call)
        cents = int((account.balance * 100).to_integral_value(ROUND_DOWN))
        return JSONResponse({"balance_cents": cents, "currency": "USD"})

    async def balances(self, call: Call) -> Response:
        """GET /v1/credit-balances, in the shape that the vendor's plugin reads."""
        account = self.who(call)
        return JSONResponse({"items": [{"balance_usd": str(account.balance)}]})

    async def me(self, call: Call) -> Response:
        """GET /v1/auth/me confirms a key."""
        account = self.who(call)
        return JSONResponse({"org_id": account.id, "scopes": ["runs:create", "runs:read", "assets:create"]})

    async def health(self, call: Call) -> Response:
        """GET /v1/health."""
        return JSONResponse({"status": "ok", "time": iso(call.state.clock.now())})

    async def read_zip(self, run: Run) -> bytes:
        """The archive behind zip_url: http(s), data: or an own asset. Raises FetchError."""
        url = str(run.input["zip_url"])
        for own in ("runflow://assets/", f"{run.base_url}/assets/"):
            if url.startswith(own):
                return self.assets.read(url.removeprefix(own), run.account)
        return await self.state.fetcher.fetch(url, max_bytes=self.config.max_zip_bytes)


def _validate(model: str, body: dict[str, Any]) -> None:
    """Raises the documented 422 with one entry a field."""
    given = body.get("input")
    if not isinstance(given, dict):
        raise _invalid([("input", "field required")])
    faults = [
        (f"input.{name}", "expected a non-empty string")
        for name in INPUTS[model]
        if not isinstance(given.get(name), str) or not given[name]
    ]
    scheme = str(given.get("zip_url")).partition(":")[0].lower()
    if not faults and scheme not in ("http", "https", "data", "runflow"):
        faults.append(("input.zip_url", f"media URL must use HTTP(S) or data URI, got '{scheme[:20]}'"))
    for name, kind in (("callback_url", str), ("client_ref", str), ("metadata", dict)):
        if not isinstance(body.get(name), kind | None):
            faults.append((name, f"expected {kind.__name__} or null"))
    if isinstance(body.get("callback_url"), str) and not re.match(r"https?://", body["callback_url"]):
        faults.append(("callback_url", "expected an http(s) address"))
    if faults:
        raise _invalid(faults)


def _invalid(faults: list[tuple[str, str]]) -> VendorError:
    return VendorError(422, "Validation failed", details=[{"field": name, "message": text} for name, text in faults])


def _conditions(text: str) -> list[tuple[str, str]]:
    """Attributes of a run and what they must be. Raises the vendor's 400 for a filter that it does not know."""
    conditions = []
    for part in filter(None, re.split(r"\s+AND\s+", text.strip())):
        found = _FILTER.fullmatch(part)
        if not found:
            raise VendorError(400, f"Unsupported filter: {part[:80]}", code="INVALID_FILTER")
        value = found["quoted"] if found["quoted"] is not None else found["plain"]
        conditions.append((_FILTERED[found["field"]], value))
    return conditions


def _uuid7() -> UUID:
    """Time-ordered, as Runflow's ids are; the standard library has it from 3.14 on."""
    stamp = time.time_ns() // 1_000_000
    number = (stamp << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return UUID(int=number)
