"""async-batch-llm: its callable strategy around one HTTP call, JSONL checkpoint with fsync, successes reused."""

import asyncio
import logging

import httpx
from async_batch_llm import (
    ArtifactIdentity,
    CallableStrategy,
    CallOutcome,
    GuardrailConfig,
    JsonlArtifactStore,
    ProcessorConfig,
    RateLimitConfig,
    ResumePolicy,
    process_prompts,
)
from async_batch_llm.classifiers import OpenAIErrorClassifier
from job import read_job, tell
from picture_calls import edit


async def main(job):
    limits = httpx.Limits(max_connections=job.in_flight)
    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:

        async def invoke(prompt, *, attempt, timeout, state):  # noqa: ASYNC109 - the names are asked for
            if job.pictures:
                return CallOutcome(await edit(client, job.url, prompt, job.folder), token_usage={"total_tokens": 1})
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            answer = await client.post(f"{job.url}/v1/chat/completions", json=body)
            answer.raise_for_status()
            return CallOutcome(answer.json()["choices"][0]["message"]["content"], token_usage={"total_tokens": 1})

        classifier = OpenAIErrorClassifier() if job.stop_without_balance else None
        identity = ArtifactIdentity(provider="gateway", model="m")
        result = await process_prompts(
            CallableStrategy(invoke, identity=identity, error_classifier=classifier),
            [(row["id"], row["prompt"]) for row in job.rows],
            config=ProcessorConfig(
                concurrency=job.in_flight,
                max_requests_per_minute=job.per_minute,
                rate_limit=RateLimitConfig(cooldown_seconds=job.cooldown_s),
                guardrails=GuardrailConfig(
                    max_total_tokens=job.budget_calls,
                    abort_on_error_categories=frozenset({"insufficient_balance"} if job.stop_without_balance else ()),
                ),
            ),
            artifact_store=JsonlArtifactStore(str(job.folder / "checkpoint.jsonl"), identity=identity, fsync=True),
            resume=ResumePolicy.REUSE_SUCCESSES,
        )
    tell(
        job,
        [one.item_id for one in result.results if one.success],
        [f"{one.item_id} {one.error_category}" for one in result.results if not one.success],
    )


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(main(read_job()))
