"""The audience's form in a browser: examples fill the rule, and its meaning follows the typing."""

import json

import pytest
from playwright.sync_api import Page, expect

from apps.decisioning.audiences.models import Audience
from tests.factories import make_profile, make_user

from .accessibility import overflow, violations
from .conftest import sign_in

ADD = "/admin/audiences/audience/add/"


@pytest.mark.parametrize("width", ["phone", pytest.param("desktop", marks=pytest.mark.slow)])
def test_a_rule_is_written_from_an_example(width: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(width)
    make_profile(country="DE")
    make_profile(country="FR")
    sign_in(page, make_user("publisher"))
    page.goto(ADD)
    panel = page.locator("#rule-preview")
    expect(panel).to_contain_text("How many people the rule takes in")

    page.get_by_role("button", name="From some countries").click()
    expect(panel).to_contain_text("Country is DE, AT or CH", ignore_case=True)
    expect(panel).to_contain_text("1 of 2 people, now")

    rule = page.get_by_label("Rule", exact=False).first
    rule.fill('{"attribute": "country", "iss": "FR"}')
    expect(panel).to_contain_text('iss is not known here: is "is" meant?')
    rule.fill('{"attribute": "country", "known": true}')
    expect(panel).to_contain_text("2 of 2 people, now")
    assert overflow(page) == 0
    assert violations(page, within=".t-rule") == []

    page.get_by_label("Name").fill("Whose country is known")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert Audience.objects.get().rule == {"attribute": "country", "known": True}


@pytest.mark.parametrize("width", ["desktop", pytest.param("phone", marks=pytest.mark.slow)])
def test_a_rule_is_put_together_of_conditions_by_the_keyboard(width: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(width)
    make_profile(country="DE")
    make_profile(country="FR")
    sign_in(page, make_user("publisher"))
    page.goto(ADD)
    build, panel = page.get_by_role("region", name="Conditions"), page.locator("#rule-preview")

    build.get_by_role("button", name="Add a condition").first.focus()
    page.keyboard.press("Enter")
    expect(panel).to_contain_text("1 of 2 people, now")
    expect(build.get_by_label("What is asked")).to_be_focused()
    build.get_by_label("What is asked").select_option("feature")
    build.get_by_label("Feature").select_option("lifecycle_stage")
    build.get_by_label("Value", exact=True).fill("prospect")
    expect(panel).to_contain_text("Lifecycle stage is prospect", ignore_case=True)
    expect(panel).to_contain_text("2 of 2 people, now")
    build.get_by_role("button", name="Add a group").focus()
    page.keyboard.press("Enter")
    build.get_by_label("not").last.check()
    expect(panel).to_contain_text("and country is not DE")
    expect(panel).to_contain_text("1 of 2 people, now")
    text = page.get_by_label("Rule", exact=False).first
    written = json.loads(text.input_value())
    assert written == {
        "all": [
            {"feature": "lifecycle_stage", "is": "prospect"},
            {"any": [{"not": {"attribute": "country", "is": "DE"}}]},
        ]
    }
    assert overflow(page) == 0
    assert violations(page, within=".t-rule") == []

    text.fill('{"orders": {"at_least": 2, "within_days": 30, "category": "Tea"}}')
    expect(build.get_by_label("Category")).to_have_value("Tea")
    expect(build.get_by_label("Days, empty for ever")).to_have_value("30")
    text.fill('{"not": {"not": {"not": {"all": []}}}}')
    expect(build).to_contain_text("can only be shown as text")
