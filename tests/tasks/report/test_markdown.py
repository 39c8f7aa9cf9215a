"""A run as Markdown: the summary's numbers, and nothing that a hostile name could make of it."""

from decimal import Decimal

from manifests import ErrorCode, State
from manifests.summary import RunSummary, Totals
from tasks.report.markdown import escaped, failure_rows, outcome_rows, provider_rows, summary_markdown

SUMMARY = RunSummary(
    run_id="nightly",
    manifest="s3://catalog/m.parquet",
    results_uri="s3://clean/run_id=nightly/results.parquet",
    totals=Totals(rows=100, succeeded=90, attempts=99, credits=Decimal(60), cost_usd=Decimal("9.60")),
    reused=5,
    by_state={State.SUCCEEDED: 90, State.FAILED: 7, State.DEFERRED: 3},
    by_error_code={ErrorCode.OUT_OF_CREDITS: 3, ErrorCode.OUTPUT_BLANK: 7},
    by_provider={
        "local": Totals(rows=40, succeeded=40, attempts=40),
        "runflow": Totals(rows=20, succeeded=13, attempts=59, credits=Decimal(60), cost_usd=Decimal("9.60")),
    },
)


def test_every_state_cause_and_provider_has_its_row() -> None:
    assert [(row["State"], row["Items"], row["Share"]) for row in outcome_rows(SUMMARY)] == [
        ("succeeded", "90", "90 %"),
        ("failed", "7", "7 %"),
        ("deferred", "3", "3 %"),
    ]
    assert [(row["Cause"], row["What to do"]) for row in failure_rows(SUMMARY)] == [
        ("output_blank", ErrorCode.OUTPUT_BLANK.advice),
        ("out_of_credits", ErrorCode.OUT_OF_CREDITS.advice),
    ]
    assert [(row["Provider"], row["Delivered"], row["Spent"]) for row in provider_rows(SUMMARY)] == [
        ("runflow", "65 %", "$9.60"),
        ("local", "100 %", "$0.00"),
    ]


def test_the_page_says_all_of_it_and_links_only_to_the_web() -> None:
    text = summary_markdown(SUMMARY, report_uri="https://shop.example/report.html?sig=s3cr3t", images_uri="/srv/images")

    assert "100 rows, 90 succeeded (5 reused), 7 failed, 3 deferred; $9.60" in text.replace("\\", "")
    assert "[https://shop.example/report.html](<https://shop.example/report.html>)" in text
    assert "s3cr3t" not in text
    assert "](</srv" not in text


def test_a_run_in_which_all_went_well_has_no_table_of_failures() -> None:
    flawless = RunSummary(run_id="r", manifest="m", results_uri="r", totals=Totals(rows=1, succeeded=1))

    assert "Not delivered" not in summary_markdown(flawless)


def test_names_from_outside_stay_letters() -> None:
    hostile = "[click](https://evil.example) <img src=x> | # `x`\n# heading"

    text = escaped(hostile)

    assert "\n" not in text
    assert "<" not in text
    assert "\\[click\\]\\(https://evil.example\\)" in text
    assert "\\|" in text
