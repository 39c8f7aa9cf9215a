"""Review mode: one picture after the other, a word on each, and the manifest of what is to be done again."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from starlette.responses import HTMLResponse, RedirectResponse, Response

from manifests.storage import publish_bytes
from tasks.report.dashboard import story
from tasks.report.dashboard.decisions import Verdict, parquet_bytes
from tasks.report.dashboard.queue import Candidate, ReviewScope, how_many, waiting
from tasks.report.dashboard.redo import next_command, redo_name, redo_table
from tasks.report.dashboard.row_pages import deciding, shown_pictures
from tasks.report.dashboard.rows import choices
from tasks.report.dashboard.site import Site, link, picture_urls
from tasks.report.places import REVIEW_FOLDER, open_place

_AHEAD: Final = 2  # pictures that the browser fetches while one is looked at
_LISTED: Final = 200
_REDO_NAME: Final = re.compile(r"redo-\d{8}T\d{6}\.parquet")
_SCORE_SIGNS: Final = ("outside mean delta", "outside max delta", "seam", "inside p99", "inside change")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A decision as the form sent it."""

    run: str
    number: int
    item: str
    decision: str
    redo_provider: str
    note: str
    onward: Mapping[str, str]


def review_page(site: Site, scope: ReviewScope, after: str) -> HTMLResponse:
    """The next picture that waits for a word.

    Raises:
        BadMarkError: the mark is none of ours.
    """
    snapshot = site.library.snapshot()
    total, decided = how_many(snapshot, site.store, scope)
    candidates = list(islice(waiting(snapshot, site.store, scope, after), 1 + _AHEAD))
    shown = _candidate(site, scope, candidates[0], after) if candidates else {"row": None}
    return site.page(
        "review.html",
        "/review",
        scope=scope,
        runs=[run for run in reversed(snapshot.runs) if run.finished],
        choices=snapshot.answers.get("choices", lambda: choices(snapshot.database)),
        total=total,
        decided=decided,
        ahead=[url for one in candidates[1:] for url in _urls(site, one)],
        **shown,
    )


def _candidate(site: Site, scope: ReviewScope, one: Candidate, after: str) -> dict[str, Any]:
    snapshot = site.library.snapshot()
    key = snapshot.by_file[one.file].key
    row = story.whole_row(snapshot.database, one.file, one.number) or {}
    snapshot.seen([row])
    pictures = shown_pictures(site, key, row, one.number)
    place = {"run": scope.run, "catalog": scope.catalog, "provider": scope.provider}
    return pictures | {
        "after_picture": pictures["after"],
        "score": one.score,
        "reason": one.reason,
        "metrics": [fact for fact in story.metrics(row) if fact.name in _SCORE_SIGNS],
        "row_href": link("/row", run=key, n=one.number),
        "skip_href": link("/review", **place, after=one.mark),
        **deciding(site, key, row, one.number, onward={"page": "review", "after": after} | place),
    }


def _urls(site: Site, one: Candidate) -> list[str]:
    snapshot = site.library.snapshot()
    key = snapshot.by_file[one.file].key
    row = snapshot.row(key, one.number)
    return list(picture_urls(key, row, one.number, "large").values()) if row else []


def decide(site: Site, word: Word) -> Response:
    """Record a word and go on."""
    snapshot = site.library.snapshot()
    run, row = snapshot.by_key.get(word.run), snapshot.row(word.run, word.number)
    if run is None or row is None or row["item_id"] != word.item or row["state"] != "succeeded":
        return site.problem(
            409,
            "The results have changed",
            "This row is no longer where it was; nothing was recorded. Go back to the review.",
        )
    if word.decision not in set(Verdict) or (word.redo_provider and word.redo_provider not in site.redo_providers):
        return site.problem(
            400, "Not a decision", "Accept, reject, redo or take back; redo with a provider that is known here."
        )
    try:
        site.store.decide(
            run,
            word.item,
            Verdict(word.decision),
            redo_provider=word.redo_provider or None,
            note=word.note,
            output_sha256=row["output_sha256"],
        )
    except OSError as error:
        return site.problem(
            500, "Not recorded", f"The folder of the run cannot be written: {error.strerror or 'unknown cause'}."
        )
    return RedirectResponse(_onward(word), status_code=303)


def _onward(word: Word) -> str:
    if word.onward.get("page") == "row":
        return link("/row", run=word.run, n=word.number)
    return link("/review", **{name: word.onward.get(name, "") for name in ("run", "catalog", "provider", "after")})


def decisions_page(site: Site, written: Mapping[str, Any] | None = None) -> HTMLResponse:
    """What has been decided, newest first."""
    decisions = site.store.of_runs(site.library.snapshot().runs)
    counts = Counter(one.decision.value for _, one in decisions)
    snapshot = site.library.snapshot()
    to_redo = redo_table(snapshot.database, decisions).num_rows if counts[Verdict.REDO] else 0
    return site.page(
        "decisions.html",
        "/review",
        decisions=decisions[::-1][:_LISTED],
        listed_note=f"The newest {_LISTED} of {len(decisions):,}." if len(decisions) > _LISTED else "Newest first.",
        counts={word.value: counts.get(word.value, 0) for word in Verdict},
        to_redo=to_redo,
        written=written,
    )


def export(site: Site) -> Response:
    """Write the redo manifest beside the runs, and show where it is."""
    snapshot = site.library.snapshot()
    table = redo_table(snapshot.database, site.store.of_runs(snapshot.runs))
    if not table.num_rows:
        return site.problem(
            409, "Nothing to redo", "No picture is marked to be done again that has not been done since."
        )
    name = redo_name(site.now())
    publish_bytes(f"{_root(site)}/{REVIEW_FOLDER}/{name}", parquet_bytes(table))
    return RedirectResponse(link("/review/decisions", written=name, rows=table.num_rows), status_code=303)


def written_facts(site: Site, name: str, rows: int) -> dict[str, Any] | None:
    """What to say of a manifest that was just written; None when there is no such name."""
    if not _REDO_NAME.fullmatch(name):
        return None
    base = _root(site)
    uri = f"{base}/{REVIEW_FOLDER}/{name}"
    to = base.rpartition("/")[0] if base.rpartition("/")[2].startswith("run_id=") else base
    return {"uri": uri, "rows": rows, "command": next_command(uri, to), "href": f"/review/redo/{name}"}


def _root(site: Site) -> str:
    """The folder that the dashboard was opened on."""
    return site.library.uri.removesuffix("/results.parquet").rstrip("/")


def redo_file(site: Site, name: str) -> Response:
    """A redo manifest as a download; only names that we give, only from the review folder."""
    if not _REDO_NAME.fullmatch(name):
        return site.problem(404, "No such manifest", "It is not one that was written here.")
    fs, root = open_place(_root(site))
    try:
        data = fs.cat_file(f"{root}/{REVIEW_FOLDER}/{name}")
    except FileNotFoundError:
        return site.problem(404, "No such manifest", "It has been moved or deleted.")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/vnd.apache.parquet", headers=headers)
