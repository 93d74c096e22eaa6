"""The steps of a playbook in a browser."""

import json

from playwright.sync_api import Page, expect

from tests.factories import make_user

from .conftest import sign_in


def test_a_new_playbook_begins_without_a_fault_and_takes_a_first_step(desktop: Page) -> None:
    sign_in(desktop, make_user("publisher"))
    desktop.goto("/admin/playbooks/playbook/add/")
    add = desktop.get_by_role("group", name="Add a step")
    expect(add).to_be_visible()
    expect(desktop.locator(".t-steps-fault")).to_have_count(0)

    add.get_by_role("button", name="Wait").click()

    [step] = json.loads(desktop.locator("textarea[name=steps]").input_value())
    assert step == {"kind": "wait", "for": {"days": 3}}
