"""Ten thousand damaged files through preflight and the gate: no crash, no hang, no memory beyond a stated bound.

The work runs in a child process, so that a crash of a native decoder is seen and counted. Each input takes the place of the
picture, the mask, the reference or the provider's answer in turn.
"""

import json
import resource
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from manifests.items import Item, Operation
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.preflight import Fitted, Preflight, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.quality import deliver, judge
from tests.factories.mutations import SIZE, mutated
from tests.factories.pictures import hole, jpeg, photo, png

INPUTS, QUICK_INPUTS = 10_000, 1_000
MAX_PIXELS = 4_000_000
MEMORY_BOUND_MB = 40 * MAX_PIXELS // 1_000_000
"""40 bytes for each pixel that the settings allow: a decoded picture, its alpha, and the copies that compositing makes."""
HANG_S = 10.0
REMOVAL = Item(item_id="i", image_uri="image", mask_uri="mask")
REPLACEMENT = Item(
    item_id="i", image_uri="image", mask_uri="mask", reference_uri="r", operation=Operation.BACKGROUND_REPLACE
)


def main(quick: bool) -> None:
    """Print one table."""
    inputs = QUICK_INPUTS if quick else INPUTS
    began = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __spec__.name, str(inputs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60 + inputs,
    )
    if child.returncode != 0:
        print(f"**the child ended with {child.returncode}**\n\n```\n{child.stderr[-2000:]}\n```")
        raise SystemExit(1)
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    print(f"| {inputs:,} damaged files | |\n|---|---:|")
    print(f"| accepted | {found['accepted']:,} |")
    for code, count in sorted(found["codes"].items(), key=lambda pair: -pair[1]):
        print(f"| {code} | {count:,} |")
    print(f"| exceptions | {len(found['exceptions'])} |")
    print(f"| slowest, s (a hang is {HANG_S:g}) | {found['slowest_s']:.2f} |")
    print(f"| memory grown, MB (bound {MEMORY_BOUND_MB}) | {found['grown_mb']} |")
    print(f"| inputs a second | {inputs / (time.perf_counter() - began):.0f} |")
    for text in found["exceptions"][:10]:
        print(f"\n    {text}")
    if found["exceptions"] or found["slowest_s"] > HANG_S or found["grown_mb"] > MEMORY_BOUND_MB:
        raise SystemExit(1)


class _Target:
    """One sound row, in which each of the four files is replaced by a damaged one in turn."""

    def __init__(self) -> None:
        self.settings = PreflightSettings(max_image_pixels=MAX_PIXELS)
        self.image, self.mask = jpeg(photo(1, *SIZE)), png(hole(*SIZE))
        self.sound = check_item(REMOVAL, self.image, self.mask, None, self.settings)
        self.sent = self._fitted(self.sound)

    def _fitted(self, found: Preflight) -> Fitted:
        fitted = fit_to_provider(found, Capabilities(offers=()), self.settings)
        assert isinstance(fitted, Fitted)
        return fitted

    def try_answer(self, data: bytes) -> str:
        verdict = judge(self.sound, self.sent, data, QualitySettings())
        if verdict.composed is not None:
            deliver(self.sound, verdict)
        return str(verdict.code or "accepted")

    def try_file(self, place: int, data: bytes) -> str:
        item = REPLACEMENT if place == 2 else REMOVAL
        files = [data if place == 0 else self.image, data if place == 1 else self.mask, data if place == 2 else None]
        found = check_item(item, files[0] or b"", files[1], files[2], self.settings)
        if found.accepted:
            fitted = self._fitted(found)
            judge(found, fitted, fitted.image.data, QualitySettings())
        return str(found.code or "accepted")


def _child(inputs: int) -> None:
    target = _Target()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codes: Counter[str] = Counter()
    exceptions: list[str] = []
    slowest_s = 0.0
    for number in range(inputs):
        data, place = mutated(number), number % 4
        began = time.perf_counter()
        try:
            codes[target.try_answer(data) if place == 3 else target.try_file(place, data)] += 1
        except Exception as error:  # noqa: BLE001 - this is what is being looked for
            exceptions.append(f"input {number}: {type(error).__name__}: {str(error)[:200]}")
        slowest_s = max(slowest_s, time.perf_counter() - began)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) // 1024
    found = {"accepted": codes.pop("accepted", 0), "codes": codes, "exceptions": exceptions}
    print(json.dumps(found | {"slowest_s": slowest_s, "grown_mb": grown_mb}))


if __name__ == "__main__":
    _child(int(sys.argv[1]))
