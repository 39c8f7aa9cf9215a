"""Results as a DataFrame, for dashboards and notebooks: one run or all runs of a folder, whatever version wrote them."""

from collections.abc import Sequence

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import ManifestError, RunFolderError
from manifests.results import align, results_schema
from manifests.schemas import MANIFEST_SCHEMA, OUTCOME_SCHEMA
from manifests.storage import StorageOptions, locate, shown


def load_results(uri: str, *, storage_options: StorageOptions | None = None) -> pd.DataFrame:
    """All rows of a results manifest, of a run folder, or of every finished run below a folder.

    Columns have Arrow types, so that money stays exact and nulls stay nulls. Columns that an older version did not write yet, or
    that other runs' manifests lack, are null; a foreign column that runs have with different types becomes text.

    Raises:
        RunFolderError: there are no results, or they cannot be read.
    """
    try:
        fs, path = locate(uri, storage_options)
        tables = [pq.read_table(fs.open(one, "rb")) for one in _find(fs, path.rstrip("/"))]
    except FileNotFoundError:
        tables = []
    except (ManifestError, OSError, pa.ArrowException) as error:
        raise RunFolderError(f"{shown(uri)}: cannot be read: {error}") from error
    if not tables:
        raise RunFolderError(f"{shown(uri)}: holds no finished run (run_id=<id>/results.parquet)")
    schema = _common_schema([table.schema for table in tables])
    frame: pd.DataFrame = pa.concat_tables([align(one, schema) for one in tables]).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _find(fs: fsspec.AbstractFileSystem, path: str) -> list[str]:
    if fs.info(path)["type"] != "directory":
        return [path]
    own = f"{path}/results.parquet"
    return [own] if fs.exists(own) else sorted(fs.glob(f"{path}/run_id=*/results.parquet"))


def _common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    ours = [field.with_nullable(True) for field in MANIFEST_SCHEMA]
    known = {*MANIFEST_SCHEMA.names, *OUTCOME_SCHEMA.names}
    foreign: dict[str, pa.Field] = {}
    metrics: set[str] = set()
    for field in (field for schema in schemas for field in schema if field.name not in known):
        if field.name.startswith("quality_"):
            metrics.add(field.name.removeprefix("quality_"))
        else:
            foreign[field.name] = _joined(foreign.get(field.name, field), field)
    return results_schema(pa.schema([*ours, *foreign.values()]), metrics)


def _joined(one: pa.Field, other: pa.Field) -> pa.Field:
    try:
        return pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive").field(0)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.field(one.name, pa.string())
