"""Good and bad answers through the quality gate: how many bad ones are delivered, how many good ones refused, what that costs.

First the gate alone, with every kind of answer to every picture; then whole runs over real photographs, in which the sandbox's
Maskr spoils every fifth answer, one kind of fault after another, and Runflow stands by.
"""

from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd

from manifests.items import Item
from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.config.providers import LocalSettings
from tasks.preflight import Fitted, check_item, fit_to_provider
from tasks.providers.base import Capabilities
from tasks.providers.local.engines import load_engine
from tasks.providers.local.fill import fill_holes
from tasks.quality import judge
from tests.benchmarks.quality_runs import billed_usd, run_to_end, unlimited_rehearsal
from tests.factories.answers import BAD, GOOD
from tests.factories.pictures import hole, jpeg, photo, png
from tests.factories.real_photographs import write_photographs

PICTURES, QUICK_PICTURES = 50, 8
WIDTH, HEIGHT = 480, 320
ROWS, QUICK_ROWS = 60, 20
STRUCK_ITEM = r"photo-\d+[27]$"
STRUCK = r"photo-\d+[27]-"  # how the vendor sees them: file names begin with the item's id
MASKR_USD = Decimal("0.03")
FAULTS = (
    "shifted_colour",
    "shifted_position",
    "wrong_size",
    "blank",
    "unchanged",
    "placeholder",
    "not_a_picture",
    "truncated_picture",
)


def main(quick: bool) -> None:
    """Print one line a kind of answer, then one a kind of fault."""
    gate_alone(QUICK_PICTURES if quick else PICTURES)
    print()
    if whole_runs(QUICK_ROWS if quick else ROWS):
        raise SystemExit(1)


def gate_alone(pictures: int) -> None:
    """Each kind of answer to each picture."""
    engines = [load_engine(LocalSettings(engine=name)) for name in ("patchmatch", "telea")]
    found: Counter[tuple[str, str]] = Counter()
    outside = 0
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


def whole_runs(rows: int) -> int:
    """One run a kind of fault; how many bad answers were delivered as success."""
    print(
        "| fault of every fifth answer | rows | bad answers | delivered as success | good refused | re-routed | cost of it |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    sums = np.zeros(5, int)
    extra = Decimal(0)
    with unlimited_rehearsal() as here:
        for seed, kind in enumerate(FAULTS, 1):
            manifest = write_photographs(here.folder / kind, rows, seed=seed)
            here.sandbox.faults({"kind": kind, "vendor": "maskr", "match": STRUCK})
            before = billed_usd(here)
            results = run_to_end(here, manifest, "maskr", "runflow", run_id=kind)
            here.sandbox.clear_faults()
            cost = billed_usd(here) - before - MASKR_USD * rows
            figures = _of_run(results)
            print(f"| {kind} | {' | '.join(str(figure) for figure in figures)} | ${cost:.2f} |", flush=True)
            sums, extra = sums + np.array(figures), extra + cost
    print(f"| all | {' | '.join(str(figure) for figure in sums)} | ${extra:.2f} |")
    return int(sums[2])


def _of_run(results: pd.DataFrame) -> tuple[int, int, int, int, int]:
    """Rows, bad answers, bad ones delivered, good ones refused, rows that another provider delivered."""
    struck = results.item_id.str.contains(STRUCK_ITEM)
    succeeded, at_maskr = results.state == "succeeded", results.provider == "maskr"
    for row in results[~succeeded].itertuples():
        print(f"\n    {row.item_id}: {row.state} {row.error_code} {row.error_message}\n")
    return (
        len(results),
        int(struck.sum()),
        int((struck & succeeded & at_maskr).sum()),
        int((~struck & ~(succeeded & at_maskr)).sum()),
        int((succeeded & ~at_maskr).sum()),
    )
