"""The page about data quality, full of data, and the page of a list's addresses: at both widths."""

from datetime import timedelta

from playwright.sync_api import Page, expect

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppressions_add
from apps.data.profiles.services import attribute_define
from apps.foundation.core.clock import now
from apps.insight.monitoring.models import ListCheck
from apps.insight.monitoring.quality import quality_measure
from apps.insight.monitoring.quality_alerts import threshold_set
from tests.browser.accessibility import overflow, violations
from tests.browser.conftest import DESKTOP, PHONE, sign_in
from tests.factories import make_profile, make_published, make_user


def test_what_is_low_leads_to_examples_and_to_where_it_is_mended(desktop: Page) -> None:
    keeper = make_user("administrator")
    attribute_define(name="club", by=keeper, kind="choice", allowed=["gold", "silver"], required=True)
    for number in range(6):
        make_profile(source="web shop", country="AT" if number else "at", attributes={"club": "brass"})
        make_profile(source="till", first_name="Ada", country="DE", attributes={"club": "gold"} if number else {})
    shared = [make_profile(source="till", email="family@example.com") for _ in range(2)]
    suppressions_add(kind="email", values=["family@example.com"], reason=Suppression.Reason.BOUNCE)
    quality_measure()
    threshold_set(attribute="club", source="", measure="fitting", least=0.9, by=keeper)
    threshold_set(attribute="", source="till", measure="known", least=0.5, by=keeper)
    quality_measure()
    playbook = make_published(trigger="schedule", schedule="0 7 * * *")
    ListCheck.objects.create(
        playbook=playbook,
        due_at=now(),
        found={"": 12_000, "no_mail": 31, "disposable": 7, "role": 250, "silent": 900, "no_address": 64},
        finished_at=now() - timedelta(minutes=5),
    )
    sign_in(desktop, keeper)

    for path in ("/console/quality/", "/console/runs/", f"/console/playbooks/{playbook.pk}/dry-runs/"):
        for size in (DESKTOP, PHONE):
            desktop.set_viewport_size(size)  # type: ignore[arg-type]
            desktop.goto(path)
            assert violations(desktop) == [], (path, size)
            assert overflow(desktop) == 0, (path, size)
    expect(desktop.get_by_text("no such domain, or no mail server there")).to_be_visible()
    desktop.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    desktop.goto("/console/quality/?source=till")
    desktop.get_by_role("link", name="the same as others").first.click()
    expect(desktop.get_by_role("link", name=f"Profile {shared[0].pk}", exact=True)).to_be_visible()
    assert violations(desktop) == []
