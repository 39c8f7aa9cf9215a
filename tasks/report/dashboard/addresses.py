"""What may stand in an address or a form: names, lengths, kinds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tasks.report.dashboard.review_pages import Word
from tasks.report.dashboard.row_pages import RowsAsked
from tasks.report.dashboard.rows import PageRequest, RowFilter
from tasks.report.dashboard.site import Site

Text = Annotated[str, StringConstraints(max_length=2_000)]


class RowsQuery(BaseModel):
    """What the table of rows is asked for."""

    model_config = ConfigDict(frozen=True)

    run: Text = ""
    catalog: Text = ""
    state: Text = ""
    cause: Text = ""
    provider: Text = ""
    operation: Text = ""
    text: Text = ""
    sort: Text = "newest"
    mark: Text = ""
    back: bool = False

    def read(self, site: Site) -> RowsAsked:
        """As the table takes it."""
        wanted = RowFilter(
            state=self.state,
            cause=self.cause,
            provider=self.provider,
            operation=self.operation,
            text=self.text.strip(),
            files=site.library.snapshot().files(key=self.run, catalog=self.catalog),
        )
        page = PageRequest(sort=self.sort, mark=self.mark, back=self.back)
        return RowsAsked(wanted=wanted, page=page, run=self.run, catalog=self.catalog)


class DecideForm(BaseModel):
    """A word on a picture; `to_…` says where to go afterwards."""

    model_config = ConfigDict(frozen=True)

    secret: Text
    run: Text
    n: int = Field(ge=0, le=2**53)
    item: Text
    decision: Text
    redo_provider: Text = ""
    note: Text = ""
    to_page: Text = ""
    to_run: Text = ""
    to_catalog: Text = ""
    to_provider: Text = ""
    to_after: Text = ""

    def read(self) -> Word:
        """As the review takes it."""
        onward = {name: str(getattr(self, f"to_{name}")) for name in ("page", "run", "catalog", "provider", "after")}
        return Word(
            run=self.run,
            number=self.n,
            item=self.item,
            decision=self.decision,
            redo_provider=self.redo_provider,
            note=self.note,
            onward=onward,
        )
