"""The ledger's URL."""

from pathlib import Path

import pytest

from tasks.credits import LedgerError
from tasks.credits.location import database_at
from tasks.credits.sqlite import SqliteDatabase


def test_without_a_url_the_ledger_lies_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    database = database_at("")

    assert isinstance(database, SqliteDatabase)
    assert database.path == tmp_path / "cleanplate" / "ledger.sqlite3"


@pytest.mark.parametrize("url", ["ledger.sqlite3", "mysql://localhost/x", "sqlite://relative", "sqlite:///"])
def test_a_url_that_is_none_says_what_was_expected(url: str) -> None:
    with pytest.raises(LedgerError, match="sqlite:///"):
        database_at(url)


def test_a_password_is_never_shown() -> None:
    database = database_at("postgresql://user:hunter2@db.example/ledger")

    assert database.label == "postgresql://db.example/ledger"
    assert "hunter2" not in repr(vars(database)["label"])
