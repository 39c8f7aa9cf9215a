"""img2dataset: each row is an address that edits when it is fetched; shards that have their statistics file are not fetched again."""

from urllib.parse import urlencode

import pandas as pd
from img2dataset import download
from job import read_job, tell


def address(job, prompt):
    image, mask = prompt.split()
    return f"{job.url}/picture?" + urlencode({"image": image, "mask": mask})


def main(job):
    listed, output = job.folder / "addresses.parquet", job.folder / "output"
    rows = [{"id": row["id"], "url": address(job, row["prompt"])} for row in job.rows]
    pd.DataFrame(rows).to_parquet(listed)
    download(
        url_list=str(listed),
        input_format="parquet",
        save_additional_columns=["id"],
        output_folder=str(output),
        processes_count=1,
        thread_count=job.in_flight,
        number_sample_per_shard=job.shard,
        retries=job.retries,
    )
    said = pd.concat(pd.read_parquet(path) for path in sorted(output.glob("*.parquet")))
    tell(job, said.id[said.status == "success"], said.id[said.status != "success"])


if __name__ == "__main__":
    main(read_job())
