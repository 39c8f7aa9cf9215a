"""The one Jinja environment of report and dashboard: everything escaped, unknown names an error."""

import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tasks.report import wording


@cache
def environment() -> Environment:
    """Templates of `templates/`, with the words of `wording` as filters."""
    made = Environment(
        loader=PackageLoader("tasks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clock": wording.clock,
        "codes": codes,
        "count": wording.count,
        "day": wording.day,
        "duration": wording.duration,
        "milliseconds": wording.milliseconds,
        "moment": wording.moment,
        "money": wording.money,
        "place": wording.place,
        "second": wording.second,
        "sentence": wording.sentence,
        "share": wording.share,
        "short": wording.short,
        "suspicion": wording.suspicion,
        "unit_price": wording.unit_price,
    }
    return made


@cache
def asset(name: str) -> str:
    """The text of a style sheet or script of `static/`."""
    return (files("tasks.report") / "static" / name).read_text(encoding="utf-8")


def codes(text: str) -> Markup:
    """Escaped text in which what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just now
