"""ModelsLab: pictures by URL, an object named in words or marked by a mask; the answer is the result, or an id to ask about.

Wire facts: seed 002, and the vendor's own documentation and SDK (`docs/providers.md`). The key travels in the body, so the address to
ask at is always rebuilt from `base_url`, never taken from an answer.
"""

import base64
import hashlib
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import ModelsLabSettings
from tasks.providers.adapter import HttpAdapter, Kit
from tasks.providers.answers import Answer, amount, identifier, message_of, record, text, word
from tasks.providers.base import Asset, Balance, Capabilities, EditRequest, EditResult, Offer, OnSent, Submission
from tasks.providers.download import from_base64
from tasks.providers.errors import OutOfCreditError, ProviderError, RejectedItemError
from tasks.providers.statuses import Purpose, as_answer_to_a_question, retry_after_s

INTERIOR: Final = "interior"  # by object_name
IMAGE_EDITING: Final = "image_editing"  # by mask_image
_LONGEST_ESTIMATE_S: Final = 600.0


class ModelsLabProvider(HttpAdapter[ModelsLabSettings]):
    """Object removal by ModelsLab. A remote id is `<endpoint family>/<id>`: each family has its own place to ask at."""

    key: ClassVar[str] = "modelslab"

    def __init__(self, kit: Kit[ModelsLabSettings]) -> None:
        """`kit`: the tools, made by the registry."""
        super().__init__(kit)
        self.capabilities = Capabilities(
            offers=(Offer(operation=Operation.OBJECT_REMOVAL, selectors=(frozenset({"mask"}), frozenset({"text"}))),),
            max_image_bytes=self._settings.max_image_bytes,
            max_image_pixels=self._settings.max_image_pixels,
            pollable=True,
        )

    async def prepare(self, request: EditRequest) -> EditRequest:
        """An address for each picture."""
        return await self._with_addresses(request)

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """Ask for the removal."""
        family = IMAGE_EDITING if request.mask is not None else INTERIOR
        answer = await self._wire.send(
            "POST",
            f"{self._settings.api_path}/{family}/object_removal",
            purpose=Purpose.SUBMIT,
            json={"key": self._kit.key(), **self._body(request, family)},
            on_sent=on_sent,
        )
        return self._submission(answer, family, Purpose.SUBMIT)

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:  # noqa: ARG002 - the id is enough
        """How the job stands."""
        family, _, job_id = remote_id.rpartition("/")
        family = family if family in (INTERIOR, IMAGE_EDITING) else INTERIOR
        path = f"{self._settings.api_path}/{family}/fetch/{quote(job_id, safe='')}"
        answer = await self._wire.send("POST", path, purpose=Purpose.ASK, json={"key": self._kit.key()})
        return self._submission(answer, family, Purpose.ASK, job_id)

    async def balance(self) -> Balance | None:
        """What the wallet holds."""
        path = self._settings.balance_path
        answer = await self._wire.send("POST", path, purpose=Purpose.ASK, json={"key": self._kit.key()})
        usd = amount(record(answer.record().get("data")).get("balance"))
        if usd is None:
            raise self._refused(answer, Purpose.ASK) or self._kit.interpreter.unexpected(
                answer, "no balance", Purpose.ASK
            )
        return Balance(usd=usd)

    async def _upload(self, asset: Asset, name: str) -> str:
        """The vendor's `base64_to_url`: the address lasts a day."""
        limit = self._settings.upload_max_bytes
        if len(asset.data) * 4 / 3 > limit:
            raise RejectedItemError(
                f"modelslab: {name} is too large to upload ({len(asset.data)} bytes; as base64 at most {limit}): "
                "set CLEANPLATE_STAGING_URI",
                code=ErrorCode.IMAGE_TOO_LARGE,
            )
        encoded = base64.b64encode(asset.data).decode()
        body = {"key": self._kit.key(), "base64_string": f"data:{asset.media_type};base64,{encoded}"}
        answer = await self._wire.send("POST", self._settings.upload_path, purpose=Purpose.PREPARE, json=body)
        url = _first_text(answer.record().get("output")) or text(answer.record().get("link"))
        if url is None:
            raise self._refused(answer, Purpose.PREPARE) or self._kit.interpreter.unexpected(
                answer, "no address of the upload", Purpose.PREPARE
            )
        return url

    def _body(self, request: EditRequest, family: str) -> dict[str, object]:
        webhook = f"{request.callback_url}/{family}" if request.callback_url else None
        track_id = _track_id(request.attempt_key, self._settings.track_id) if webhook else None
        body: dict[str, object] = {"init_image": request.image.url}
        if family == IMAGE_EDITING and request.mask is not None:
            body["mask_image"] = request.mask.url
        else:
            body |= {"object_name": request.object_name, "base64": False}
        return {**body, "webhook": webhook, "track_id": track_id}

    def _submission(self, answer: Answer, family: str, purpose: Purpose, known_id: str | None = None) -> Submission:
        job = answer.record()
        status = word(job.get("status"))
        job_id = known_id or identifier(job.get("id")) or _last_part(text(job.get("fetch_result")))
        remote_id = f"{family}/{job_id}" if job_id else None
        if status in ("error", "failed"):
            raise self._ended_badly(answer, purpose, remote_id)
        if status == "success" and (output := _output(job)) is not None:
            return Submission(remote_id=remote_id, result=replace(output, request_id=answer.request_id))
        if remote_id is None or status is None:
            raise self._kit.interpreter.unexpected(answer, "no job", purpose, remote_id=remote_id)
        if status == "success":  # done, and nothing to show: asking again would not change it
            said = f"the job succeeded without a result: {answer.body[:2000].decode(errors='replace')}"
            raise self._failure(said, remote_id=remote_id, code=ErrorCode.UNEXPECTED_ANSWER)
        eta = amount(job.get("eta"))
        wait_s = min(max(float(eta), 0.0), _LONGEST_ESTIMATE_S) if eta is not None else None
        return Submission(remote_id=remote_id, poll_after_s=wait_s)

    def _ended_badly(self, answer: Answer, purpose: Purpose, remote_id: str | None) -> ProviderError:
        """`status: error` comes with HTTP 200: what it means is in the words alone."""
        refused = self._refused(answer, purpose)
        if refused is not None and not (purpose is Purpose.ASK and isinstance(refused, RejectedItemError)):
            return refused
        words = message_of(answer.json()) or answer.body[:2000].decode(errors="replace")
        return self._failure(words, remote_id=remote_id)

    def _refused(self, answer: Answer, purpose: Purpose) -> ProviderError | None:
        words = message_of(answer.json())
        if words is None:
            return None
        interpreter = self._kit.interpreter
        wait_s = retry_after_s(answer, self._wire.clock())
        known = interpreter.error_in_words(words, f"modelslab: {interpreter.redact.excerpt(words)}", wait_s)
        if purpose is Purpose.ASK and isinstance(known, OutOfCreditError):
            return as_answer_to_a_question(known)
        return known


def _output(job: dict[str, object]) -> EditResult | None:
    """An address, a data: URI or base64 itself: the documents disagree on what `base64` brings."""
    for name in ("output", "proxy_links", "future_links"):
        found = _first_text(job.get(name)) or ""
        if found.startswith(("https://", "http://")):
            return EditResult(output_url=found)
        if (decoded := from_base64(found)) is not None:
            return EditResult(output=decoded)
    return None


def _first_text(value: object) -> str | None:
    """The first string of a list, or the string itself: while processing, `output` may be [], "" or null."""
    if isinstance(value, list):
        return next((found for entry in value if (found := text(entry))), None)
    return text(value)


def _last_part(url: str | None) -> str | None:
    return (url.rstrip("/").rpartition("/")[2] or None) if url else None


def _track_id(attempt_key: str, kind: str) -> int | str:
    """48 bits of it where a number is wanted: exact in every JSON reader."""
    digest = hashlib.sha256(attempt_key.encode()).digest()
    return int.from_bytes(digest[:6]) if kind == "integer" else attempt_key
