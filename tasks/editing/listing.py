"""What S3 knows of many objects, asked for by listing: a thousand an answer instead of one."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

_PAGE: Final = 1000  # keys that one answer holds
_SPARSE: Final = 4  # pages for each thousand wanted, beyond which listing does not pay


async def list_objects(filesystem: Any, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Facts (`ETag`, `size`) of those paths (bucket/key) that were met; a path that is not there may be gone, or too far apart."""
    by_folder: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        bucket, _, key = path.partition("/")
        by_folder[bucket, key.rpartition("/")[0]].append(key)
    found: dict[str, dict[str, Any]] = {}
    for (bucket, folder), keys in by_folder.items():
        prefix = f"{folder}/" if folder else ""
        found.update(await _list(filesystem, bucket, prefix, sorted(keys)))
    return found


async def _list(filesystem: Any, bucket: str, prefix: str, keys: list[str]) -> dict[str, dict[str, Any]]:
    """From the first wanted key to the last; keys arrive in the order of their UTF-8 bytes, as `keys` are."""
    wanted, last = set(keys), keys[-1]
    after = keys[0][:-1]  # sorts before it
    found: dict[str, dict[str, Any]] = {}
    for _ in range(_SPARSE * (1 + len(keys) // _PAGE)):
        answer = await filesystem._call_s3(
            "list_objects_v2", Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=_PAGE
        )
        page = answer.get("Contents", [])
        for one in page:
            if one["Key"] in wanted:
                found[f"{bucket}/{one['Key']}"] = {"ETag": one.get("ETag"), "size": one["Size"]}
        if not answer.get("IsTruncated") or not page or page[-1]["Key"] >= last:
            break
        after = page[-1]["Key"]
    return found
