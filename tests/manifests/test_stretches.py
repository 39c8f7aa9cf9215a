"""Parts that hold many batches: which those are, read from the footers, and their rows again."""

from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import RunFolderError
from manifests.stretches import Run, Stretches


def a_table(first: int, rows: int) -> pa.Table:
    return pa.table({"row": list(range(first, first + rows))})


def test_what_is_covered_is_said_within_bounds_and_gaps_stay_open(tmp_path: Path) -> None:
    stretches = Stretches(str(tmp_path), None)
    stretches.write([Run(10, 12, 500, 100)], a_table(500, 100))
    stretches.write([Run(0, 2, 0, 100), Run(3, 5, 150, 100)], pa.concat_tables([a_table(0, 100), a_table(150, 100)]))

    assert list(stretches.covered(0, 100)) == [range(2), range(3, 5), range(10, 12)]
    assert list(stretches.covered(1, 11)) == [range(1, 2), range(3, 5), range(10, 11)]
    assert list(stretches.covered(5, 10)) == []
    assert [(run.start, table["row"].to_pylist()[0], len(table)) for run, table in stretches.tables()] == [
        (0, 0, 100),
        (3, 150, 100),
        (10, 500, 100),
    ]


def test_a_damaged_stretch_is_named(tmp_path: Path) -> None:
    stretches = Stretches(str(tmp_path), None)
    stretches.write([Run(0, 2, 0, 100)], a_table(0, 100))
    (tmp_path / "000000-000002.parquet").write_bytes(b"PAR1 rubbish")

    with pytest.raises(RunFolderError, match=r"000000-000002\.parquet: is damaged"):
        list(stretches.covered(0, 2))
    with pytest.raises(RunFolderError, match=r"000000-000002\.parquet: is damaged"):
        list(stretches.tables())


def test_no_folder_means_nothing_covered(tmp_path: Path) -> None:
    assert list(Stretches(str(tmp_path / "nowhere"), None).covered(0, 10)) == []
