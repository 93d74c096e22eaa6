"""The feed of changes in the API: where to begin, how to go on, and when to begin anew."""

import pytest
from django.db import connection

from apps.data.consent.models import Preference
from apps.data.profiles.changes import changes_forget
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from tests.factories import make_profile

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db


def test_who_follows_the_feed_reads_each_change_once() -> None:
    asker = make_asker("changes:read", "profiles:read", "profiles:write")
    Profile.objects.create()
    begin = asker.get("changes?after=latest").json()
    assert begin == {"items": [], "after": 1, "more": False}

    told = {"identifiers": [{"kind": "email", "value": "ada@example.com"}], "country": "GB"}
    pk = asker.post("profiles", told).json()["id"]
    other = Profile.objects.create()
    part = asker.get("changes?after=1&limit=1").json()
    [one] = part["items"]
    assert (one["kind"], one["profile"], one["position"], part["more"]) == ("profile", pk, 2, True)
    assert asker.get(f"profiles/{pk}")["ETag"] == f'"v{one["version"]}"'
    rest = asker.get(f"changes?after={part['after']}").json()
    assert ([one["profile"] for one in rest["items"]], rest["more"]) == ([other.pk], False)
    assert asker.get(f"changes?after={rest['after']}").json() == {"items": [], "after": 3, "more": False}
    assert asker.get("changes?kind=consent").json() == {"items": [], "after": 3, "more": False}
    assert "ada" not in str(part)


def test_what_somebody_prefers_is_in_the_feed_whoever_changes_it() -> None:
    asker = make_asker("changes:read", "preferences:read", "preferences:write")
    person = make_profile()
    begin = asker.get("changes?after=latest").json()["after"]

    assert asker.patch(f"profiles/{person.pk}/preferences", {"frequency": "weekly"}).status_code == 200
    [first] = asker.get(f"changes?after={begin}&kind=preference").json()["items"]
    assert (first["profile"], first["purpose"], first["granted"]) == (person.pk, "", None)
    assert asker.get(f"profiles/{person.pk}/preferences")["ETag"] == f'"v{first["version"]}"'
    with connection.cursor() as cursor:
        cursor.execute("UPDATE consent_preference SET language = 'de'")
    [by_hand] = asker.get(f"changes?after={first['position']}").json()["items"]
    assert by_hand["version"] > first["version"]
    assert asker.get(f"profiles/{person.pk}/preferences")["ETag"] == f'"v{by_hand["version"]}"'
    first = by_hand
    assert asker.patch(f"profiles/{person.pk}/preferences", {"frequency": "weekly"}).status_code == 200  # no news
    assert asker.get(f"changes?after={first['position']}").json()["items"] == []
    Preference.objects.filter(pk=person.pk).delete()
    [second] = asker.get(f"changes?after={first['position']}").json()["items"]
    assert (second["kind"], second["profile"]) == ("preference", person.pk)
    assert second["version"] > first["version"]


def test_where_the_feed_does_not_lead_on_it_says_so() -> None:
    asker = make_asker("changes:read")
    Profile.objects.create()
    asker.get("changes")
    changes_forget(now(), 10)

    problem(asker.get("changes?after=0"), 410, "changes_gone")
    problem(asker.get("changes?after=9"), 410, "changes_gone")
    problem(asker.get("changes?after=x"), 400, "parameter_wrong")
    problem(asker.get("changes?kind=x"), 400, "parameter_wrong")
    problem(asker.get("changes?limit=1001"), 400, "limit_wrong")
    assert asker.get("changes?after=1").status_code == 200
