"""Writing an SMS and a push message in a browser: seen as on a device, with its length, at once."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.decisioning.content.models import Template
from tests.factories import make_brand, make_user

from .accessibility import overflow, violations
from .conftest import sign_in

_SAYS = {
    "sms": {"text": "Anna’s tea is back: https://tea.example/t"},
    "push": {"title": "Back in stock", "body": "The teapot is here again", "link": "https://tea.example/teapot"},
}


@pytest.mark.parametrize("channel", ["sms", "push"])
def test_it_is_written_seen_and_saved(phone: Page, channel: str) -> None:
    make_brand()
    sign_in(phone, make_user("engineer"))
    phone.goto(f"{reverse('admin:content_template_add')}?channel={channel}")
    for name, value in {"code": "hello", "name": "Hello", **_SAYS[channel]}.items():
        phone.locator(f"[name={name}]").fill(value)

    told = phone.locator("[data-size-beside]")
    expect(told).to_contain_text({"sms": "UCS-2", "push": "Title 13 of about 40, text 24 of about 120"}[channel])
    phone.get_by_role("button", name="Preview").click()
    device = phone.frame_locator(".t-stage iframe:not(.t-stage-coming)")
    expect(device.locator("body")).to_contain_text({"sms": "Anna’s tea", "push": "The teapot is here again"}[channel])
    assert (overflow(phone), violations(phone)) == (0, [])
    phone.get_by_role("button", name="Write").click()
    phone.get_by_role("button", name="Save", exact=True).click()
    expect(phone.get_by_role("status").first).to_contain_text("Hello")
    assert Template.objects.get().channel == channel
