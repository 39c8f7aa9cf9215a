"""ondine: a pipeline over a data frame, a checkpoint every 50 rows; a rerun resumes the newest session that left one."""

import os
from decimal import Decimal

from job import read_job, tell

job = read_job()
os.environ["OPENAI_API_KEY"] = "peer"

import pandas as pd  # noqa: E402 - libraries read the environment when they are imported
from ondine import PipelineBuilder  # noqa: E402
from ondine.adapters.checkpoint_storage import LocalFileCheckpointStorage  # noqa: E402


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
            input_cost_per_1k_tokens=Decimal(0),
            output_cost_per_1k_tokens=Decimal(480),  # $0.48 a call of one token
        )
        .with_concurrency(job.in_flight)
        .with_checkpoint_dir(str(checkpoints))
        .with_checkpoint_interval(50)
        .with_error_policy("skip")
        .with_progress_mode("none")
    )
    if job.budget_calls:
        builder = builder.with_max_budget(0.48 * job.budget_calls)
    return builder.build()


def main():
    checkpoints = job.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    sessions = LocalFileCheckpointStorage(checkpoints).list_checkpoints()
    newest = max(sessions, key=lambda one: one.timestamp).session_id if sessions else None
    result = pipeline(checkpoints).execute(resume_from=newest)
    told = result.to_pandas() if hasattr(result, "to_pandas") else pd.DataFrame(list(result.data))
    filled = told["address"].notna() & (told["address"].astype(str).str.len() > 0)
    tell(job, [row["id"] for row, done in zip(job.rows, filled, strict=False) if done])


if __name__ == "__main__":
    main()
