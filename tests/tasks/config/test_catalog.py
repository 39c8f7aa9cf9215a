"""What `prefect deploy` reads from its environment."""

import pytest

from tasks.config.catalog import from_environment


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_CATALOG_MANIFEST", "s3://catalog/{scheduled:%Y-%m-%d}.parquet")
    monkeypatch.setenv("CLEANPLATE_CATALOG_OUTPUT", "s3://clean")


def test_a_catalog_without_more_is_cleaned_by_the_free_engine() -> None:
    assert from_environment() == {
        "manifest": "s3://catalog/{scheduled:%Y-%m-%d}.parquet",
        "output": "s3://clean",
        "providers": ["local"],
        "budget_usd": "50",
    }


def test_providers_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_CATALOG_PROVIDERS", "maskr, runflow")

    assert from_environment()["providers"] == ["maskr", "runflow"]


@pytest.mark.parametrize(
    ("name", "value"), [("MANIFEST", ""), ("OUTPUT", ""), ("BUDGET_USD", "plenty"), ("BUDGET_USD", "-1")]
)
def test_what_cannot_be_deployed_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CLEANPLATE_CATALOG_{name}", value)

    with pytest.raises(ValueError, match=f"CLEANPLATE_CATALOG_{name}"):
        from_environment()
