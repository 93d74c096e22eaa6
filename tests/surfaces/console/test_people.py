"""The page of a person, for staff: what it says, and to whom."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.data.consent.models import Channel, ConsentRecord, PreferenceChange, Suppression
from apps.data.consent.preferences import preference_change
from apps.data.consent.services import consent_withdraw, suppression_add
from apps.data.events.models import Event, Order
from apps.data.privacy.models import RightsRequest
from apps.data.privacy.services import request_open
from apps.decisioning.playbooks.models import Journey
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_user
from tests.surfaces.ledger import make_decision, make_message, make_run

pytestmark = pytest.mark.django_db


def page_of(profile_id: int, user: User, **headers: str) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(f"/console/people/{profile_id}/", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def withdraw(profile_id: int) -> None:
    consent_withdraw(
        profile_id=profile_id,
        purpose="marketing",
        channel=Channel.EMAIL,
        method=ConsentRecord.Method.ONE_CLICK,
        source="one-click, by the link of message 7",
    )


def test_page_says_what_holds_and_how_it_came_about() -> None:
    message = make_message(consent=("marketing",))
    profile = message.profile
    withdraw(profile.pk)

    page = page_of(profile.pk, make_user("analyst"))

    assert "Withdrew “News and offers” by e-mail" in page
    assert "one-click, by the link of message 7" in page
    assert "Agreed to “News and offers” by e-mail" in page
    assert "Left: consent was withdrawn" in page  # what a message now would meet
    assert f'href="/console/messages/{message.pk}/"' in page
    assert "Win-back" in page


def test_page_shows_messages_withheld_journeys_orders_and_requests() -> None:
    run, profile = make_run(), make_profile(first_name="Ada", last_name="Lovelace")
    make_decision(run=run, profile=profile, outcome="no_consent")
    at = now()
    Journey.objects.create(
        playbook=run.playbook,
        version=run.version,
        profile=profile,
        occasion_key="order:1",
        trigger="event",
        step="",
        entered_at=at,
        reached_at=at,
        due_at=at + timedelta(days=1),
    )
    Event.objects.create(profile=profile, name="product viewed", occurred_at=at, message_id="e-1")
    Order.objects.create(
        source="shop", external_id="1001", profile=profile, status="purchase", placed_at=at, revenue=12, currency="EUR"
    )
    request_open(profile_id=profile.pk, kind=RightsRequest.Kind.EXPORT, shown_by="a call back")
    viewer = make_user("administrator")
    viewer.user_permissions.add(Permission.objects.get(codename="view_rightsrequest"))

    page = page_of(profile.pk, viewer)

    for words in ("Ada Lovelace", "Never agreed to it", "next look", "product viewed", "Order 1001", "bought, 12 EUR"):
        assert words in page, words
    assert "Export" in page
    assert "to be looked at" in page


def test_page_of_somebody_new_teaches() -> None:
    page = page_of(make_profile().pk, make_user("publisher"))

    assert "they were never asked" in page
    assert "Nothing was decided about this person yet" in page
    assert "Nothing is known: no orders" in page


def test_page_shows_what_they_wish() -> None:
    profile, viewer = make_profile(), make_user("analyst")
    assert "They chose nothing beside consent" in page_of(profile.pk, viewer)
    by = {"profile_id": profile.pk, "method": ConsentRecord.Method.PREFERENCES, "source": "test"}

    preference_change(kind=PreferenceChange.Kind.FREQUENCY, value="weekly", **by)  # type: ignore[arg-type]
    preference_change(kind=PreferenceChange.Kind.PAUSE, value=(now() + timedelta(days=30)).isoformat(), **by)  # type: ignore[arg-type]

    page = page_of(profile.pk, viewer)
    assert "Pause until" in page
    assert "week" in page
    assert "Paused messages for a while" not in page  # nothing was agreed to, which comes first


def test_whole_addresses_are_for_those_who_look_after_people() -> None:
    profile = make_profile(email="ada.lovelace@example.com")

    for role in ("analyst", "publisher", "local_editor", "engineer", "brand_approver"):
        page = page_of(profile.pk, make_user(role))
        assert "a•••@example.com" in page, role
        assert "ada.lovelace" not in page, role
    assert "ada.lovelace@example.com" in page_of(profile.pk, make_user("administrator"))


def test_page_says_that_the_address_is_suppressed() -> None:
    profile = make_profile(email="ada@example.com", consent=("marketing",))
    suppression_add(kind="email", value="ada@example.com", reason=Suppression.Reason.COMPLAINT)

    page = page_of(profile.pk, make_user("analyst"))

    assert "Their address is suppressed since" in page
    assert "Address is suppressed (bounced, complained or blocked)" in page


def test_parts_are_for_those_who_may_see_them() -> None:
    message = make_message()
    user = User.objects.create_user("support@staff.example", "a long enough password")
    user.user_permissions.add(Permission.objects.get(codename="view_profile"))

    page = page_of(message.profile_id, user)

    assert f"Profile {message.profile_id}" in page
    for hidden in ("What they agreed to", "How it came about", "Latest messages", "Journeys under way", "Win-back"):
        assert hidden not in page, hidden


def test_part_that_moves_is_what_the_page_shows() -> None:
    profile, user = make_profile(consent=("marketing",)), make_user("analyst")

    page, part = page_of(profile.pk, user), page_of(profile.pk, user, **{"HX-Request": "true"})

    assert "<html" not in part
    assert part.strip() in page
    assert f'data-live="/live/person/{profile.pk}/"' in page


def test_somebody_unknown_is_not_found_and_their_stream_refused() -> None:
    client = Client()
    client.force_login(make_user("analyst"))

    assert client.get("/console/people/999999/").status_code == 404
    assert client.get("/live/person/999999/").status_code == 403
    assert client.get(f"/live/person/{make_profile().pk}/").status_code == 204
