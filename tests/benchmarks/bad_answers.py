"""Good and bad answers through the quality gate: how many bad ones would have been delivered, how many good ones refused."""

from collections import Counter

import numpy as np

from manifests.items import Item
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.config.providers import LocalSettings
from tasks.preflight import Fitted, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.providers.local.engines import load_engine
from tasks.providers.local.fill import fill_holes
from tasks.quality import judge
from tests.factories.answers import BAD, GOOD
from tests.factories.pictures import hole, jpeg, photo, png

PICTURES, QUICK_PICTURES = 100, 16
WIDTH, HEIGHT = 480, 320


def main(quick: bool) -> None:
    """Print one line a kind of answer."""
    engines = [load_engine(LocalSettings(engine=name)) for name in ("patchmatch", "telea")]
    found: Counter[tuple[str, str]] = Counter()
    outside = 0
    pictures = QUICK_PICTURES if quick else PICTURES
    for index in range(pictures):
        rng = np.random.default_rng(index)
        share, x, y = rng.uniform(0.01, 0.1), rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
        picture, mask = photo(index, WIDTH, HEIGHT), hole(WIDTH, HEIGHT, share=share, at=(x, y))
        source = jpeg(picture, 92) if index % 2 else png(picture)
        item = Item(item_id="i", image_uri="image", mask_uri="mask")
        checked = check_item(item, source, png(mask), None, PreflightSettings())
        fitted = fit_to_provider(checked, Capabilities(offers=()), PreflightSettings())
        assert isinstance(fitted, Fitted)
        assert fitted.sent_mask is not None
        filled = fill_holes(fitted.sent, fitted.sent_mask, engines[index % 2])
        for kind, make in {**GOOD, **BAD}.items():
            verdict = judge(checked, fitted, make(fitted.sent, fitted.sent_mask, filled), QualitySettings())
            found[kind, str(verdict.code or "accepted")] += 1
            if verdict.accepted and verdict.composed is not None:
                keep = fitted.sent_mask == 0
                delta = np.abs(verdict.composed.pixels[keep].astype(int) - fitted.sent[keep])
                outside = max(outside, int(delta.max()))
    _print(found, pictures, outside)


def _print(found: Counter[tuple[str, str]], pictures: int, outside: int) -> None:
    print("| answer | expected | found |\n|---|---|---|")
    for kind in (*GOOD, *BAD):
        words = ", ".join(f"{answer} ×{count}" for (k, answer), count in sorted(found.items()) if k == kind)
        print(f"| {kind} | {'accepted' if kind in GOOD else 'refused'} | {words} |")
    refused = sum(count for (kind, answer), count in found.items() if kind in GOOD and answer != "accepted")
    delivered = sum(count for (kind, answer), count in found.items() if kind in BAD and answer == "accepted")
    good, bad = len(GOOD) * pictures, len(BAD) * pictures
    print(f"\nGood answers refused: {refused} of {good} ({refused / good:.2%}).")
    print(f"Bad answers delivered: {delivered} of {bad} ({delivered / bad:.2%}).")
    print(f"Largest difference outside the mask in what would be delivered, before encoding: {outside}.")
