"""1min.ai: pictures are uploaded as assets, one feature call brings the result.

Wire facts: seed 004, and docs.1min.ai (`docs/providers.md`).
"""

from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

from manifests.error_codes import ErrorCode
from manifests.items import Operation
from tasks.config.providers import OneMinSettings
from tasks.providers.adapter import HttpAdapter, Kit
from tasks.providers.answers import Answer, amount, identifier, items, message_of, record, text, word
from tasks.providers.base import Asset, Balance, Capabilities, EditRequest, EditResult, Offer, OnSent, Submission
from tasks.providers.errors import RejectedItemError
from tasks.providers.statuses import Purpose

_DONE: Final = frozenset({"SUCCESS", "OK", "COMPLETED"})
_FAILED: Final = frozenset({"FAILED", "ERROR", "FAILURE"})


class OneMinProvider(HttpAdapter[OneMinSettings]):
    """Object removal (Recraft) and background replacement by 1min.ai."""

    key: ClassVar[str] = "onemin"

    def __init__(self, kit: Kit[OneMinSettings]) -> None:
        """`kit`: the tools, made by the registry."""
        super().__init__(kit)
        self._seen: Balance | None = None
        self.capabilities = Capabilities(
            offers=(
                Offer(operation=Operation.OBJECT_REMOVAL, selectors=(frozenset({"mask"}),)),
                Offer(operation=Operation.BACKGROUND_REPLACE, selectors=(frozenset({"prompt"}),)),
            ),
            max_image_bytes=self._settings.max_image_bytes,
            max_image_pixels=self._settings.max_image_pixels,
            max_side=self._settings.max_side,
            min_side=self._settings.min_side,
            pollable=self._settings.poll_unfinished,
        )

    async def prepare(self, request: EditRequest) -> EditRequest:
        """Upload the picture, and the mask where one is used."""
        if request.operation is Operation.BACKGROUND_REPLACE and not request.prompt:
            raise RejectedItemError("onemin: background-replace needs a prompt", code=ErrorCode.NO_PROVIDER)
        return await self._with_addresses(request)

    async def submit(self, request: EditRequest, *, on_sent: OnSent) -> Submission:
        """The feature call."""
        body = self._removal(request) if request.operation is Operation.OBJECT_REMOVAL else self._replacement(request)
        answer = await self._wire.send("POST", "/api/features", purpose=Purpose.SUBMIT, json=body, on_sent=on_sent)
        return self._submission(answer, Purpose.SUBMIT)

    async def poll(self, remote_id: str, request: EditRequest | None = None) -> Submission:  # noqa: ARG002 - the id is enough
        """How a record stands; undocumented, hence behind `poll_unfinished`."""
        answer = await self._wire.send("GET", f"/api/features/{quote(remote_id, safe='')}", purpose=Purpose.ASK)
        return self._submission(answer, Purpose.ASK)

    async def balance(self) -> Balance | None:
        """What the last answer said: 1min.ai has no address for it. None before the first."""
        return self._seen

    async def _addressed(self, asset: Asset, name: str) -> Asset:
        if self._settings.send_urls:
            return await super()._addressed(asset, name)
        return replace(asset, url=await self._upload(asset, name))

    async def _upload(self, asset: Asset, name: str) -> str:
        """The asset's path. The file name needs the right suffix, or the API refuses the file."""
        files = [("asset", (name, asset.data, asset.media_type))]
        answer = await self._wire.send("POST", "/api/assets", purpose=Purpose.PREPARE, files=files)
        uploaded = answer.record()
        path = text(record(uploaded.get("fileContent")).get("path")) or text(record(uploaded.get("asset")).get("key"))
        if path is None:
            raise self._kit.interpreter.unexpected(answer, "no path of the upload", Purpose.PREPARE)
        return path

    def _removal(self, request: EditRequest) -> dict[str, object]:
        model = self._settings.object_removal_model
        prompt: dict[str, object] = {"imageUrl": request.image.url, "maskUrl": request.mask and request.mask.url}
        if model == "stable-image":
            prompt["output_format"] = "png"
        return {"type": "IMAGE_OBJECT_REMOVER", "model": model, "promptObject": prompt}

    def _replacement(self, request: EditRequest) -> dict[str, object]:
        model = self._settings.background_replace_model
        counted = {"n": 1} if model == "recraft" else {}  # temporaryUrl is one address: more pictures would be lost
        prompt = {
            "imageUrl": request.image.url,
            "prompt": request.prompt,
            **counted,
            **self._settings.background_options,
        }
        return {"type": "BACKGROUND_REPLACER", "model": model, "promptObject": prompt}

    def _submission(self, answer: Answer, purpose: Purpose) -> Submission:
        made = record(answer.record().get("aiRecord"))
        status, uuid = (word(made.get("status")) or "").upper(), identifier(made.get("uuid"))
        self._remember(record(made.get("teamUser")))
        if status in _FAILED:
            words = message_of(made.get("error")) or message_of(made) or "no reason given"
            raise self._failure(f"the record {status}: {words}", remote_id=uuid)
        if status in _DONE:
            return Submission(remote_id=uuid, result=self._result(made, answer))
        if uuid is not None and status and self._settings.poll_unfinished:
            return Submission(remote_id=uuid)
        raise self._kit.interpreter.unexpected(answer, "no finished record", purpose, remote_id=uuid)

    def _result(self, made: dict[str, object], answer: Answer) -> EditResult:
        """`temporaryUrl` is signed and lasts 7 days; the keys in `resultObject` are private."""
        several = items(made.get("temporaryUrls"))
        url = text(made.get("temporaryUrl")) or text(several[0] if several else None)
        url = url or self._address_of_key(record(made.get("aiRecordDetail")).get("resultObject"))
        if url is None:
            said = f"the record succeeded without temporaryUrl: {answer.body[:2000].decode(errors='replace')}"
            raise self._failure(said, remote_id=identifier(made.get("uuid")), code=ErrorCode.UNEXPECTED_ANSWER)
        return EditResult(output_url=url, request_id=answer.request_id)

    def _address_of_key(self, result: object) -> str | None:
        first = items(result)[0] if items(result) else result
        key = text(first) or text(record(first).get("url")) or text(record(first).get("path"))
        if key is None or key.startswith(("https://", "http://")):
            return key
        base = self._settings.asset_base_url
        return f"{base.rstrip('/')}/{key.lstrip('/')}" if base else None

    def _remember(self, user: dict[str, object]) -> None:
        limit, used = amount(user.get("creditLimit")), amount(user.get("usedCredit"))
        if limit is not None and used is not None:
            self._seen = Balance(credits=limit - used)
