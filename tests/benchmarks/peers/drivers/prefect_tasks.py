"""Plain Prefect: a task a row, its result persisted and cached by its inputs, mapped over threads; a rerun finds what is done."""

import os

from job import read_job, tell
from picture_calls import edit_in_a_thread

job = read_job()
os.environ.update(
    PREFECT_HOME=str(job.folder / "prefect"),
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
)

import httpx  # read the environment when they are imported
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.task_runners import ThreadPoolTaskRunner

client = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=job.in_flight), trust_env=False)


@task(persist_result=True, cache_policy=INPUTS)
def edit(prompt):
    """One call, or the two that move pictures."""
    if job.pictures:
        return edit_in_a_thread(client, job.url, prompt, job.folder)
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    answer = client.post(f"{job.url}/v1/chat/completions", json=body)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]


@flow(task_runner=ThreadPoolTaskRunner(max_workers=job.in_flight))
def clean():
    """All rows; one that fails does not stop the others."""
    futures = edit.map([row["prompt"] for row in job.rows])
    futures.wait()
    return [future.state.is_completed() for future in futures]


if __name__ == "__main__":
    done = clean()
    tell(job, [row["id"] for row, completed in zip(job.rows, done, strict=True) if completed])
