"""The study page in a real browser: figures, theme, table, live points."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.window import UNFOLD, Site, Visit
from tunebook_server.services import findings, metrics, trials

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

TRACES = """view => view.querySelector('.plot')._fullData.map(trace => ({
  name: trace.name, symbol: trace.marker && trace.marker.symbol, color: trace.marker && trace.marker.color,
  points: trace.x ? trace.x.length : 0, x: Array.from(trace.x ?? []), dash: trace.line && trace.line.dash,
}))"""


def traces(page: Page, figure: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.locator(f'[id="figure-{figure}"]').evaluate(TRACES)
    return found


@pytest.mark.parametrize("count", [0, 1, 48, 10_000])
def test_every_figure_of_a_study_of_any_size_is_drawn(visit: Open, site: Site, count: int) -> None:
    findings.refresh(site.engine, study_id=site.studies[count])
    page = visit().open(site.study(count))
    page.evaluate(UNFOLD)
    for view in page.locator("figure-view").all():
        view.scroll_into_view_if_needed()
        expect(view).to_have_attribute("data-state", "ready")
    keys = [view.get_attribute("id") for view in page.locator("#axes figure-view").all()]
    assert "figure-axis-optimizer=adam/learning_rate" in keys
    assert len(keys) == 6
    if count < 3:
        assert "more finished trial" in page.locator("#axes").inner_text()


def test_marks_have_the_same_meaning_everywhere(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    for figure in ("axis-weight_decay", "history"):
        page.locator(f"#figure-{figure}").scroll_into_view_if_needed()
        expect(page.locator(f"#figure-{figure}")).to_have_attribute("data-state", "ready")
        marks = {trace["name"]: trace["symbol"] for trace in traces(page, figure)}
        assert marks["feasible"] == "circle"
        assert marks["infeasible"] == "x-thin"
        assert marks["best 3"] == "star"
        assert marks["running"] == "circle-open"


def test_ten_thousand_trials_are_bounded_and_say_so(visit: Open, site: Site) -> None:
    page = visit().open(site.study(10_000))
    assert sum(trace["points"] for trace in traces(page, "axis-optimizer")) == 1_500
    assert "1,500 of 10,000 trials shown" in page.locator("#figure-axis-optimizer .notes").inner_text()


def test_figures_follow_the_theme_without_another_request(visit: Open, site: Site) -> None:
    made = visit()
    page = made.open(site.study(48))

    def colors() -> set[str]:
        return {trace["color"] for trace in traces(page, "axis-optimizer") if trace["name"] == "feasible"}

    assert colors() == {"#2f5fd0"}
    before = sum("/figures/" in url for url in made.requests)
    page.get_by_role("button", name="Light or dark").click()
    page.wait_for_function(
        "() => document.querySelector('#figure-axis-optimizer .plot')._fullLayout.paper_bgcolor === '#14171d'"
    )
    assert colors() == {"#7aa2ff"}
    assert sum("/figures/" in url for url in made.requests) == before
    page.emulate_media(color_scheme="light")
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_a_zoom_fetches_the_points_of_its_range(visit: Open, site: Site) -> None:
    page = visit().open(site.study(10_000))
    view = page.locator("#figure-axis-weight_decay")
    view.scroll_into_view_if_needed()
    expect(view).to_have_attribute("data-state", "ready")
    area = view.locator(".nsewdrag").first.bounding_box()
    assert area is not None
    middle, width = area["y"] + area["height"] / 2, area["width"]
    with page.expect_response(re.compile("first=.*&last=")) as answer:
        page.mouse.move(area["x"] + 0.5 * width, middle)
        page.mouse.down()
        page.mouse.move(area["x"] + 0.6 * width, middle, steps=4)
        page.mouse.up()
    assert answer.value.ok
    page.wait_for_function(
        """() => {
          const plot = document.querySelector('#figure-axis-weight_decay .plot');
          const [first, last] = plot._fullLayout.xaxis.range.map(end => 10 ** end);
          const feasible = plot._fullData[0].x;
          return last < 3 * first && feasible.every(x => x > 0.999 * first && x < 1.001 * last);
        }"""
    )
    assert "of the rest by density" not in view.locator(".notes").inner_text()


def test_a_click_on_a_mark_opens_its_trial(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    view = page.locator("#figure-axis-weight_decay")
    view.scroll_into_view_if_needed()
    expect(view).to_have_attribute("data-state", "ready")
    star = view.locator(".subplot.xy .trace.scatter").nth(1).locator("path.point").first
    box = star.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#card")).to_contain_text("learning_rate")
    expect(page.locator("#card")).to_contain_text("valid/error")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(re.compile(r"/trials/\d+$"))


def test_curves_share_a_colour_by_trial_and_differ_by_dash(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    page.locator("#figure-curves").scroll_into_view_if_needed()
    expect(page.locator("#figure-curves")).to_have_attribute("data-state", "ready")
    looks = page.locator("#figure-curves").evaluate(
        "v => v.querySelector('.plot')._fullData.filter(t => t.mode === 'lines')"
        ".map(t => [t.meta.trial, t.meta.metric, t.line.color, t.line.dash])"
    )
    by_trial: dict[int, set[str]] = {}
    for trial, metric, color, dash in looks:
        by_trial.setdefault(trial, set()).add(color)
        assert dash == ("solid" if metric.startswith("valid/") else "dot")
    assert len(by_trial) == 5
    assert len({color for colors in by_trial.values() for color in colors}) == 5
    assert all(len(colors) == 1 for colors in by_trial.values())
    assert "best step" in page.locator("#figure-curves .notes").inner_text()


def test_a_figure_leaves_as_picture_and_as_numbers(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    for words, suffix in (("Save as PNG", ".png"), ("Save as SVG", ".svg"), ("Numbers as CSV", ".csv")):
        page.get_by_label("More about layers").click()
        with page.expect_download() as download:
            page.locator(".figure", has_text="layers").get_by_text(words).click()
        content = download.value.path().read_bytes()
        if suffix == ".csv":
            assert content.splitlines()[0] == b"trial_id,number,state,valid/error,layers"
            assert len(content.splitlines()) == 49
        else:
            assert download.value.suggested_filename == f"layers{suffix}"
            assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<svg")


def test_the_best_trials_lead_to_all_of_them(visit: Open, site: Site) -> None:
    page = visit().open(site.study(10_000))
    rows = page.locator("#trials tbody tr")
    expect(rows).to_have_count(10)
    assert "★" in rows.first.inner_text()
    page.get_by_role("link", name="All 10,000 trials").click()
    page.wait_for_url(f"{site.study(10_000)}/trials")
    page.go_back()
    page.locator("#trials thead").get_by_role("link", name="weight_decay").click()
    page.wait_for_url(f"{site.study(10_000)}/trials?sort=parameters.weight_decay")


def test_keys_walk_the_table(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.at")).to_have_count(1)
    number = page.locator("tr.at td").nth(1).inner_text().lstrip("★ ")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/trials/\d+$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trial #{number}")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_switches_change_the_figures_and_the_address(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    page.get_by_role("link", name="Log", exact=True).first.click()
    page.wait_for_url(re.compile("y=log"))
    page.wait_for_function(
        "() => document.querySelector('#figure-axis-optimizer .plot')._fullLayout.yaxis.type === 'log'"
    )
    assert "(log)" in (page.locator("#figure-axis-optimizer .ytitle").text_content() or "")


def test_a_phone_shows_everything_within_its_width(visit: Open, site: Site) -> None:
    made = visit(width=400)
    for path in (
        site.study(48),
        f"{site.study(48)}/trials?filter=wrong",
        "/",
        "/workers",
        f"/trials/{first_trial(site)}",
        "/projects/1",
        "/projects/1/studies/new",
    ):
        page = made.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


def first_trial(site: Site) -> int:
    return trials.page(site.engine, study_id=site.studies[48], sort="number", limit=1).items[0].trial.id


def test_a_reported_point_reaches_the_open_page(visit: Open, site: Site) -> None:
    """Live: no reload, and of the figures only those that changed are sent again."""
    made = visit()
    page = made.open(site.study(48))
    page.evaluate("window.stayed = true")
    running = trials.page(site.engine, study_id=site.studies[48], states=["running"], limit=1).items[0].trial
    expect(page.locator("dl.facts")).not_to_contain_text("0.0001")
    import numpy as np

    batch = {"valid/error": (np.array([running.last_step or 0]) + 10, np.array([1e-4]))}
    metrics.report(
        site.engine, trial_id=running.id, epoch=running.epoch, sequence=10, series=batch, content_hash=b"live"
    )
    expect(page.locator("dl.facts")).to_contain_text("0.0001")
    page.wait_for_function(
        """() => {
          const plot = document.querySelector('#figure-axis-optimizer .plot');
          const running = plot._fullData.find(trace => trace.name === 'running');
          return running.y.some(y => Math.abs(y - 1e-4) < 1e-6);
        }"""
    )
    assert page.evaluate("window.stayed")
