"""The same run without the flow engine, for tests and benchmarks of the driver: seconds of start-up less, everything else real.

As a program: `python -m tests.without_prefect '<CleanupConfig as JSON>' [--retry]`, with the settings in the environment.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from manifests.summary import RunSummary
from tasks.config import CleanupConfig, load_settings
from tasks.editing.batch import edit_rows
from tasks.editing.planning import plan_run
from tasks.editing.results import join_results
from tasks.editing.runtimes import closing_runtime, runtime_of
from tasks.editing.sweep import batches_with_work


def clean(config: CleanupConfig, *, retry: bool = False) -> RunSummary:
    """Plan, edit in passes, write results: what the flow does."""
    plan = plan_run(config, load_settings(), retry=retry)
    with closing_runtime(plan), ThreadPoolExecutor(config.batches_in_flight) as pool:
        runtime = runtime_of(plan)
        batches = list(batches_with_work(plan, lambda: runtime))
        for number in range(1, config.passes + 1):
            reports = pool.map(lambda batch, number=number: runtime.run(edit_rows(runtime, batch, number)), batches)
            batches = [report.batch for report in reports if report.open_rows]
    return join_results(plan)


if __name__ == "__main__":
    sys.exit(clean(CleanupConfig.model_validate_json(sys.argv[1]), retry="--retry" in sys.argv).exit_code)
