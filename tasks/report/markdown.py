"""A run as Markdown and as plain table rows: for Prefect's artifacts, chat messages and CI logs. Pure functions of the summary."""

import re
from collections.abc import Sequence

from manifests.outcomes import State
from manifests.summary import RunSummary
from tasks.report import wording
from tasks.report.sentences import sentence

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~])")


def summary_markdown(summary: RunSummary, *, report_uri: str | None = None, images_uri: str | None = None) -> str:
    """The whole run on one page: verdict, outcomes, providers, what to do about what failed, and where everything lies."""
    parts = [sentence_markdown(summary), "## Outcomes", _table(outcome_rows(summary))]
    failures = failure_rows(summary)
    if failures:
        parts += ["## Not delivered, by cause", _table(failures)]
    providers = provider_rows(summary)
    if providers:
        parts += ["## Providers", _table(providers)]
    return "\n\n".join([*parts, "## Where it lies", _places(summary, report_uri, images_uri)]) + "\n"


def sentence_markdown(summary: RunSummary) -> str:
    """The verdict in one line, safe to stand in Markdown."""
    return escaped(sentence(summary))


def outcome_rows(summary: RunSummary) -> list[dict[str, str]]:
    """A row for each state that occurred."""
    return [
        {
            "State": state.value.replace("_", " "),
            "Items": wording.count(items),
            "Share": wording.share(items, summary.rows),
        }
        for state in State
        if (items := summary.by_state.get(state, 0))
    ]


def failure_rows(summary: RunSummary) -> list[dict[str, str]]:
    """A row for each cause, the most frequent first, with what to do."""
    causes = sorted(summary.by_error_code.items(), key=lambda found: (-found[1], found[0].value))
    return [{"Cause": code.value, "Items": wording.count(items), "What to do": code.advice} for code, items in causes]


def provider_rows(summary: RunSummary) -> list[dict[str, str]]:
    """A row for each provider, the dearest first."""
    found = sorted(summary.by_provider.items(), key=lambda one: (-one[1].cost_usd, one[0]))
    return [
        {
            "Provider": name,
            "Items": wording.count(totals.rows),
            "Delivered": wording.share(totals.succeeded, totals.rows),
            "Requests": wording.count(totals.attempts),
            "Credits": wording.count(totals.credits),
            "Spent": wording.money(totals.cost_usd),
        }
        for name, totals in found
    ]


def escaped(text: str) -> str:
    """Text from outside as Markdown shows it letter by letter: no link, no heading, no tag."""
    flat = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _places(summary: RunSummary, report_uri: str | None, images_uri: str | None) -> str:
    places = {
        "Manifest": summary.manifest,
        "Results": summary.results_uri,
        "Report": report_uri,
        "Pictures": images_uri,
    }
    return "\n".join(f"- {name}: {_linked(uri)}" for name, uri in places.items() if uri)


def _linked(uri: str) -> str:
    """Only web addresses become links; signatures never show."""
    shown = wording.place(uri)
    if not shown.startswith(("https://", "http://")):
        return escaped(shown)
    target = shown.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
    return f"[{escaped(shown)}](<{target}>)"


def _table(rows: Sequence[dict[str, str]]) -> str:
    if not rows:
        return "None."
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([escaped(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
