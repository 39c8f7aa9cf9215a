"""The life of one Runflow run: queued → running → succeeded or failed, its zip read, its edit made, its callback sent."""

import io
import zipfile
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasks.providers.sandbox.bill import Account, Hold, Price, Work
from tasks.providers.sandbox.callbacks import Callback
from tasks.providers.sandbox.clock import iso
from tasks.providers.sandbox.edits import PLAIN_BACKGROUND, Edited, Order, scene_from
from tasks.providers.sandbox.faults import Endpoint, FaultKind
from tasks.providers.sandbox.fetching import FetchError
from tasks.providers.sandbox.pictures import PictureError, decode
from tasks.providers.sandbox.selections import ByMask
from tasks.providers.sandbox.state import sha256
from tasks.providers.sandbox.vendors.downloads import address, keep

if TYPE_CHECKING:
    from tasks.providers.sandbox.vendors.runflow import Runflow

OBJECT_REMOVAL = "runflow/object-removal"
BACKGROUND_REPLACE = "runflow/background-replace"
INPUTS = {
    OBJECT_REMOVAL: ("zip_url", "file_input", "file_mask"),
    BACKGROUND_REPLACE: ("zip_url", "file_image", "file_reference"),
}
MAX_ENTRY_BYTES = 104_857_600  # of one file unpacked: a zip bomb's end
TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass(kw_only=True, slots=True)
class Run:
    """One run as the vendor knows it."""

    id: str
    model: str
    account: Account
    input: dict[str, Any]
    created_at: datetime
    request_id: str
    reference: str | None  # what the bill shows: Idempotency-Key, else client_ref
    base_url: str
    callback_url: str | None = None
    metadata: dict[str, Any] | None = None
    client_ref: str | None = None
    status: str = "queued"
    started_at: datetime | None = None
    completed_at: datetime | None = None
    path: str | None = None  # of the finished picture
    expired: bool = False  # the address that is given first is to be over already
    cost: str | None = None
    failure: tuple[str, str, str] | None = None  # code, message, stage
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def item(self) -> str:
        """What the client calls the picture: metadata's item_id, else the file's name in the zip."""
        named = (self.metadata or {}).get("item_id")
        return str(named or self.input.get("file_input") or self.input.get("file_image"))

    @property
    def names(self) -> tuple[str, ...]:
        """For faults that match."""
        return tuple(name for name in (self.item, self.id, self.client_ref, self.reference) if name)

    @property
    def duration_ms(self) -> int | None:
        """From creation to the terminal state."""
        return round((self.completed_at - self.created_at).total_seconds() * 1000) if self.completed_at else None


class _RunError(Exception):
    """The run fails."""

    def __init__(self, code: str, message: str, stage: str) -> None:
        super().__init__(message)
        self.facts = (code, message, stage)


async def live(vendor: "Runflow", run: Run, hold: Hold) -> None:
    """From queued to a terminal state, then the callback. Charged only when it succeeded."""
    state, config = vendor.state, vendor.config
    faults = state.picture_faults(vendor.key, Endpoint.SUBMIT, run.names)
    await state.clock.sleep(config.queue_s)
    if FaultKind.STUCK_JOB in faults:
        return  # for ever queued, its money for ever held
    run.status, run.started_at = "running", state.clock.now()
    try:
        edited, picture = await _worked(vendor, run, faults)
        await state.clock.sleep(config.latency_s)
        _deliver(vendor, run, edited, expired=FaultKind.EXPIRED_URL in faults)
        work = Work(
            request_id=run.request_id,
            job_id=run.id,
            item=run.item,
            reference=run.reference,
            picture_sha256=sha256(picture),
        )
        hold.charge(work)
        run.status, run.cost = "succeeded", str(hold.price.usd)
    except _RunError as error:
        run.status, run.failure = "failed", error.facts
    finally:
        hold.release()
        run.completed_at = state.clock.now()
    if run.callback_url:
        await call_back(vendor, run)


async def _worked(vendor: "Runflow", run: Run, faults: frozenset[FaultKind]) -> tuple[Edited, bytes]:
    if FaultKind.ITEM_FAILURE in faults:
        raise _RunError("INFERENCE_FAILED", "the model failed", "inference")
    config = vendor.config
    first, second = (str(run.input[name]) for name in INPUTS[run.model][1:])
    try:
        archive = await vendor.read_zip(run)
        with zipfile.ZipFile(io.BytesIO(archive)) as unpacked:
            picture, other = _entry(unpacked, first), _entry(unpacked, second)
        order = _order(run.model, picture, other, config.output_format)
        return await vendor.state.edit(order, faults), picture
    except FetchError as error:
        raise _RunError("INPUT_FETCH_FAILED", f"zip_url: {error}", "preprocess") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise _RunError("INPUT_VALIDATION_FAILED", "zip_url is not a readable zip archive", "preprocess") from None
    except PictureError as error:
        raise _RunError("INPUT_VALIDATION_FAILED", str(error), "preprocess") from None


def _entry(unpacked: zipfile.ZipFile, name: str) -> bytes:
    try:
        entry = unpacked.getinfo(name)
    except KeyError:
        raise _RunError("INPUT_VALIDATION_FAILED", f"the zip has no file '{name}'", "preprocess") from None
    with unpacked.open(entry) as file:
        data = file.read(MAX_ENTRY_BYTES + 1)
    if len(data) > MAX_ENTRY_BYTES:
        raise _RunError("INPUT_VALIDATION_FAILED", f"'{name}' is too large", "preprocess")
    return data


def _order(model: str, picture: bytes, other: bytes, output_format: str) -> Order:
    if model == OBJECT_REMOVAL:
        return Order(image=picture, select=ByMask(data=other), output_format=output_format)
    scene = scene_from(decode(other, "reference"))
    return Order(image=picture, select=PLAIN_BACKGROUND, scene=scene, output_format=output_format)


def _deliver(vendor: "Runflow", run: Run, edited: Edited, *, expired: bool) -> None:
    suffix = edited.media_type.partition("/")[2]
    run.path, run.expired = f"/outputs/{run.id}.{suffix}", expired
    keep(vendor, run.path, edited, run.names)


def output_of(vendor: "Runflow", run: Run) -> dict[str, Any] | None:
    """The output with freshly signed addresses; None unless the run succeeded."""
    if run.path is None or run.status != "succeeded":
        return None
    url = address(vendor, run.base_url, run.path, expired=run.expired)
    run.expired = False  # who asks again gets an address that is signed anew
    if run.model == BACKGROUND_REPLACE:
        return {"image_urls": [url]}
    return {"outputs": [{"url": url}], "seed": None, "timing": None, "nsfw_detected": None}


async def call_back(vendor: "Runflow", run: Run) -> None:
    """Send the terminal state to the callback_url."""
    event = {"succeeded": "run.completed"}.get(run.status, f"run.{run.status}")
    payload = {
        "event": event,
        "run_id": run.id,
        "status": run.status,
        "output": output_of(vendor, run),
        "duration_ms": run.duration_ms,
        "created_at": iso(run.created_at),
        "completed_at": run.completed_at and iso(run.completed_at),
        "metadata": run.metadata,
    }
    callback = Callback(
        vendor=vendor.key,
        url=str(run.callback_url),
        payload=payload,
        names=run.names,
        headers={"Runflow-Request-Id": run.request_id},
        secret=vendor.callback_secret(run.account),
        backoff_s=vendor.config.callback_backoff_s,
        history=run.callbacks,
    )
    await vendor.state.callbacks.deliver(callback)


def record(vendor: "Runflow", run: Run) -> dict[str, Any]:
    """The full run record of the API reference."""
    code, message, stage = run.failure or (None, None, None)
    known: dict[str, Any] = {
        "id": run.id,
        "flow_id": None,
        "model_id": run.model,
        "comfyui_workflow_id": None,
        "target_type": "model",
        "target_version": None,
        "org_id": run.account.id,
        "status_code": run.status,
        "source_code": "api",
        "input": run.input,
        "output": output_of(vendor, run),
        "context": None,
        "duration_ms": run.duration_ms,
        "cost": run.cost,
        "cost_breakdown": None,
        "nodes_total": 1,
        "nodes_completed": int(run.status == "succeeded"),
        "resolved_template_id": None,
        "batch_id": None,
        "client_ref": run.client_ref,
        "jurisdiction_code": None,
        "flow_version_id": None,
        "request_id": run.request_id,
        "created_by": run.account.id,
        "created_at": iso(run.created_at),
        "started_at": run.started_at and iso(run.started_at),
        "completed_at": run.completed_at and iso(run.completed_at),
        "callback_url": run.callback_url,
        "metadata": run.metadata,
        "has_logs": False,
        "has_node_runs": False,
        "links": {},
        "failure_code": code,
        "failure_message": message,
        "failure_stage_code": stage,
        "node_runs": [],
    }
    return known


def price_of(vendor: "Runflow", model: str) -> Price:
    """Price of one run. KeyError: no such model."""
    return Price(unit="usd", usd=vendor.config.usd_per_run[model])
