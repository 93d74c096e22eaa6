"""The audience's form in a browser: examples fill the rule, and its meaning follows the typing."""

import pytest
from playwright.sync_api import Page, expect

from apps.decisioning.audiences.models import Audience
from tests.factories import make_profile, make_user

from .accessibility import overflow, violations
from .conftest import sign_in

ADD = "/admin/audiences/audience/add/"


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_a_rule_is_written_from_an_example(width: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(width)
    make_profile(country="DE")
    make_profile(country="FR")
    sign_in(page, make_user("publisher"))
    page.goto(ADD)
    panel = page.locator("#rule-preview")
    expect(panel).to_contain_text("Not a rule yet. Write a rule, or take one of the examples")

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
