"""The audience's pages in the admin: who may do what, and what the form says."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm

from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db

PREVIEW = "admin:audiences_audience_preview"
ADD = "admin:audiences_audience_add"
GERMANS = {"attribute": "country", "is": "DE"}


def signed_in(client: Client, who: str | User) -> Client:
    client.force_login(make_user(who) if isinstance(who, str) else who)
    return client


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_an_editor_makes_an_audience_and_the_log_says_so(client: Client) -> None:
    signed_in(client, "publisher")
    answer = client.post(reverse(ADD), {"name": "Germans", "description": "", "rule": json.dumps(GERMANS)})
    assert answer.status_code == 302
    audience = Audience.objects.get()
    assert (audience.name, audience.rule) == ("Germans", GERMANS)
    assert audience.owner.groups.get().name == "publisher"
    entry = AuditEntry.objects.get(action="audience.create")
    assert (entry.actor, entry.object_id, entry.data) == (audience.owner, str(audience.pk), {"rule": GERMANS})


def test_a_change_keeps_the_owner_and_the_rule_before(client: Client) -> None:
    audience = Audience.objects.create(name="Germans", rule=GERMANS, owner=make_user("publisher"))
    signed_in(client, audience.owner)
    page = reverse("admin:audiences_audience_change", args=[audience.pk])
    assert "country is DE" in text_of(client.get(reverse("admin:audiences_audience_changelist")))
    assert client.get(page).status_code == 200
    answer = client.post(page, {"name": "All", "description": "of them", "rule": '{"all": []}'})
    assert answer.status_code == 302
    changed = Audience.objects.get()
    assert (changed.name, changed.description, changed.rule) == ("All", "of them", {"all": []})
    assert changed.owner == audience.owner
    assert changed.updated_at > audience.updated_at
    assert AuditEntry.objects.get(action="audience.update").data == {"rule": {"all": []}, "rule_before": GERMANS}


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ('{"orders": {"at_least": "two"}}', "orders.at_least must be a whole number from 0 to 1,000,000, and is"),
        ('{"orders": \n {"at_least": }}', "Line 2, column 15: this is not JSON yet (Expecting value)"),
        ("", "Write a rule, or take one of the examples"),
        ('{"attribute": "a", "is": NaN}', "holds a number too large"),
        ("[" * 19_000, "This is nested too deep"),
        (" " * 20_001 + "{}", "A rule may have 20,000 characters"),
    ],
)
def test_a_fault_is_shown_beside_the_rule_and_nothing_is_saved(client: Client, rule: str, fault: str) -> None:
    signed_in(client, "publisher")
    answer = client.post(reverse(ADD), {"name": "Wrong", "description": "", "rule": rule})
    assert answer.status_code == 200
    assert fault in text_of(answer)
    assert not Audience.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="audience").exists()


def test_a_name_is_given_once(client: Client) -> None:
    Audience.objects.create(name="Germans", rule=GERMANS, owner=make_user())
    signed_in(client, "publisher")
    answer = client.post(reverse(ADD), {"name": "Germans", "description": "", "rule": json.dumps(GERMANS)})
    assert "Audience with this Name already exists" in text_of(answer)
    assert Audience.objects.count() == 1


def test_the_preview_counts_and_reads_the_rule(client: Client) -> None:
    profile = make_profile(country="DE")
    make_profile(country="FR")
    signed_in(client, "publisher")
    answer = client.post(reverse(PREVIEW), {"rule": json.dumps(GERMANS)})
    assert answer.status_code == 200
    assert "country is DE" in text_of(answer)
    assert "<strong>1</strong> of 2 people, now" in text_of(answer)
    assert f"Profile {profile.pk}" in text_of(answer)


def test_the_preview_tells_a_fault_escaped(client: Client) -> None:
    signed_in(client, "publisher")
    answer = client.post(reverse(PREVIEW), {"rule": '{"<script>": 1}'})
    assert answer.status_code == 200
    assert "Not a rule yet." in text_of(answer)
    assert "<script>" not in text_of(answer)
    reading = client.post(reverse(PREVIEW), {"rule": '{"attribute": "<b>", "is": "<i>"}'})
    assert "“&lt;b&gt;” is “&lt;i&gt;”" in text_of(reading)


def test_a_rule_that_takes_too_long_is_stopped(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Profile.objects.bulk_create(Profile() for _ in range(20_000))
    monkeypatch.setattr("apps.decisioning.audiences.admin._GLANCE_MILLISECONDS", 1)
    signed_in(client, "publisher")
    rule = {"all": [{"not": {"attribute": f"a{number}", "contains": "x"}} for number in range(90)]}
    answer = client.post(reverse(PREVIEW), {"rule": json.dumps(rule)})
    assert answer.status_code == 200
    assert "This rule takes too long to count while you write" in text_of(answer)
    with connection.cursor() as cursor:  # only the preview's transaction had the limit
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "0"


@pytest.mark.parametrize("role", ["analyst", "local_editor", "engineer", "administrator"])
def test_others_look_and_change_nothing(client: Client, role: str) -> None:
    audience = Audience.objects.create(name="Germans", rule=GERMANS, owner=make_user())
    signed_in(client, role)
    page = reverse("admin:audiences_audience_change", args=[audience.pk])
    assert "country is DE" in text_of(client.get(page))
    assert client.post(page, {"name": "All", "description": "", "rule": '{"all": []}'}).status_code == 403
    assert client.post(reverse(ADD), {"name": "x", "description": "", "rule": '{"all": []}'}).status_code == 403
    assert client.post(reverse(PREVIEW), {"rule": '{"all": []}'}).status_code == 403
    assert list(Audience.objects.values_list("name", "rule")) == [("Germans", GERMANS)]


def test_an_audience_of_somebody_else_is_looked_at_only_until_it_is_shared(client: Client) -> None:
    owner, other = make_user("publisher"), make_user("publisher")
    audience = Audience.objects.create(name="Germans", rule=GERMANS, owner=owner)
    signed_in(client, other)
    page = reverse("admin:audiences_audience_change", args=[audience.pk])
    change = {"name": "All", "description": "", "rule": '{"all": []}'}
    assert b'name="_save"' not in client.get(page).content
    refused = client.post(page, change)
    assert refused.status_code == 403
    assert f"Who can: its owner ({owner}), those with whom they share it." in refused.content.decode()
    assert list(Audience.objects.values_list("name", "rule")) == [("Germans", GERMANS)]

    assign_perm("audiences.change_audience", other, audience)
    assert client.post(page, change).status_code == 302
    assert list(Audience.objects.values_list("name", "owner")) == [("All", owner.pk)]


def test_a_stranger_is_sent_to_the_login(client: Client) -> None:
    assert client.post(reverse(PREVIEW), {"rule": '{"all": []}'}).status_code == 302
    assert signed_in(client, "publisher").get(reverse(PREVIEW)).status_code == 405
