"""Advice beside the design form: it comes as one types, and goes when it is followed."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import Site, Visit

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def test_an_advice_comes_with_its_fault_and_goes_with_its_mend(visit: Open, site: Site) -> None:
    page = visit().open("/projects/1/studies/new")
    beside = page.locator("#preview")
    expect(beside).to_contain_text("No advice on this design")
    rate = page.locator(".parameter").first
    rate.get_by_label("Scale").select_option("linear")
    advice = beside.locator("[data-rule=range_scale]")
    expect(advice).to_contain_text("learning_rate is searched on a linear scale")
    expect(advice).to_contain_text("uppermost decade")
    page.get_by_label("Goal").fill("<b>Which</b> rate?")

    beside.get_by_role("button", name="Mend: Search learning_rate on the log scale").click()
    expect(rate.get_by_label("Scale")).to_have_value("log")
    expect(advice).to_have_count(0)
    expect(beside).to_contain_text("No advice on this design")
    expect(page.get_by_label("Goal")).to_have_value("<b>Which</b> rate?")
    expect(rate.get_by_label("Choices")).to_be_hidden()

    page.get_by_role("button", name="Add a hyperparameter").click()
    row = page.locator(".parameter").last
    row.get_by_label("Name").fill("optimizer")
    row.get_by_label("Type").select_option("categorical")
    row.get_by_label("Choices").fill("nesterov, adam")
    row.get_by_label("Role").select_option("scientific")
    page.get_by_role("button", name="Mend: Give each optimizer its own learning_rate").click()
    expect(page.locator(".parameter")).to_have_count(4)
    expect(page.get_by_label("Only if").locator("visible=true").nth(2)).to_have_value("optimizer")
    page.get_by_role("button", name="Create the study").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))


def test_a_toml_is_mended_too(visit: Open) -> None:
    page = visit(dark=True).open("/projects/1/studies/new?mode=toml")
    toml = page.get_by_label("Study as TOML")
    toml.fill(toml.input_value().replace("trials = 24", "trials = 3"))
    page.get_by_role("button", name="Mend: Run 5 trials").click()
    expect(toml).to_have_value(re.compile("trials = 5"))
    expect(page.locator("#preview")).to_contain_text("No advice on this design")
