"""The tests of a template in Chromium: at both widths, by keyboard, without violations."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from apps.decisioning.content import services
from tests.decisioning.content.making import Sample
from tests.decisioning.content.suites import sample_suite

from .accessibility import overflow, violations
from .conftest import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_engineer_looks_at_results_and_mends_a_case(desktop: Page, phone: Page) -> None:
    sample = Sample()
    suite = sample_suite()
    services.template_version_create(
        template_id=sample.template.pk, by=sample.engineer, arrangement=suite.arrangement, cases=suite.cases[1:]
    )
    services.template_case_save(
        template_id=sample.template.pk, by=sample.engineer, name="good-night",
        text="about: Is to greet.\nexpect:\n  subject: {contains: Good night}\n",
    )  # fmt: skip
    tests = reverse("admin:content_template_tests", args=[sample.template.pk])
    for page in (desktop, phone):
        sign_in(page, sample.engineer)
        page.goto(reverse("admin:content_template_change", args=[sample.template.pk]))
        page.get_by_text("1 case fails").wait_for()
        page.goto(tests)
        page.get_by_role("heading", name="Not ready to be published").wait_for()
        assert overflow(page) == 0
        assert violations(page, within=".t-page") == []

    desktop.frame_locator("iframe.t-mail").get_by_text("Good things for plain days").wait_for()
    desktop.get_by_role("link", name="Edit", exact=True).focus()
    desktop.keyboard.press("Enter")
    desktop.get_by_label("The case").fill("expect:\n  subjct: {}\n")
    desktop.get_by_role("button", name="Save as a new version").click()
    desktop.get_by_text("Line 2:").wait_for()
    assert violations(desktop, within=".t-page") == []
    desktop.get_by_label("The case").fill("expect:\n  subject: {contains: Hello}\n")
    desktop.get_by_role("button", name="Save as a new version").click()

    desktop.get_by_text("Saved as v").wait_for()
    desktop.get_by_role("link", name="good-night").wait_for()
    phone.goto(f"{tests}case/?case=good-night")
    assert overflow(phone) == 0
    assert violations(phone, within=".t-page") == []
