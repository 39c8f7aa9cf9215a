"""No peer: asyncio and httpx, the two calls a row. What the others are measured against."""

import asyncio

import httpx
from job import read_job, tell
from picture_calls import edit


async def main(job):
    gate = asyncio.Semaphore(job.in_flight)
    limits = httpx.Limits(max_connections=job.in_flight)
    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:

        async def one(row):
            async with gate:
                await edit(client, job.url, row["prompt"], job.folder)

        await asyncio.gather(*(one(row) for row in job.rows))
    tell(job, [row["id"] for row in job.rows])


if __name__ == "__main__":
    asyncio.run(main(read_job()))
