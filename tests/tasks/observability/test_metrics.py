"""What Prometheus can read of a run."""

import socket
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from manifests import State
from tasks.config.operations import ObservabilitySettings
from tasks.observability import Metrics, exposed


class Scraped:
    """What a scrape brought."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        [value] = [one.value for one in self._samples if one.name == name and one.labels == labels]
        return value


def a_busy_run(metrics: Metrics) -> None:
    metrics.attempt("maskr", "succeeded", endpoint="batch", seconds=2.5)
    metrics.attempt("maskr", "provider_error")
    metrics.row(State.SUCCEEDED, count=49)
    metrics.row(State.REJECTED, "mask_empty")
    metrics.open_rows(12)
    metrics.charged("maskr", usd=Decimal("1.47"), credits=Decimal(147))
    metrics.ticket("maskr", 0.4)
    metrics.parked("runflow", parked=True)


def test_a_running_run_can_be_scraped() -> None:
    metrics = Metrics()
    with exposed(ObservabilitySettings(metrics_port=0), metrics) as address, metrics.in_flight("maskr"):
        a_busy_run(metrics)
        assert address is not None
        seen = Scraped(httpx.get(address, timeout=5).text)

    assert seen("cleanplate_attempts_total", provider="maskr", endpoint="batch", result="succeeded") == 1
    assert seen("cleanplate_attempts_total", provider="maskr", endpoint="single", result="provider_error") == 1
    assert seen("cleanplate_request_seconds_sum", provider="maskr", endpoint="batch") == 2.5
    assert seen("cleanplate_rows_total", state="succeeded", error_code="") == 49
    assert seen("cleanplate_rows_total", state="rejected", error_code="mask_empty") == 1
    assert seen("cleanplate_rows_open") == 12
    assert seen("cleanplate_cost_usd_total", provider="maskr") == pytest.approx(1.47)
    assert seen("cleanplate_credits_total", provider="maskr") == 147
    assert seen("cleanplate_tickets_total", provider="maskr") == 1
    assert seen("cleanplate_requests_in_flight", provider="maskr") == 1
    assert seen("cleanplate_provider_parked", provider="runflow") == 1


def test_what_was_in_flight_is_not_any_more_when_it_fails() -> None:
    metrics = Metrics()

    with pytest.raises(RuntimeError), metrics.in_flight("maskr"):
        raise RuntimeError

    assert metrics.registry.get_sample_value("cleanplate_requests_in_flight", {"provider": "maskr"}) == 0


def test_a_run_that_ends_between_two_scrapes_leaves_a_file(tmp_path: Path) -> None:
    metrics, file = Metrics(), tmp_path / "textfiles" / "cleanplate.prom"

    with exposed(ObservabilitySettings(metrics_file=file), metrics) as address:
        a_busy_run(metrics)

    assert address is None
    assert Scraped(file.read_text())("cleanplate_rows_total", state="succeeded", error_code="") == 49


def test_a_port_that_is_taken_stops_no_run(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with exposed(ObservabilitySettings(metrics_port=port), Metrics()) as address:
            assert address is None

    assert f"no metrics at port {port}" in caplog.text


def test_a_file_that_cannot_be_written_stops_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")

    with exposed(ObservabilitySettings(metrics_file=tmp_path / "file" / "below.prom"), Metrics()):
        pass

    assert "cannot be written" in caplog.text
