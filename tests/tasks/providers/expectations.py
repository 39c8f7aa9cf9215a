"""What the contract test needs to know of each vendor: where it is asked, and what it answers when all is well."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tasks.providers.base import EditRequest
from tests.tasks.providers.factories import KEY, Vendor, removal, replacement, seed

RESULT = "https://results.example/1.png?sig=signed-part"


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One adapter's side of the contract."""

    submit: str  # "METHOD /path" of the charged request
    accepted: Any  # its good answer
    requests: dict[str, EditRequest]  # one for each way of asking that it offers
    carries_key: Callable[[httpx.Request], bool]
    uploads: dict[str, Any] = field(default_factory=dict)  # good answers of what `prepare` asks
    poll: str | None = None  # "METHOD /path" of the question about the job
    remote_id: str = ""
    finished: Any = None  # its good answer


def _bearer(request: httpx.Request) -> bool:
    return request.headers.get("authorization") == f"Bearer {KEY}"


_MASKR = seed("maskr_object_removal")["response"]
_ONEMIN = seed("onemin_object_removal")["response"]["aiRecord"]
_MODELSLAB = seed("modelslab_object_removal")

EXPECTATIONS: dict[str, Expectation] = {
    "runflow": Expectation(
        submit="POST /v1/models/runflow/object-removal/runs",
        accepted={"id": "01J0", "status_code": "queued"},
        requests={"mask": removal(), "reference": replacement()},
        carries_key=_bearer,
        uploads={
            "POST /v1/asset-uploads": {"asset_id": "a1", "upload_url": "https://upload.example/a1?sig=signed-part"},
            "POST /v1/asset-uploads/a1/confirmations": {"id": "a1", "url": "https://assets.example/a1.zip"},
            "POST /v1/models/runflow/background-replace/runs": {"id": "01J0", "status_code": "queued"},
        },
        poll="GET /v1/runs/01J0",
        remote_id="01J0",
        finished={"id": "01J0", "status_code": "succeeded", "output": {"outputs": [{"url": RESULT}]}, "cost": "0.48"},
    ),
    "maskr": Expectation(
        submit="POST /v1/services/object-removal",
        accepted=_MASKR | {"result": _MASKR["result"] | {"output_url": RESULT}},
        requests={
            "mask": removal(),
            "points": removal(mask=None, points=((3, 4), (5, 6)), labels=(1, 0)),
            "box": removal(mask=None, box=(1, 2, 30, 40)),
        },
        carries_key=_bearer,
    ),
    "modelslab": Expectation(
        submit="POST /api/v6/image_editing/object_removal",
        accepted=_MODELSLAB["processing"],
        requests={"mask": removal(), "text": removal(mask=None, object_name="sofa")},
        carries_key=lambda request: f'"key":"{KEY}"'.encode() in request.content,
        uploads={
            "POST /api/v6/base64_to_url": {"status": "success", "id": 1, "output": ["https://uploads.example/1.png"]},
            "POST /api/v6/interior/object_removal": _MODELSLAB["processing"],
            "POST /api/v6/interior/fetch/12345": _MODELSLAB["success"] | {"output": [RESULT]},
        },
        poll="POST /api/v6/image_editing/fetch/12345",
        remote_id="image_editing/12345",
        finished=_MODELSLAB["success"] | {"output": [RESULT]},
    ),
    "onemin": Expectation(
        submit="POST /api/features",
        accepted={"aiRecord": _ONEMIN | {"temporaryUrl": RESULT}},
        requests={"mask": removal(), "prompt": replacement(reference=None)},
        carries_key=lambda request: request.headers.get("api-key") == KEY,
        uploads={"POST /api/assets": seed("onemin_object_removal")["asset_upload"]["response"]},
    ),
}
"""One entry for every adapter of the registry; the contract test fails where one is missing."""


def vendor_of(key: str) -> Vendor:
    """A vendor with whom everything goes well."""
    expected = EXPECTATIONS[key]
    vendor = Vendor().answer(expected.submit, expected.accepted)
    for place, good in expected.uploads.items():
        vendor.answer(place, good)
    if expected.poll:
        vendor.answer(expected.poll, expected.finished)
    return vendor
