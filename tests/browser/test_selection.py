"""Selecting trials: the table, the bar, every figure and the address of the page agree."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.test_hostile import PAYLOADS, check
from tests.browser.window import READY, Site, Visit
from tests.chromium import PATIENCE_MS
from tunebook_server.domain.trial import Trial
from tunebook_server.services import metrics, trials

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

# Of a figure as Plotly has drawn it: the trials that are not pale, and the traces drawn over the others.
STANDING_OUT = """view => {
  const data = view.querySelector('.plot')?._fullData ?? [];
  const ids = data.flatMap(
    ({customdata, selectedpoints}) => (selectedpoints ?? []).map(at => customdata[at][0]));
  const curves = data.filter(({meta, opacity}) => meta?.trial && opacity > 0.45).map(({meta}) => meta.trial);
  const over = data.filter(({hoverinfo, marker, line}) =>
    hoverinfo === 'skip' && (marker?.size === 13 || line?.width === 2.5)).length;
  return {ids: [...new Set([...ids, ...curves])].sort((a, b) => a - b), over};
}"""


def best(site: Site, study: int, count: int, **options: Any) -> list[Trial]:
    page = trials.page(site.engine, study_id=site.studies[study], sort="objective", limit=count, **options)
    return [row.trial for row in page.items]


def selection(page: Page) -> list[int]:
    """What the address says now (`page.url` may be a moment behind)."""
    words = parse_qs(page.evaluate("location.search.slice(1)")).get("selected", [""])[0]
    return [int(word) for word in words.split(",") if word]


def figure(page: Page, name: str) -> Locator:
    view = page.locator(f"#figure-{name}")
    view.scroll_into_view_if_needed()
    expect(view).to_have_attribute("data-state", "ready")
    return view


def shows(view: Locator, *chosen: Trial) -> None:
    """Waits until the figure lets these trials stand out, and no other."""
    wanted = sorted(trial.id for trial in chosen)
    view.page.wait_for_function(
        f"([view, wanted]) => ({STANDING_OUT})(view).ids.join() === wanted",
        arg=[view.element_handle(), str(wanted)[1:-1].replace(" ", "")],
    )


def box(page: Page, trial: Trial) -> Locator:
    return page.get_by_label(f"Select trial {trial.number}", exact=True)


def click_mark(view: Locator, trial: Trial, *, key: str = "", button: Any = "left") -> None:
    """On the middle of the trial's mark, as Plotly has placed it."""
    at = view.evaluate(
        """(view, id) => {
          const plot = view.querySelector('.plot');
          const trace = plot._fullData.find(({customdata}) => customdata?.some(row => row[0] === id));
          const place = trace.customdata.findIndex(row => row[0] === id);
          const {left, top} = plot.getBoundingClientRect();
          const at = (axis, value) => axis._offset + axis.c2p(axis.d2c(value));
          const {xaxis, yaxis} = plot._fullLayout;
          return [left + at(xaxis, trace.x[place]), top + at(yaxis, trace.y[place])];
        }""",
        trial.id,
    )
    page = view.page
    if key:
        page.keyboard.down(key)
    page.mouse.move(at[0] - 20, at[1])
    page.mouse.move(*at)
    expect(page.locator("#card")).to_contain_text(f"Trial #{trial.number}")
    page.mouse.click(*at, button=button)
    if key:
        page.keyboard.up(key)


def test_table_and_figures_show_the_same_selection(visit: Open, site: Site) -> None:
    made = visit()
    page = made.open(site.study(48))
    first, second, third = best(site, 48, 3)
    box(page, second).check()
    assert selection(page) == [second.id]
    history = figure(page, "history")
    shows(history, second)
    asked = sum("/figures/history" in url for url in made.requests)
    click_mark(history, first, key="Control")
    click_mark(history, third, key="Shift")
    shows(history, first, second, third)
    assert selection(page) == [second.id, first.id, third.id]
    shows(figure(page, "axis-weight_decay"), first, second, third)
    assert sum("/figures/history" in url for url in made.requests) == asked
    assert page.url.startswith(f"{site.study(48)}?")
    for trial in (first, second, third):
        expect(box(page, trial)).to_be_checked()
    expect(page.get_by_role("link", name="Compare")).to_have_attribute(
        "href", f"/compare?trials={second.id},{first.id},{third.id}"
    )
    click_mark(figure(page, "history"), first, key="Control")
    expect(box(page, first)).not_to_be_checked()
    expect(page.locator("#selection")).to_contain_text("2 trials selected")
    page.get_by_role("button", name="Clear").click()
    assert selection(page) == []
    shows(history)
    expect(page.locator("#selection a")).to_be_hidden()


def test_a_zoom_outlives_a_change_of_the_selection(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    history = figure(page, "history")
    area = history.locator(".nsewdrag").first.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.2 * area["width"], area["y"] + 0.5 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 0.5 * area["height"], steps=4)
    page.mouse.up()
    ranges = "view => view.querySelector('.plot')._fullLayout.xaxis.range.join()"
    page.wait_for_function(f"view => !({ranges})(view).startsWith('-')", arg=history.element_handle())
    zoomed = history.evaluate(ranges)
    (trial,) = best(site, 48, 1)
    box(page, trial).check()
    shows(history, trial)
    assert history.evaluate(ranges) == zoomed


def test_a_plain_click_opens_and_the_middle_button_opens_beside(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    (trial,) = best(site, 48, 1)
    history = figure(page, "history")
    with page.context.expect_page() as opened:
        click_mark(history, trial, button="middle")
    opened.value.wait_for_url(re.compile(f"/trials/{trial.id}$"))
    assert selection(page) == []
    page.bring_to_front()
    click_mark(history, trial)
    page.wait_for_url(re.compile(f"/trials/{trial.id}$"))
    page.get_by_role("link", name="Select for comparison").click()
    page.wait_for_url(re.compile(f"selected={trial.id}"))
    expect(box(page, trial)).to_be_checked()


def test_the_selection_goes_wherever_the_reader_goes(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    chosen = best(site, 48, 2)
    ids = [trial.id for trial in chosen]
    for trial in chosen:
        box(page, trial).check()
    page.reload()
    shows(figure(page, "history"), *chosen)
    page.get_by_role("link", name="Log", exact=True).first.click()
    page.wait_for_url(re.compile("y=log"))
    assert selection(page) == ids
    page.get_by_role("link", name="Trials", exact=True).click()
    page.wait_for_url(re.compile("/trials"))
    assert selection(page) == ids
    page.locator("#trials thead").get_by_role("link", name="Trial", exact=True).click()
    page.wait_for_url(re.compile("sort=number"))
    page.get_by_role("link", name=re.compile("^completed")).click()
    page.wait_for_url(re.compile("state=completed"))
    page.get_by_label("Filter").fill("number < 20")
    page.wait_for_url(re.compile("filter=number"))
    assert selection(page) == ids
    page.get_by_role("link", name="Plots", exact=True).click()
    page.wait_for_url(re.compile("/plots"))
    assert selection(page) == ids
    page.get_by_role("link", name="Optimisation history").click()
    page.wait_for_url(re.compile("kind=history"))
    shows(figure(page, "plot-history"), *chosen)
    page.get_by_label("Objective axis").select_option("full")
    page.wait_for_url(re.compile("clip=off"))
    assert selection(page) == ids
    page.keyboard.press("Escape")
    shows(figure(page, "plot-history"))
    assert selection(page) == []
    page.go_back()
    page.wait_for_url(re.compile(r"/plots\?selected="))
    assert selection(page) == ids


SHOWN_IN = {
    "axis": "parameter=weight_decay",
    "isolation": "parameter=optimizer",
    "curves": "",
    "history": "",
    "parallel": "",
    "contour": "x=weight_decay&y=layers",
    "slice": "parameter=weight_decay&by=optimizer",
    "distribution": "by=optimizer",
    "timeline": "",
}


@pytest.mark.parametrize("count", [48, 10_000])
def test_every_figure_of_trials_shows_the_selection(visit: Open, site: Site, count: int) -> None:
    made = visit()
    (trial,) = best(site, count, 1, states=["completed"])  # some figures show no running trial
    expected = {kind: {"ids": [trial.id], "over": 1} for kind in SHOWN_IN}
    expected["curves"] = expected["timeline"] = {"ids": [trial.id], "over": 0}
    expected["parallel"] = {"ids": [], "over": 1}
    if count == 10_000:
        expected["timeline"] = {"ids": [], "over": 0}
    found = {}
    for kind, options in SHOWN_IN.items():
        page = made.open(f"{site.study(count)}/plots?kind={kind}&{options}&selected={trial.id}")
        view = figure(page, f"plot-{kind}")
        with suppress(PlaywrightTimeout):  # what it shows then is compared below
            page.wait_for_function(
                f"([view, wanted]) => JSON.stringify(({STANDING_OUT})(view)) === wanted",
                arg=[view.element_handle(), json.dumps(expected[kind], separators=(",", ":"))],
                timeout=PATIENCE_MS,
            )
        found[kind] = view.evaluate(STANDING_OUT)
        if kind == "timeline" and count == 10_000:
            assert "Not shown here" in view.locator(".notes").inner_text()
    assert found == expected


def test_a_live_point_changes_neither_selection_nor_focus(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    running = best(site, 48, 1, states=["running"])[0]
    box(page, running).check()
    page.evaluate("document.querySelector('#trials tbody').dataset.before = 'yes'")
    series = {"valid/error": (np.array([running.last_step or 0]) + 20, np.array([0.3]))}
    metrics.report(
        site.engine,
        trial_id=running.id,
        epoch=running.epoch,
        sequence=20,
        series=series,
        content_hash=b"selected",
    )
    expect(page.locator("#trials tbody[data-before]")).to_have_count(0)
    expect(box(page, running)).to_be_checked()
    expect(box(page, running)).to_be_focused()
    assert selection(page) == [running.id]


def test_keys_select_compare_and_clear(visit: Open, site: Site) -> None:
    made = visit()
    page = made.open(site.study(48))
    status = page.locator("#selection [role=status]")
    page.keyboard.press("c")
    expect(status).to_contain_text("select two trials")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(status).to_have_text("1 trial selected")
    page.keyboard.press("c")
    expect(status).to_contain_text("select one more trial")
    page.keyboard.press("j")
    page.keyboard.press(" ")
    expect(status).to_have_text("2 trials selected")
    first, second, third = best(site, 48, 3)
    box(page, third).focus()
    page.keyboard.press(" ")
    assert selection(page) == [first.id, second.id, third.id]
    page.keyboard.press("x")
    assert selection(page) == [first.id, second.id]
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    assert selection(page) == [first.id, second.id]
    page.keyboard.press("c")
    page.wait_for_url(f"{site.url}/compare?trials={first.id},{second.id}")
    page.go_back()
    expect(box(page, second)).to_be_checked()
    page.keyboard.press("Escape")
    expect(status).to_have_text("")
    expect(page.locator("[data-pick]:checked")).to_have_count(0)


def test_too_many_are_refused_in_words(visit: Open, site: Site) -> None:
    first, *rest = best(site, 10_000, 21)
    ids = [trial.id for trial in rest]
    page = visit().open(f"{site.study(10_000)}?selected={','.join(map(str, ids))}")
    status = page.locator("#selection [role=status]")
    expect(status).to_have_text("20 trials selected")
    box(page, first).click()
    expect(status).to_contain_text("no more can be")
    expect(box(page, first)).not_to_be_checked()
    assert selection(page) == ids
    box(page, rest[0]).uncheck()
    box(page, first).check()
    assert selection(page) == [*ids[1:], first.id]


def test_whatever_the_address_says_ids_come_out(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(1)}?sort=number")
    source = page.locator("link[href$='/js/selection.js']").get_attribute("href")
    read = """async ([source, words]) => {
      const {selected, carried, toggle} = await import(source);
      history.replaceState(null, "", `?sort=number&selected=${encodeURIComponent(words)}`);
      return [selected(), carried("/a?x=1&selected=9#there"), carried(carried("?y"))];
    }"""

    @given(
        st.lists(st.integers(-3, 10**17).map(str) | st.text("0123456789,e.+- <&#%", max_size=4), max_size=60)
    )
    def holds(words: list[str]) -> None:
        found, carried, twice = page.evaluate(read, [source, ",".join(words)])
        ids = [int(word) for word in ",".join(words).split(",") if re.fullmatch("[1-9][0-9]{0,14}", word)]
        assert found == list(dict.fromkeys(ids))[:20]
        added = f"&selected={','.join(map(str, found))}" if found else ""
        assert carried == f"{site.url}/a?x=1{added}#there"
        assert twice == f"{site.study(1)}?y={added}"

    holds()


def test_a_hostile_selection_is_left_out(visit: Open, site: Site) -> None:
    made = visit()
    (trial,) = best(site, 48, 1)
    page = made.open(f"{site.study(48)}?selected={quote(','.join(PAYLOADS))},{trial.id},-1,1e3,{trial.id}")
    expect(page.locator("#selection [role=status]")).to_have_text("1 trial selected")
    expect(box(page, trial)).to_be_checked()
    check(page, site)
    page = made.open(f"{site.study(48)}/plots?kind=history&selected=999999999999999,{trial.id}")
    page.wait_for_function(READY)
    expect(page.locator(".notes")).to_contain_text("Not shown here: 1 of the selected trials.")
