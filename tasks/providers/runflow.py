"""Runflow: a zip by URL becomes a run, which is polled (or calls back) until it is over.

Wire facts: seeds 000 and 003, and docs.runflow.io; where its pages contradict each other every version is accepted (`docs/providers.md`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import RunflowSettings
from tasks.providers.adapter import HttpAdapter, Kit
from tasks.providers.answers import Answer, amount, charge, identifier, items, record, text, word
from tasks.providers.base import Balance, Capabilities, EditRequest, EditResult, Offer, OnSent, Submission
from tasks.providers.download import DownloadExpiredError
from tasks.providers.errors import InDoubtError, JobFailedError, TransientError
from tasks.providers.runflow_zip import ZipHost, compose, file_names
from tasks.providers.statuses import Purpose

_SUCCEEDED: Final = frozenset({"succeeded", "success", "completed"})
_FAILED: Final = frozenset({"failed", "cancelled", "canceled", "errored", "error"})  # both spellings are Runflow's own


class RunflowProvider(HttpAdapter[RunflowSettings]):
    """Object removal and background replacement by Runflow."""

    key: ClassVar[str] = "runflow"

    def __init__(self, kit: Kit[RunflowSettings]) -> None:
        """`kit`: the tools, made by the registry."""
        super().__init__(kit)
        self._host = ZipHost(kit)
        self.capabilities = Capabilities(
            offers=(
                Offer(operation=Operation.OBJECT_REMOVAL, selectors=(frozenset({"mask"}),)),
                Offer(operation=Operation.BACKGROUND_REPLACE, selectors=(frozenset({"reference"}),)),
            ),
            max_image_bytes=self._settings.max_image_bytes,
            max_image_pixels=self._settings.max_image_pixels,
            max_side=self._settings.max_side,
            pollable=True,
            replayable=self._settings.idempotent_runs and self._settings.send_idempotency_key,
            findable=self._settings.find_query is not None and self._settings.send_client_ref,
        )

    async def prepare(self, request: EditRequest) -> EditRequest:
        """Compose the zip and put it where Runflow can read it."""
        archive = await asyncio.to_thread(compose, request, whiten=self._settings.whiten_background)
        return replace(request, image=replace(request.image, url=await self._host.address_of(archive)))

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """Create the run."""
        body: dict[str, object] = {"input": self._input(request)}
        if request.callback_url:
            body["callback_url"] = request.callback_url
        if self._settings.send_metadata:
            body["metadata"] = {"item_id": request.item_id, "attempt_key": request.attempt_key}
        if self._settings.send_client_ref:
            body["client_ref"] = request.attempt_key
        headers = {"Idempotency-Key": request.attempt_key} if self._settings.send_idempotency_key else {}
        removal = request.operation is Operation.OBJECT_REMOVAL
        model = self._settings.object_removal_model if removal else self._settings.background_replace_model
        answer = await self._wire.send(
            "POST", f"/v1/models/{model}/runs", purpose=Purpose.SUBMIT, json=body, headers=headers, on_sent=on_sent
        )
        return self._submission(answer, answer.record(), Purpose.SUBMIT)

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:  # noqa: ARG002 - the id is enough
        """How the run stands."""
        return await self._read(remote_id)

    async def find(self, attempt_key: str) -> Submission | None:
        """The run that was created with this client reference, if any."""
        query = (self._settings.find_query or "").replace("{client_ref}", attempt_key)
        answer = await self._wire.send("GET", "/v1/runs", purpose=Purpose.ASK, params={"q": query, "limit": "10"})
        listed = answer.json() if isinstance(answer.json(), list) else _first_list(answer.record())
        if listed is None:
            raise self._kit.interpreter.unexpected(answer, "no list of runs", Purpose.ASK)
        runs = [record(entry) for entry in items(listed)]
        mine = next((run for run in runs if run.get("client_ref") == attempt_key), None)
        if mine is not None:
            return self._submission(answer, mine, Purpose.ASK)
        if runs:  # the filter was not understood: what it does not show may still exist
            raise InDoubtError("runflow: the look-up by client_ref lists other runs; check find_query")
        return None

    async def balance(self) -> Balance | None:
        """What the account holds; three documented shapes."""
        try:
            answer = await self._wire.send("GET", self._settings.balance_path, purpose=Purpose.ASK)
        except TransientError:
            answer = await self._wire.send("GET", "/v1/credit-balances", purpose=Purpose.ASK)
        return self._balance_in(answer)

    async def _download(self, result: EditResult, submission: Submission) -> bytes:
        """Where the address is over, reading the run again signs a new one."""
        try:
            return await self._kit.downloads.get(result.output_url or "")
        except DownloadExpiredError:
            if submission.remote_id is None:
                raise
            renewed = (await self._read(submission.remote_id, {"add_signature": "true"})).result
            if renewed is None or renewed.output_url is None:
                raise
        return await self._kit.downloads.get(renewed.output_url)

    async def _read(self, remote_id: str, params: Mapping[str, str] | None = None) -> Submission:
        path = f"/v1/runs/{quote(remote_id, safe='')}"
        answer = await self._wire.send("GET", path, purpose=Purpose.ASK, params=params)
        run = {"id": remote_id, **answer.record()}
        if identifier(run["id"]) != remote_id:
            raise self._kit.interpreter.unexpected(answer, "another run", Purpose.ASK, remote_id=remote_id)
        return self._submission(answer, run, Purpose.ASK)

    def _submission(self, answer: Answer, run: dict[str, object], purpose: Purpose) -> Submission:
        run_id = identifier(run.get("id")) or identifier(run.get("run_id"))
        status = word(run.get("status_code")) or word(run.get("status"))
        if run_id is None or (status is None and purpose is Purpose.ASK):
            raise self._kit.interpreter.unexpected(answer, "no run", purpose, remote_id=run_id)
        if status in _FAILED:
            raise self._ended_badly(run, run_id, status)
        if status not in _SUCCEEDED:  # queued, dispatching, running, and whatever else they may invent
            return Submission(remote_id=run_id)
        output = run.get("output")
        url, cost_usd = _output_url(output), charge(run.get("cost"))
        if url is None:
            said = f"the run succeeded without a result: {answer.body[:2000].decode(errors='replace')}"
            raise self._failure(said, remote_id=run_id, charged_usd=cost_usd, code=ErrorCode.UNEXPECTED_ANSWER)
        result = EditResult(
            output_url=url,
            cost_usd=cost_usd,
            nsfw=_nsfw(record(output).get("nsfw_detected")),
            request_id=identifier(run.get("request_id")) or answer.request_id,
        )
        return Submission(remote_id=run_id, result=result)

    def _ended_badly(self, run: dict[str, object], run_id: str, status: str) -> JobFailedError:
        envelope = record(run.get("output"))
        code = word(run.get("failure_code")) or word(envelope.get("code")) or ""
        words = text(run.get("failure_message")) or text(envelope.get("message")) or ""
        refused = "VALIDATION" in code or "INVALID" in code
        return self._failure(
            f"the run {status}: {code} {words}".strip(": "),
            remote_id=run_id,
            charged_usd=charge(run.get("cost")),
            code=ErrorCode.PROVIDER_REJECTED if refused else None,
        )

    def _input(self, request: EditRequest) -> dict[str, object]:
        names = file_names(request, whiten=self._settings.whiten_background)
        if request.operation is Operation.OBJECT_REMOVAL:
            return {"zip_url": request.image.url, "file_mask": names["mask"], "file_input": names["image"]}
        scene = {"prompt": request.prompt} if request.prompt else {}
        return {
            **scene,
            "zip_url": request.image.url,
            "file_image": names["image"],
            "file_reference": names["reference"],
        }

    def _balance_in(self, answer: Answer) -> Balance:
        listed = items(answer.record().get("items"))
        held = record(listed[0]) if listed else answer.record()
        cents, usd, bare = (amount(held.get(name)) for name in ("balance_cents", "balance_usd", "balance"))
        if cents is not None:
            return Balance(usd=cents / 100)
        if usd is not None:
            return Balance(usd=usd)
        if bare is None:
            raise self._kit.interpreter.unexpected(answer, "no balance", Purpose.ASK)
        return Balance(usd=bare) if self._settings.balance_unit == "usd" else Balance(credits=bare)


def _first_list(page: dict[str, object]) -> object:
    return next((value for value in page.values() if isinstance(value, list)), None)


def _output_url(output: object) -> str | None:
    """The first address in any of the documented shapes, and those that Runflow's own clients read."""
    if isinstance(output, list):
        return next((url for entry in output if (url := _output_url(entry))), None)
    if isinstance(output, dict):
        names = ("url", "outputs", "image_urls", "image", "output_url", "image_url", "images")
        return next((url for name in names if (url := _output_url(output.get(name)))), None)
    found = text(output)
    return found if found and found.startswith(("https://", "http://")) else None


def _nsfw(flag: object) -> bool | None:
    """A flag, or one a result."""
    if isinstance(flag, bool):
        return flag
    flags = [value for value in items(flag) if isinstance(value, bool)]
    return any(flags) if flags else None
