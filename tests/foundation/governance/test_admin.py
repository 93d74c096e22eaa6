"""Reviews and the audit log are read, by those who may, with a constant number of queries."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.foundation.governance.models import AuditEntry, Review
from apps.foundation.governance.services import audit_record, review_request
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def _reviews(count: int) -> list[Review]:
    return [
        review_request(subject=make_user("analyst"), digest="a" * 64, path=[["brand_approver"]], by=make_user())
        for _ in range(count)
    ]


def _client(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def test_what_waits_for_me_can_be_found() -> None:
    _reviews(2)
    url = reverse("admin:governance_review_changelist")
    assert _client("brand_approver").get(f"{url}?waits=me").context["cl"].result_count == 2
    assert _client("legal_approver").get(f"{url}?waits=me").context["cl"].result_count == 0
    assert _client("legal_approver").get(f"{url}?waits=anybody").context["cl"].result_count == 2


@pytest.mark.parametrize("model", ["review", "auditentry"])
def test_lists_cost_the_same_for_many_rows(model: str, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    _reviews(12)
    client = _client("analyst")
    url = reverse(f"admin:governance_{model}_changelist")
    client.get(url)
    with django_assert_max_num_queries(16):
        assert client.get(url).status_code == 200


def test_nothing_is_edited_here() -> None:
    review = _reviews(1)[0]
    entry = AuditEntry.objects.first()
    assert entry is not None
    client = _client("administrator")
    for name, pk in (("review", review.pk), ("auditentry", entry.pk)):
        change = reverse(f"admin:governance_{name}_change", args=[pk])
        assert client.get(change).status_code == 200
        assert client.post(change, {}).status_code == 403
        assert client.post(reverse(f"admin:governance_{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403
        assert client.get(reverse(f"admin:governance_{name}_add")).status_code == 403
    review.refresh_from_db()
    assert review.state == Review.State.OPEN


def test_the_audit_log_is_searched_by_action_object_and_person() -> None:
    actor = make_user("engineer")
    audit_record(action="content.block.changed", actor=actor, subject=make_user())
    url = reverse("admin:governance_auditentry_changelist")
    client = _client("analyst")
    for words in ("content.block", actor.email):
        assert client.get(url, {"q": words}).context["cl"].result_count == 1
    assert client.get(url, {"q": "no such thing"}).context["cl"].result_count == 0
