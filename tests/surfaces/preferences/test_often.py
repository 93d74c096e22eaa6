"""How often messages come: offered while a digest is published, told, undone, and explained."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.links import preferences_url
from apps.data.consent.models import PreferenceChange
from apps.data.consent.preferences import preferences_read
from apps.data.profiles.models import Profile
from apps.decisioning.decisions.models import DigestPiece
from apps.decisioning.playbooks.services import playbook_withdraw
from apps.foundation.core.clock import now
from tests.factories import make_digest, make_profile
from tests.surfaces.ledger import make_message

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


def path_of(profile: Profile) -> str:
    return urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path


def often(profile: Profile) -> str:
    return preferences_read(profile_ids=[profile.pk])[profile.pk].frequency


def test_without_a_digest_it_is_neither_offered_nor_taken(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    assert 'id="often"' not in client.get(path_of(profile)).content.decode()
    assert client.post(path_of(profile), "do=frequency&value=weekly", content_type=FORM).status_code == 400
    assert not PreferenceChange.objects.exists()


def test_it_is_chosen_told_and_undone_and_what_is_collected_is_said(client: Client) -> None:
    digest, message = make_digest(), make_message()
    profile, path = message.profile, path_of(message.profile)
    assert "09:00 each day, or on Thursday" in client.get(path).content.decode()

    answer = client.post(path, "do=frequency&value=weekly", content_type=FORM)
    page = client.get(answer["Location"]).content.decode()
    assert "Done: they come collected, once a week." in page
    assert '<option value="weekly" selected>' in page
    assert "Nothing is collected at present." in page
    assert often(profile) == "weekly"

    at = now()
    DigestPiece.objects.create(decision_id=message.pk, profile=profile, due_at=at, good_until=at, kept_at=at)
    page = client.get(path).content.decode()
    assert "1 message is collected at present: if you choose each message by itself, it comes at once" in page

    change = PreferenceChange.objects.get()
    client.post(path, f"do=undo&change={change.pk}", content_type=FORM)
    assert often(profile) == "each"
    assert client.post(path, "do=frequency&value=hourly", content_type=FORM).status_code == 400

    client.post(path, "do=frequency&value=daily", content_type=FORM)
    playbook_withdraw(playbook_id=digest.pk, by=digest.owner)
    assert 'id="often"' not in client.get(path).content.decode()
    client.post(path, "do=frequency&value=each", content_type=FORM)
    assert often(profile) == "each", "back is always possible"


def test_why_one_got_a_digest_names_what_it_collected(client: Client) -> None:
    shown, digest = make_message(), make_message()
    at = now()
    DigestPiece.objects.create(
        decision_id=shown.pk,
        profile=digest.profile,
        state="shown",
        digest_id=digest.pk,
        due_at=at,
        good_until=at,
        kept_at=at,
        settled_at=at,
    )
    path = urlsplit(preferences_url(profile_id=digest.profile_id, message_id=digest.pk)).path
    name = shown.dispatch.label.partition(",")[0]
    assert f"It collected what you did not want one by one: “{name}”." in client.get(path).content.decode()
