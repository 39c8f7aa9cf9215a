"""Report and dashboard in a real browser: filter, open, slide, review by keyboard; hostile names do nothing; nothing leaves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect

from tasks.report.page import write_report
from tests.factories.run_folders import HOSTILE_NAMES, Picture, make_run
from tests.tasks.report.browsing import Watched, chromium, needs_chromium, served

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser")]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NIGHTLY, HOSTILE = "shoes%2Frun_id%3Dnightly", "odd%2Frun_id%3Dhostile"
PAGES = (
    "/",
    "/rows",
    f"/run?id={NIGHTLY}",
    f"/row?run={NIGHTLY}&n=0",
    f"/row?run={HOSTILE}&n=0",
    "/review",
    "/review/decisions",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def results(photographs: Sequence[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two catalogs: a usual one, and one full of hostile names."""
    root = tmp_path_factory.mktemp("results")
    make_run(root / "shoes", photographs, rows=60, run_id="nightly")
    make_run(root / "odd", photographs, rows=14, run_id="hostile", names=HOSTILE_NAMES)
    return root


@pytest.fixture(scope="module")
def dashboard(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(results, tmp_path_factory.mktemp("home"), "--review", "--reviewer", "mara") as address:
        yield address.rstrip("/")


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport=DESK)  # type: ignore[arg-type]
    opened = Watched(context)
    yield opened
    context.close()
    assert opened.complaints == []


@pytest.fixture(scope="module")
def report(results: Path) -> str:
    return Path(write_report(str(results / "odd" / "run_id=hostile"))).as_uri()


def test_the_report_works_without_a_network(watched: Watched, report: str) -> None:
    watched.page.context.set_offline(True)
    watched.page.goto(report)

    expect(watched.page.get_by_role("heading", level=1)).to_have_text("hostile")
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    assert watched.page.locator(".compare img").count() >= 10
    assert watched.page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert not watched.hacked()


def test_the_slider_uncovers_by_keyboard_and_pointer(watched: Watched, report: str) -> None:
    watched.page.goto(report)
    slider = watched.page.get_by_role("slider").first
    frame = watched.page.locator(".compare").first

    slider.fill("20")
    before = frame.locator(".before").evaluate("e => getComputedStyle(e).clipPath")
    slider.press("ArrowRight")
    moved = frame.locator(".before").evaluate("e => getComputedStyle(e).clipPath")
    box = frame.bounding_box()
    assert box is not None
    watched.page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)

    assert "80%" in before
    assert "79%" in moved
    assert float(slider.input_value()) == pytest.approx(90, abs=4)


def test_the_outline_of_the_masks_can_be_put_away(watched: Watched, report: str) -> None:
    watched.page.goto(report)
    outline = watched.page.locator("svg.outline").first
    expect(outline).to_be_visible()

    watched.page.get_by_label("Outline of the mask").uncheck()

    expect(outline).to_be_hidden()


def test_on_paper_before_and_after_lie_side_by_side(watched: Watched, report: str) -> None:
    watched.page.goto(report)
    watched.page.emulate_media(media="print")
    frame = watched.page.locator(".compare").first

    left, right = frame.locator(".before").bounding_box(), frame.locator(".after").bounding_box()

    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"] + 1
    expect(watched.page.get_by_role("slider").first).to_be_hidden()


def test_filters_show_exactly_the_rows_asked_for(watched: Watched, dashboard: str, results: Path) -> None:
    rows = pd.concat(pd.read_parquet(one) for one in results.glob("*/run_id=*/results.parquet"))
    watched.page.goto(f"{dashboard}/rows")

    watched.page.get_by_label("State").select_option("failed")
    watched.page.wait_for_url("**state=failed**")

    shown = watched.page.locator("table.rows tbody tr")
    expect(shown).to_have_count(sum(rows["state"] == "failed"))
    expect(watched.page.locator("table.rows .state.failed")).to_have_count(sum(rows["state"] == "failed"))

    watched.page.get_by_label("Search").fill("content policy")
    watched.page.get_by_label("Search").press("Enter")
    watched.page.wait_for_url("**text=content**")
    expect(shown).to_have_count(sum(rows["error_code"] == "provider_rejected"))


def test_a_row_opens_with_its_pictures_and_its_story(watched: Watched, dashboard: str) -> None:
    watched.page.goto(f"{dashboard}/rows?run={NIGHTLY}&state=succeeded&sort=item")
    link = watched.page.locator("table.rows tbody th a").first
    item = link.inner_text()

    link.click()

    expect(watched.page.get_by_role("heading", level=1)).to_have_text(item)
    expect(watched.page.get_by_role("heading", name="What happened")).to_be_visible()
    watched.page.wait_for_function(
        "[...document.querySelectorAll('.compare img')].every(i => i.complete && i.naturalWidth > 100)"
    )
    watched.page.get_by_role("slider").fill("75")
    assert watched.page.locator(".compare").evaluate("e => e.style.getPropertyValue('--split')") == "75%"


def test_review_by_keyboard_ends_in_the_right_manifest(watched: Watched, dashboard: str, results: Path) -> None:
    page = watched.page
    page.goto(f"{dashboard}/review?run={NIGHTLY}")
    heading = page.get_by_role("heading", level=1)

    judged = [heading.inner_text()]
    for key in ("a", "r", "j"):
        page.keyboard.press(key)
        expect(heading).not_to_have_text(judged[-1])
        judged.append(heading.inner_text())
    page.keyboard.press("n")
    page.keyboard.type("a hem is blurred")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    asked = page.get_by_label("Redo with").input_value()
    page.keyboard.press("d")
    expect(heading).not_to_have_text(judged[-1])

    page.goto(f"{dashboard}/review/decisions")
    expect(page.get_by_text("1 accepted, 1 rejected, 1 to be done again")).to_be_visible()
    page.get_by_role("button", name="Write the manifest").click()
    expect(page.get_by_text("The manifest of 1 item is written")).to_be_visible()

    (manifest,) = (results / "_review").glob("redo-*.parquet")
    (row,) = pq.read_table(manifest).to_pylist()
    original = (
        pd.read_parquet(results / "shoes" / "run_id=nightly" / "results.parquet").set_index("item_id").loc[judged[3]]
    )
    assert (row["item_id"], row["provider"], row["redo_note"]) == (judged[3], asked, "a hem is blurred")
    assert (row["image_uri"], row["mask_uri"], row["sku"]) == (original.image_uri, original.mask_uri, original.sku)
    words = pq.read_table(
        next((results / "shoes" / "run_id=nightly" / "_review").glob("decisions-*.parquet"))
    ).to_pylist()
    assert [(word["item_id"], word["decision"]) for word in words] == [
        (judged[0], "accept"),
        (judged[1], "reject"),
        (judged[3], "redo"),
    ]


def test_keys_do_nothing_while_a_note_is_written(watched: Watched, dashboard: str) -> None:
    watched.page.goto(f"{dashboard}/review?run={HOSTILE}")
    heading = watched.page.get_by_role("heading", level=1).inner_text()

    watched.page.get_by_label("Note").fill("")
    watched.page.get_by_label("Note").press_sequentially("darn")

    assert watched.page.get_by_label("Note").input_value() == "darn"
    assert watched.page.get_by_role("heading", level=1).inner_text() == heading


def test_hostile_names_never_execute(watched: Watched, dashboard: str) -> None:
    places = ["/", f"/rows?run={HOSTILE}", f"/review?run={HOSTILE}", f"/run?id={HOSTILE}"]
    places += [f"/row?run={HOSTILE}&n={number}" for number in range(len(HOSTILE_NAMES))]
    for place in places:
        watched.page.goto(f"{dashboard}{place}")
        assert not watched.hacked(), place

    assert {url.split("/")[2] for url in watched.requests} == {dashboard.split("/")[2]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone(browser: Browser, dashboard: str, report: str, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    too_wide = {}
    for place in (*(dashboard + path for path in PAGES), report):
        page.goto(place)
        too_wide[place] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()

    assert {place: wide for place, wide in too_wide.items() if wide > 0} == {}


CONTRAST = """
() => {
  const light = (text) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = text; probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const tone = (name) => light(style.getPropertyValue(name).trim());
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const faint = [];
  for (const ground of ["--paper", "--card", "--hover"])
    for (const ink of ["--ink", "--soft", "--accent", "--good", "--bad", "--wrong", "--wait", "--doubt"])
      if (ratio(tone(ink), tone(ground)) < 4.5) faint.push(`${ink} on ${ground}: ${ratio(tone(ink), tone(ground)).toFixed(2)}`);
  if (ratio(tone("--on-accent"), tone("--accent")) < 4.5) faint.push("--on-accent");
  return faint;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_asks_for(browser: Browser, report: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(report)

    faint = page.evaluate(CONTRAST)
    context.close()

    assert faint == []


UNNAMED = """
() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a[href]:not([aria-hidden]), img, [role=img]")]
  .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim() || e.hasAttribute("alt")))
  .map(e => e.outerHTML.slice(0, 120))
"""


def test_everything_that_can_be_used_has_a_name_and_every_page_one_title(watched: Watched, dashboard: str) -> None:
    for place in PAGES:
        watched.page.goto(f"{dashboard}{place}")
        assert watched.page.evaluate(UNNAMED) == [], place
        assert watched.page.locator("h1").count() == 1, place
        assert watched.page.title().endswith("· cleanplate")
