"""Maskr: a picture with a mask, points or a box goes out as multipart, the finished job comes back in the same answer; 50 at once in a batch.

Wire facts: seed 001, and maskr.io/docs/api (`docs/providers.md`).
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import MaskrSettings
from tasks.providers.adapter import HttpAdapter, Kit, file_stem
from tasks.providers.answers import Answer, amount, charge, identifier, items, message_of, record, text, word
from tasks.providers.base import Balance, Capabilities, EditRequest, EditResult, Offer, OnSent, Submission
from tasks.providers.errors import InDoubtError, OutOfCreditError, ProviderError, RejectedItemError
from tasks.providers.statuses import Purpose
from tasks.providers.wire import Files

_PATH: Final = "/v1/services/object-removal"
_DONE: Final = frozenset({"completed", "success", "succeeded"})
_FAILED: Final = frozenset({"failed", "error"})
_FILE_BYTES: Final = 25_000_000  # seed 001: "Image or mask exceeds the maximum file size limit (25 MB)"


class MaskrProvider(HttpAdapter[MaskrSettings]):
    """Object removal by Maskr."""

    key: ClassVar[str] = "maskr"

    def __init__(self, kit: Kit[MaskrSettings]) -> None:
        """`kit`: the tools, made by the registry."""
        super().__init__(kit)
        self.capabilities = Capabilities(
            offers=(
                Offer(
                    operation=Operation.OBJECT_REMOVAL,
                    selectors=(frozenset({"mask"}), frozenset({"points"}), frozenset({"box"})),
                    batch_selectors=(frozenset({"mask"}),),
                ),
            ),
            max_image_bytes=self._settings.max_image_bytes or _FILE_BYTES,
            max_image_pixels=self._settings.max_image_pixels,
            batch_size=self._settings.batch_size,
        )

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """One pair, or one picture with prompts."""
        answer = await self._wire.send(
            "POST",
            _PATH,
            purpose=Purpose.SUBMIT,
            files=_pair(request, 0, "image", "mask"),
            params=_prompts(request),
            on_sent=on_sent,
        )
        outer = answer.record()
        job = {**outer, **record(outer.get("result"))}  # the job lies in `result`; a flat answer is understood too
        if word(job.get("status")) is None:
            raise self._kit.interpreter.unexpected(answer, "no job", Purpose.SUBMIT)
        outcome = self._outcome(job, answer)
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    async def submit_batch(
        self, requests: Sequence[EditRequest], *, on_sent: OnSent
    ) -> list[Submission | ProviderError]:
        """Up to 50 pairs in one request."""
        files = [part for index, request in enumerate(requests) for part in _pair(request, index, "images", "masks")]
        answer = await self._wire.send(
            "POST",
            f"{_PATH}/batch",
            purpose=Purpose.SUBMIT,
            files=files,
            timeout_s=self._settings.batch_timeout_s,
            on_sent=on_sent,
        )
        if not isinstance(answer.record().get("results"), list):
            raise self._kit.interpreter.unexpected(answer, "no results", Purpose.SUBMIT)
        batch, results = answer.record(), items(answer.record()["results"])
        if not results and word(batch.get("status")) in _FAILED:
            words, used = message_of(batch.get("error")) or "no reason given", charge(batch.get("total_credits_used"))
            each = None if used is None else used / len(requests)
            return [self._failed(words, identifier(batch.get("batch_id")), each) for _ in requests]
        jobs = _matched([_name(r, i) for i, r in enumerate(requests)], results)
        return [self._outcome(job, answer) if job else self._lost(answer, len(requests)) for job in jobs]

    async def balance(self) -> Balance | None:
        """What the account holds, where an address for it is configured."""
        if self._settings.balance_url is None:
            return None
        answer = await self._wire.send("GET", self._settings.balance_url, purpose=Purpose.ASK)
        held = amount(answer.record().get("total_credits"))
        held = amount(answer.record().get("credits")) if held is None else held
        if held is None:
            raise self._kit.interpreter.unexpected(answer, "no balance", Purpose.ASK)
        return Balance(credits=held)

    def _outcome(self, job: dict[str, object], answer: Answer) -> Submission | ProviderError:
        """What became of one job: its result, or why there is none."""
        status, job_id = word(job.get("status")), identifier(job.get("job_id"))
        used = charge(job.get("credits_used"))
        if status in _FAILED:
            return self._failed(message_of(job.get("error")) or message_of(job) or "no reason given", job_id, used)
        url = text(job.get("output_url"))
        if status not in _DONE or url is None:
            # pending or processing: no document tells how to ask again, and it may be charged
            return self._kit.interpreter.unexpected(
                answer, f"no finished job (status {status})", Purpose.SUBMIT, remote_id=job_id
            )
        return Submission(
            remote_id=job_id, result=EditResult(output_url=url, credits=used, request_id=answer.request_id)
        )

    def _failed(self, words: str, job_id: str | None, used: Decimal | None) -> ProviderError:
        known = self._kit.interpreter.error_in_words(words, f"maskr: {self._kit.interpreter.redact.excerpt(words)}")
        if isinstance(known, OutOfCreditError) and not used:
            return known
        if isinstance(known, RejectedItemError) and used == 0:
            return known
        charged_usd = None if used is None else charge(str(used * self._settings.usd_per_credit))
        return self._failure(f"the job failed: {words}", remote_id=job_id, charged_usd=charged_usd)

    def _lost(self, answer: Answer, sent: int) -> InDoubtError:
        """Nothing in the answer can safely be called this pair's result: a wrong guess would deliver another product's picture."""
        found = len(items(answer.record().get("results")))
        return InDoubtError(
            f"maskr: {sent} pairs were sent, {found} results came, and this pair's cannot be told: "
            f"{self._kit.interpreter.redact.excerpt(answer.body)}",
            code=ErrorCode.UNEXPECTED_ANSWER,
            remote_id=identifier(answer.record().get("batch_id")),
        )


def _name(request: EditRequest, index: int) -> str:
    """A file name that no other pair of the request has; the same for the same attempt."""
    return f"{index:02d}-{file_stem(request)}{request.image.suffix}"


def _pair(request: EditRequest, index: int, image_field: str, mask_field: str) -> Files:
    name = _name(request, index)
    files = [(image_field, (name, request.image.data, request.image.media_type))]
    if request.mask is not None:
        stem = name.rpartition(".")[0]
        files.append((mask_field, (f"{stem}-mask.png", request.mask.data, request.mask.media_type)))
    return files


def _prompts(request: EditRequest) -> dict[str, str]:
    """Points, labels and box as JSON text in the query; a mask makes them needless."""
    if request.mask is not None:
        return {}
    prompts: dict[str, str] = {}
    if request.points:
        prompts["points"] = _json(request.points)
        prompts["labels"] = _json(request.labels or [1] * len(request.points))
    if request.box is not None:
        prompts["box"] = _json(request.box)
    return prompts


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _matched(names: Sequence[str], results: list[object]) -> list[dict[str, object] | None]:
    """Each pair's result: by the file name that Maskr gives back, else by position if as many came as were sent; None where neither is safe."""
    jobs = [record(result) for result in results]
    stated = [text(job.get("input_filename")) for job in jobs]
    by_name = {name: job for name, job in zip(stated, jobs, strict=True) if name in names}
    if by_name:
        unique = len(by_name) == sum(name in names for name in stated)
        return [by_name.get(name) if unique else None for name in names]
    return list(jobs) if len(jobs) == len(names) else [None] * len(names)
