"""ondine: a pipeline over a data frame, a checkpoint every 50 rows; a rerun resumes the newest session that left one."""

import os

from job import read_job, tell

job = read_job()
os.environ["OPENAI_API_KEY"] = "peer"

import pandas as pd  # read the environment when they are imported
from ondine import PipelineBuilder
from ondine.adapters.checkpoint_storage import LocalFileCheckpointStorage
from ondine.utils.budget_controller import BudgetExceededError

CALL_USD = 0.75e-6  # by its own price list: one token in, one out


def pipeline(checkpoints):
    builder = (
        PipelineBuilder.create()
        .from_dataframe(pd.DataFrame(job.rows), input_columns=["prompt"], output_columns=["address"])
        .with_prompt("{prompt}")
        .with_llm(
            provider="openai_compatible",
            model="gpt-4o-mini",
            base_url=f"{job.url}/v1",
            api_key="peer",
        )
        .with_concurrency(job.in_flight)
        .with_checkpoint_dir(str(checkpoints))
        .with_checkpoint_interval(50)
        .with_error_policy("skip")
        .with_progress_mode("none")
    )
    if job.budget_calls:
        builder = builder.with_max_budget(CALL_USD * job.budget_calls)
    return builder.build()


def main():
    checkpoints = job.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    sessions = LocalFileCheckpointStorage(checkpoints).list_checkpoints()
    newest = max(sessions, key=lambda one: one.timestamp).session_id if sessions else None
    try:
        result = pipeline(checkpoints).execute(resume_from=newest)
    except BudgetExceededError:  # it ends so; what was delivered by then is in no file of its own
        tell(job, [])
        return
    told = result.to_pandas() if hasattr(result, "to_pandas") else pd.DataFrame(list(result.data))
    filled = told["address"].notna() & (told["address"].astype(str).str.len() > 0)
    tell(job, [row["id"] for row, done in zip(job.rows, filled, strict=False) if done])


if __name__ == "__main__":
    main()
