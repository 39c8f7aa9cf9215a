"""bespokelabs-curator: an LLM whose prompt is the row's, over the OpenAI wire; its cache folder is what a rerun resumes from."""

import os
from importlib.util import find_spec
from pathlib import Path

from job import read_job, tell

job = read_job()
os.environ.update(
    OPENAI_API_KEY="peer",
    HOSTED_CURATOR_VIEWER="0",
    CURATOR_CACHE_DIR=str(job.folder / "cache"),
    # the vocabulary that litellm ships, else it is fetched from the internet
    TIKTOKEN_CACHE_DIR=str(Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"),
)

from bespokelabs import curator  # read the environment when they are imported


class Edit(curator.LLM):
    """One call a row."""

    def prompt(self, row):
        return row["prompt"]

    def parse(self, row, response):
        return {"id": row["id"], "address": response}


if __name__ == "__main__":
    edit = Edit(
        model_name="gpt-4o-mini",
        backend="openai",
        backend_params={
            "base_url": f"{job.url}/v1",
            "max_concurrent_requests": job.in_flight,
            "max_requests_per_minute": job.per_minute or 1_000_000,
            "max_tokens_per_minute": 1_000_000_000,
            "require_all_responses": False,
        },
    )
    delivered = edit(job.rows).dataset.to_list()
    tell(job, [row["id"] for row in delivered])
