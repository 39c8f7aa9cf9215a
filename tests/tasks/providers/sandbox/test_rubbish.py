"""Whatever is sent, the answer is a refusal or a result, never a defect of the sandbox."""

import asyncio
import copy
import json
import random

import pytest

from tests.tasks.providers.sandbox.harness import (
    KEY,
    MASK_URI,
    OBJECT_REMOVAL,
    PAIR,
    PHOTO,
    PHOTO_URI,
    inside,
    pairs,
    zip_uri,
)

HEADERS = {"Authorization": f"Bearer {KEY}", "API-KEY": KEY}
RUN = {"input": {"zip_url": zip_uri(), "file_input": "photo.png", "file_mask": "mask.png"}, "client_ref": "r"}
SWAP = {"input": {"zip_url": zip_uri(), "file_image": "photo.png", "file_reference": "mask.png", "prompt": "p"}}
WORDS = {"key": KEY, "init_image": PHOTO_URI, "object_name": "sofa", "track_id": 1, "base64": False, "webhook": None}
ERASE = {"imageUrl": PHOTO_URI, "maskUrl": MASK_URI, "prompt": "p", "size": "1024x1024", "output_format": "png"}
VALID = {
    "/runflow/v1/models/runflow/object-removal/runs": RUN | {"metadata": {"item_id": "i"}, "callback_url": None},
    "/runflow/v1/models/runflow/background-replace/runs": SWAP,
    "/runflow/v1/asset-uploads": {"filename": "a.zip", "mime_type": "application/zip", "size_bytes": 5},
    "/runflow/v1/callback-secrets": {"label": "production"},
    "/modelslab/api/v6/interior/object_removal": WORDS,
    "/modelslab/api/v6/image_editing/object_removal": WORDS | {"mask_image": MASK_URI},
    "/modelslab/api/v6/interior/fetch/1": {"key": KEY},
    "/modelslab/api/v6/base64_to_url": {"key": KEY, "base64_string": PHOTO_URI},
    "/modelslab/api/v3/base64_crop": {"key": KEY, "image": PHOTO_URI, "crop": "false"},
    "/modelslab/api/wallet_balance": {"key": KEY},
    "/onemin/api/features": {"type": "IMAGE_OBJECT_REMOVER", "model": "stable-image", "promptObject": ERASE},
    "/_sandbox/credits": {"vendor": "maskr", "amount": 5, "account": "x"},
    "/_sandbox/faults": {"kind": "status", "share": 0.5, "match": "a", "count": 1, "endpoint": "batch"},
}
RUBBISH = (
    *(None, True, False, 0, -1, 10**30, 1.5, float("inf"), "", " ", "\0", "\ud800", "é" * 300, "../../etc/passwd"),
    *("http://[", "http://", "file:///etc/passwd", "data:,", "data:image/png;base64,AAAA", "runflow://assets/x"),
    *("images/none.png", [], [[]], {}, {"a": 1}, [1, 2], PHOTO_URI, PHOTO_URI[:80]),
)


def spoilt(dice, value):
    """A copy in which one or two things, at any depth, are rubbish, gone or new."""
    result = copy.deepcopy(value)
    for _ in range(dice.randint(1, 2)):
        place = result
        while isinstance(inner := place[name := dice.choice(list(place))], dict) and inner and dice.random() < 0.8:
            place = inner
        place[dice.choice([name, name, name, "new"])] = copy.deepcopy(dice.choice(RUBBISH))
        if dice.random() < 0.2 and len(place) > 1:
            place.pop(name, None)
    return result


@pytest.mark.parametrize("path", VALID)
def test_bodies_with_rubbish_in_them(path):
    async def run():
        dice = random.Random(path)
        async with inside() as sandbox:
            right = await sandbox.post(path, json=VALID[path], headers=HEADERS)
            assert right.status_code < 500
            for _ in range(120):
                sandbox.state.faults.remove()
                body = spoilt(dice, VALID[path])
                answer = await sandbox.post(path, content=json.dumps(body).encode(), headers=HEADERS)
                assert answer.status_code < 500, (body, answer.text)
            await sandbox.state.settled()
            assert sandbox.state.traffic.defects == 0
            assert all(float(account["held"]) == 0 for account in (await sandbox.bill())["accounts"])

    asyncio.run(run())


PARTS = ["image", "images", "mask", "masks", "asset", "other"]
NAMES = ["a.png", "", ".", "ä.png", "a\0.png", "../a.png", "x" * 500, 'a".png']
CONTENTS = [PHOTO, PHOTO[:60], b"", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff", b"GIF89a", b"{}"]
PROMPTS = ["[[1,2]]", "[[1e99,2]]", "[[-1,-1]]", "[1]", "[", "[[]]", '[["a","b"]]', "[9,9,1,1]", "[0,0,5,5]", "null"]


@pytest.mark.parametrize("path", [OBJECT_REMOVAL, f"{OBJECT_REMOVAL}/batch", "/onemin/api/assets"])
def test_forms_with_rubbish_in_them(path):
    valid = [(name, PAIR[name]) for name in PAIR] if path == OBJECT_REMOVAL else pairs(2)

    async def run():
        dice = random.Random(path)
        async with inside() as sandbox:
            for _ in range(120):
                strange = (dice.choice(PARTS), (dice.choice(NAMES), dice.choice(CONTENTS)))
                files = [*dice.sample(valid, dice.randint(0, len(valid))), strange]
                query = {name: dice.choice(PROMPTS) for name in ("points", "labels", "box") if dice.random() < 0.5}
                answer = await sandbox.post(path, files=files, params=query, headers=HEADERS)
                assert answer.status_code < 500, (files, query, answer.text)
            assert sandbox.state.traffic.defects == 0

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "text/plain", "\xff"])
@pytest.mark.parametrize("path", [OBJECT_REMOVAL, f"{OBJECT_REMOVAL}/batch", "/onemin/api/assets"])
def test_a_body_that_is_no_form(path, kind):
    async def run():
        async with inside() as sandbox:
            headers = HEADERS | {"Content-Type": kind.encode("latin-1")}
            answer = await sandbox.post(path, content=b"--\r\n\r\nrubbish", headers=headers)

            assert answer.status_code in (400, 422)
            assert sandbox.state.traffic.defects == 0

    asyncio.run(run())
