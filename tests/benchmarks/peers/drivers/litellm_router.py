"""litellm's Router with a budget for the provider, a price a call, and as many calls in flight as asked for."""

import asyncio

from job import read_job, tell
from litellm import Router

USD = 0.48  # a call, by a price for its one token of output


async def main(job):
    deployment = {
        "model": "openai/gpt-4o-mini",
        "api_key": "peer",
        "api_base": f"{job.url}/v1",
        "input_cost_per_token": 0.0,
        "output_cost_per_token": USD,
    }
    budget = {"openai": {"budget_limit": USD * job.budget_calls, "time_period": "1d"}} if job.budget_calls else None
    router = Router(
        model_list=[{"model_name": "edit", "litellm_params": deployment}],
        provider_budget_config=budget,
        num_retries=0,
        disable_cooldowns=True,
    )
    gate, done, failed = asyncio.Semaphore(job.in_flight), [], []

    async def one(row):
        async with gate:
            try:
                await router.acompletion(model="edit", messages=[{"role": "user", "content": row["prompt"]}])
            except Exception as error:  # noqa: BLE001 - whatever it raises is a row that was not edited
                failed.append(f"{row['id']} {type(error).__name__}")
            else:
                done.append(row["id"])

    await asyncio.gather(*(one(row) for row in job.rows))
    tell(job, done, failed)


if __name__ == "__main__":
    asyncio.run(main(read_job()))
