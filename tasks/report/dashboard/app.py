"""The routes. Each reads its address, asks a page module, and answers; nothing is decided here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final

from fastapi import FastAPI, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from tasks.report.dashboard.access import AccessMiddleware
from tasks.report.dashboard.addresses import DecideForm, RowsQuery
from tasks.report.dashboard.marks import BadMarkError
from tasks.report.dashboard.media import KINDS, SIZES
from tasks.report.dashboard.overview_page import overview_context
from tasks.report.dashboard.queue import ReviewScope
from tasks.report.dashboard.review_pages import (
    decide,
    decisions_page,
    export,
    redo_file,
    review_page,
    written_facts,
)
from tasks.report.dashboard.row_pages import row_page, rows_page, run_page
from tasks.report.dashboard.site import ASSETS, Site, asset_url
from tasks.report.places import ResultsUnreadableError
from tasks.report.rendering import asset, environment

_FOR_GOOD: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_FOR_AN_HOUR: Final = {"Cache-Control": "private, max-age=3600"}
Text = Annotated[str, Query(max_length=2_000)]
Number = Annotated[int, Query(ge=0, le=2**53)]
Field = Annotated[str, Form(max_length=4_000)]


def create_app(site: Site) -> FastAPI:
    """The dashboard as an ASGI app; the door stands before every route."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.get_running_loop().run_in_executor(None, _warm, site)
        yield
        await warming
        site.media.close()
        site.library.close()

    app = FastAPI(title="cleanplate", openapi_url=None, lifespan=lifespan)
    app.state.site = site
    app.add_middleware(AccessMiddleware, door=site.door)
    _add_problems(app, site)
    _add_pages(app, site)
    _add_review(app, site)
    _add_files(app, site)
    return app


def _warm(site: Site) -> None:
    """The first page is counted while the browser still opens; a fault is for the page to tell."""
    with suppress(ResultsUnreadableError, TimeoutError):
        site.page("overview.html", "/", **overview_context(site, "", ""))


def _add_problems(app: FastAPI, site: Site) -> None:
    @app.exception_handler(BadMarkError)
    async def bad_mark(_: Request, error: BadMarkError) -> HTMLResponse:
        return site.problem(400, "That page cannot be shown", f"{error}.")

    @app.exception_handler(RequestValidationError)
    async def bad_address(_: Request, __: RequestValidationError) -> HTMLResponse:
        return site.problem(400, "That address cannot be read", "A part of it is missing, too long, or not a number.")

    @app.exception_handler(404)
    async def nothing_there(_: Request, __: Exception) -> HTMLResponse:
        return site.problem(404, "Nothing here", "There is no page at this address.")

    @app.exception_handler(ResultsUnreadableError)
    async def damaged(_: Request, error: ResultsUnreadableError) -> HTMLResponse:
        return site.problem(
            500, "Results cannot be read", f"{error}. A run that is just being written is there in a moment."
        )

    @app.exception_handler(TimeoutError)
    async def too_slow(_: Request, error: TimeoutError) -> HTMLResponse:
        return site.problem(504, "That took too long", f"{error}. Narrow it down to a run, or try again.")


def _add_pages(app: FastAPI, site: Site) -> None:
    @app.get("/")
    def overview(catalog: Text = "", days: Text = "") -> HTMLResponse:
        return site.page("overview.html", "/", **overview_context(site, catalog, days))

    @app.get("/live")
    def live() -> HTMLResponse:
        parts = environment().get_template("_parts.html").module
        return HTMLResponse(
            environment()
            .get_template("live.html")
            .render(live=site.live.of(site.library.snapshot().runs), now=site.now(), parts=parts)
        )

    @app.get("/run")
    def run(id: Text) -> HTMLResponse:  # noqa: A002 - the name in the address
        return run_page(site, id)

    @app.get("/rows")
    def rows(asked: Annotated[RowsQuery, Query()]) -> HTMLResponse:
        return rows_page(site, asked.read(site))

    @app.get("/row")
    def row(run: Text, n: Number) -> HTMLResponse:
        return row_page(site, run, n)


def _add_review(app: FastAPI, site: Site) -> None:
    @app.get("/review")
    def review(run: Text = "", catalog: Text = "", provider: Text = "", after: Text = "") -> HTMLResponse:
        return review_page(site, ReviewScope(run=run, catalog=catalog, provider=provider), after)

    @app.post("/review/decide")
    def decide_one(form: Annotated[DecideForm, Form()]) -> Response:
        return decide(site, form.read()) if site.door.admits_form(form.secret) else _stale(site)

    @app.get("/review/decisions")
    def decisions(written: Text = "", rows: Number = 0) -> HTMLResponse:
        return decisions_page(site, written_facts(site, written, rows))

    @app.post("/review/export")
    def export_redo(secret: Field) -> Response:
        return export(site) if site.door.admits_form(secret) else _stale(site)

    @app.get("/review/redo/{name}")
    def redo(name: str) -> Response:
        return redo_file(site, name)


def _stale(site: Site) -> HTMLResponse:
    return site.problem(
        403, "This form is stale", "The dashboard was started anew since: reload the page and decide again."
    )


def _add_files(app: FastAPI, site: Site) -> None:
    @app.get("/picture/{kind}")
    async def picture(kind: str, run: Text, n: Number, size: Text = "small") -> Response:
        """A thumbnail of a row's own picture. The address names a row, never a file."""
        if kind not in KINDS or size not in SIZES:
            return PlainTextResponse("no such picture\n", status_code=404)
        row = await run_in_threadpool(site.library.snapshot().row, run, n)
        if row is None:
            return PlainTextResponse("no such row\n", status_code=404)
        made = await asyncio.get_running_loop().run_in_executor(site.media.pool, site.media.picture, row, kind, size)
        if made.missing:
            return PlainTextResponse(f"{made.missing}\n", status_code=404)
        return Response(made.data, media_type="image/webp", headers=_FOR_AN_HOUR)

    @app.get("/static/{stamp}/{name}")
    async def static(stamp: str, name: str) -> Response:  # noqa: ARG001 - the stamp only makes the address new
        if name not in ASSETS:
            return PlainTextResponse("no such file\n", status_code=404)
        return Response(asset(name), media_type=ASSETS[name], headers=_FOR_GOOD)

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return Response(status_code=307, headers={"Location": asset_url("icon.svg")})

    @app.get("/healthz")
    async def healthy() -> PlainTextResponse:
        return PlainTextResponse("ok\n")
