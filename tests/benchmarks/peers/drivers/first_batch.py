"""A large manifest up to the first rows that could be sent: `first_batch.py WAY MANIFEST FOLDER`. Prints seconds, and the memory beyond the imports."""

import contextlib
import json
import re
import resource
import sys
import time
from pathlib import Path


def ours(manifest, folder):
    from tasks.config import CleanupConfig, load_settings
    from tasks.editing.planning import plan_run

    config = CleanupConfig(manifest=manifest, to=str(folder / "out"), run_id="plan")
    yield
    plan = plan_run(config, load_settings())
    yield plan.manifest.read(next(plan.batches()))


def with_pandas(manifest, folder):
    import pandas as pd

    yield
    yield pd.read_parquet(manifest).iloc[:50]


def with_img2dataset(manifest, folder):
    from img2dataset.reader import Reader

    (folder / "shards").mkdir()
    reader = Reader(
        url_list=manifest,
        input_format="parquet",
        url_col="image_uri",
        caption_col=None,
        verify_hash_col=None,
        verify_hash_type=None,
        save_additional_columns=["item_id", "mask_uri"],
        number_sample_per_shard=10_000,
        done_shards=set(),
        tmp_path=str(folder / "shards"),
    )
    yield
    yield next(iter(reader))


WAYS = {"ours": ours, "pandas": with_pandas, "img2dataset": with_img2dataset}


def main(way, manifest, folder):
    work = WAYS[way](manifest, Path(folder))
    with contextlib.redirect_stdout(sys.stderr):
        next(work)  # imports and settings
        resident_mb = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
        began = time.monotonic()
        next(work)
        seconds = time.monotonic() - began
    peak_mb = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
    written_mb = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
    print(json.dumps({"seconds": seconds, "memory_mb": peak_mb - resident_mb, "written_mb": written_mb}))


if __name__ == "__main__":
    main(*sys.argv[1:])
