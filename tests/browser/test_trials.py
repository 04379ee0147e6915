"""The Trials page in a real browser: a view is typed, clicked, shared and reloaded."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.window import Site, Visit
from tunebook_server.services import metrics, trials

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def rows(page: Page) -> Locator:
    return page.locator("#trials tbody tr[data-href]")


def headers(page: Page) -> list[str]:
    return [text.split("\n")[0].rstrip(" ↑↓") for text in page.locator("#trials thead th").all_inner_texts()]


def test_a_view_is_typed_sorted_and_paged_and_stands_in_the_address(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(10_000)}/trials")
    expect(rows(page)).to_have_count(50)
    expect(page.locator("#matching")).to_have_text("10,000 of 10,000")
    page.keyboard.press("/")
    page.keyboard.type('optimizer = "adam" and layers in (2, 3) and not state = infeasible', delay=0)
    expect(page.locator("#matching")).to_have_text(re.compile(r"^[1-4],\d{3} of 10,000$"))
    page.locator("#trials thead").get_by_role("link", name="layers").click()
    page.wait_for_url(re.compile("sort=parameters.layers"))
    page.get_by_role("link", name=re.compile("^completed")).click()
    page.wait_for_url(re.compile("state=completed"))
    page.get_by_role("link", name="Next 50").click()
    page.wait_for_url(re.compile("cursor="))
    place = headers(page).index("layers")
    expect(rows(page).first.locator("td").nth(place)).to_have_text("2")
    shown = rows(page).all_inner_texts()

    page.reload()
    assert rows(page).all_inner_texts() == shown
    expect(page.get_by_label("Filter")).to_have_value(re.compile("^optimizer = "))
    page.go_back()
    expect(page.get_by_role("link", name="First page")).to_be_hidden()
    page.get_by_role("link", name="First page").wait_for(state="detached")


def test_typing_goes_on_where_the_caret_stands(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials?filter=number+%3C+1")
    field = page.get_by_label("Filter")
    expect(page.locator("#matching")).to_have_text("1 of 48")
    field.evaluate("field => { field.focus(); field.setSelectionRange(9, 9); }")
    page.keyboard.type("2")
    expect(page.locator("#matching")).to_have_text("21 of 48")
    page.keyboard.type("0", delay=0)
    expect(field).to_have_value("number < 201")


def test_columns_are_chosen_and_kept(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials?filter=number+%3C+5")
    assert "Attempts" not in headers(page)
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("Attempts").check()
    page.get_by_label("Best step").uncheck()
    page.wait_for_url(re.compile("columns=attempts"))
    page.get_by_label("batch_size").check()
    page.wait_for_url(re.compile("columns=parameters.batch_size"))
    expect(page.get_by_label("Attempts")).to_be_visible()  # the menu stays open
    expect(page.locator("#trials thead")).to_contain_text("batch_size")
    assert {"Attempts", "batch_size"} <= set(headers(page))
    assert "Best step" not in headers(page)
    page.reload()
    assert {"Attempts", "batch_size"} <= set(headers(page))
    expect(rows(page)).to_have_count(5)
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("link", name="Usual columns").click()
    expect(page.locator("#trials thead")).not_to_contain_text("Attempts")
    assert "columns" not in page.url


def test_a_box_cleared_while_an_answer_is_on_its_way_stays_cleared(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials?filter=number+%3C+5")
    page.locator("summary", has_text="Columns").click()
    held: list[Route] = []
    page.route(
        re.compile("columns=attempts"), lambda each: each.continue_() if held[1:] else held.append(each)
    )
    for box, tick in (("Attempts", True), ("Best step", False)):
        with page.expect_request(re.compile("columns=attempts")):
            page.get_by_label(box).set_checked(tick)
    held[0].continue_()
    expect(page.locator("#trials thead")).to_contain_text("Attempts")
    expect(page.get_by_label("Best step")).not_to_be_checked()
    page.get_by_label("batch_size").check()
    expect(page.locator("#trials thead")).to_contain_text("batch_size")
    expect(page.locator("#trials thead")).not_to_contain_text("Best step")
    held[1].continue_()  # it was overtaken
    page.get_by_role("link", name="Usual columns").click()
    expect(page.locator("#trials thead")).not_to_contain_text("Attempts")
    expect(page.get_by_label("Attempts")).not_to_be_checked()
    expect(page.get_by_label("Best step")).to_be_checked()


def test_an_invalid_filter_stands_beside_the_field_and_keeps_the_rows(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials?filter=number+%3C+7")
    expect(rows(page)).to_have_count(7)
    field = page.get_by_label("Filter")
    field.fill("nummer < 7")
    expect(page.locator("#filter-error")).to_contain_text("no field 'nummer'")
    expect(page.locator("#filter-error")).to_contain_text("Did you mean number?")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert field.get_attribute("aria-describedby") == "filter-error"
    expect(rows(page)).to_have_count(7)
    with page.expect_response(re.compile("nummer")):
        report(site, 1e-3)
    expect(rows(page)).to_have_count(7)
    field.fill("number < 3")
    expect(rows(page)).to_have_count(3)
    expect(page.locator("#filter-error")).to_have_count(0)


def test_examples_are_links_and_the_link_can_be_copied(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("What can I write?").click()
    example = page.locator(".grammar li a").first
    text = example.inner_text()
    example.click()
    expect(page.get_by_label("Filter")).to_have_value(text)
    expect(page.locator(".grammar li a").first).to_be_visible()
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.partition("/studies/")[2] == page.url.partition("/studies/")[2]
    page.locator("summary", has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="These trials as CSV").click()
    lines = download.value.path().read_bytes().splitlines()
    assert len(lines) == 1 + rows(page).count()


def test_a_reported_point_reaches_the_filtered_table(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials?filter=objective+%3C+1e-6")
    page.evaluate("window.stayed = true")
    expect(rows(page)).to_have_count(0)
    report(site, 4e-7)
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#matching")).to_have_text("1 of 48")
    assert page.evaluate("window.stayed")


def test_an_answer_that_was_overtaken_is_dropped(visit: Open, site: Site) -> None:
    page = visit().open(f"{site.study(48)}/trials")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile("state=infeasible"), hold)
    page.get_by_role("link", name=re.compile("^infeasible")).click()
    page.get_by_role("link", name=re.compile("^completed")).click()
    page.wait_for_url(re.compile("state=completed"))
    expect(page.locator("#trials")).not_to_contain_text("infeasible")
    count = rows(page).count()
    (late,) = held
    with page.expect_response(re.compile("state=infeasible")) as answer:
        late.continue_()
    answer.value.finished()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(rows(page)).to_have_count(count)
    expect(page.locator("#trials")).not_to_contain_text("infeasible")
    expect(page.locator(".chips [aria-current]")).to_have_text(re.compile("completed"))
    assert "state=completed" in page.url


def test_the_pages_of_a_study_lead_to_each_other(visit: Open, site: Site) -> None:
    page = visit().open(site.study(48))
    for name in ("Plots", "Trials", "Study"):
        page.get_by_role("navigation", name="Study").get_by_role("link", name=name).click()
        current = page.get_by_role("navigation", name="Study").locator("[aria-current]")
        expect(current).to_have_text(name)


def report(site: Site, value: float) -> None:
    """A running trial reports a better value than any before."""
    page = trials.page(site.engine, study_id=site.studies[48], states=["running"], limit=1)
    running = page.items[0].trial
    series = {"valid/error": (np.array([running.last_step or 0]) + 1, np.array([value]))}
    sequence = 1_000 + (running.last_step or 0)
    metrics.report(
        site.engine,
        trial_id=running.id,
        epoch=running.epoch,
        sequence=sequence,
        series=series,
        content_hash=b"live",
    )
