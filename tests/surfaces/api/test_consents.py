"""Consent and preferences in the API: grants with evidence and never over a withdrawal, withdrawals always."""

from datetime import timedelta
from typing import Any

import pytest

from apps.data.consent.models import ConsentRecord, PreferenceChange, Topic
from apps.data.consent.selectors import gate_read
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_purposes

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db
GRANT: dict[str, Any] = {
    "purpose": "marketing", "channel": "email", "granted": True, "evidence": "checkout v3, order 7",
}  # fmt: skip
WITHDRAWAL = {**GRANT, "granted": False}


@pytest.fixture(autouse=True)
def purposes() -> None:
    make_purposes()


def allowed(profile_id: int) -> bool:
    return gate_read(profile_ids=[profile_id], purpose="marketing", channel="email")[profile_id].allowed


def test_a_grant_is_recorded_with_its_evidence_and_once() -> None:
    asker, ada = make_asker(), make_profile()
    path = f"profiles/{ada.pk}/consents"

    assert asker.post(path, GRANT).json() == {"recorded": True}
    assert allowed(ada.pk)
    record = ConsentRecord.objects.get()
    assert (record.method, record.source, record.evidence) == ("api", asker.client_source, "checkout v3, order 7")
    assert asker.post(path, GRANT).json() == {"recorded": False}
    assert [one["granted"] for one in asker.get(path).json()["items"]] == [True]
    assert [one["action"] for one in asker.get(f"{path}/ledger").json()["items"]] == ["grant"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"evidence": ""}, "evidence_missing"),
        ({"evidence": "  "}, "evidence_missing"),
        ({"purpose": "nothing"}, "purpose_unknown"),
        ({"channel": "pigeon"}, "content_wrong"),
        ({"granted": None}, "content_wrong"),
        ({"occurred_at": (now() + timedelta(days=1)).isoformat()}, "consent_in_future"),
    ],
)
def test_a_grant_that_cant_stand_is_refused(change: dict[str, Any], code: str) -> None:
    ada = make_profile()

    problem(make_asker().post(f"profiles/{ada.pk}/consents", {**GRANT, **change}), 422, code)
    assert not ConsentRecord.objects.exists()


def test_no_client_lifts_a_withdrawal() -> None:
    asker, ada = make_asker(), make_profile(consent=("marketing",))
    path = f"profiles/{ada.pk}/consents"

    assert asker.post(path, WITHDRAWAL).json() == {"recorded": True}
    assert not allowed(ada.pk)
    problem(asker.post(path, GRANT), 409, "consent_withdrawn")
    problem(asker.post(path, {**GRANT, "occurred_at": now().isoformat()}), 409, "consent_withdrawn")
    assert not allowed(ada.pk)


def test_choices_of_many_are_each_by_themselves_and_lift_nothing() -> None:
    asker = make_asker(reach={"purposes": ["marketing"]})
    ada, bea, left = make_profile(), make_profile(consent=("marketing",)), make_profile(consent=("marketing",))
    gone = make_profile()
    asker.post(f"profiles/{left.pk}/consents", WITHDRAWAL)
    rows = [
        {**GRANT, "profile": ada.pk},
        {**GRANT, "profile": bea.pk},
        {**GRANT, "profile": left.pk},
        {**GRANT, "profile": gone.pk, "evidence": ""},
        {**GRANT, "profile": gone.pk, "purpose": "tracking"},
        {**GRANT, "profile": gone.pk + 1000},
        {**GRANT, "profile": "x"},
        {**GRANT, "profile": True},
        {**WITHDRAWAL, "profile": bea.pk},
        "nonsense",
    ]

    said = asker.post("consents/bulk", {"rows": rows}, Idempotency_Key="1").json()

    assert [one["status"] for one in said["results"]] == [201, 200, 409, 422, 403, 404, 422, 422, 201, 422]
    assert said["results"][2]["problem"]["code"] == "consent_withdrawn"
    assert [allowed(one.pk) for one in (ada, bea, left, gone)] == [True, False, False, False]
    assert ConsentRecord.objects.filter(profile=gone).count() == 0
    assert asker.post("consents/bulk", {"rows": rows}, Idempotency_Key="1").json() == said


def test_limits_hold_for_grants_and_never_for_withdrawals() -> None:
    asker, ada = make_asker(reach={"purposes": ["personalisation"]}), make_profile(consent=("marketing",))
    path = f"profiles/{ada.pk}/consents"

    problem(asker.post(path, GRANT), 403, "purpose_beyond_limits")
    assert asker.post(path, WITHDRAWAL).status_code == 201
    assert not allowed(ada.pk)


def test_nobody_unknown_is_told_of() -> None:
    asker = make_asker()

    for path in ("consents", "consents/ledger", "preferences"):
        problem(asker.get(f"profiles/999/{path}"), 404, "not_found")
    problem(asker.post("profiles/999/consents", WITHDRAWAL), 404, "not_found")


def test_preferences_are_read_and_changed_together_or_not_at_all() -> None:
    asker, ada = make_asker(), make_profile()
    Topic.objects.create(code="teas", name="Teas")
    path = f"profiles/{ada.pk}/preferences"

    changed = asker.patch(
        path,
        {"topics": {"teas": False}, "quiet_hours": {"start": "22:00", "end": "07:00"}, "language": "de"},
    ).json()
    assert (changed["topics_off"], changed["language"]) == (["teas"], "de")
    assert changed["quiet_hours"] == {"start": "22:00", "end": "07:00"}
    assert asker.get(path).json() == changed
    assert set(PreferenceChange.objects.values_list("method", "source")) == {("api", asker.client_source)}

    problem(asker.patch(path, {"topics": {"teas": True, "moons": True}}), 422, "preference_unknown")
    problem(asker.patch(path, {"quiet_hours": {"start": "25:00", "end": "07:00"}}), 422, "preference_value")
    assert asker.get(path).json() == changed
    assert asker.patch(path, {"quiet_hours": None, "topics": {"teas": True}}).json()["quiet_hours"] is None


def test_preferences_are_changed_on_the_condition_of_what_was_seen() -> None:
    asker, ada = make_asker(), make_profile()
    path = f"profiles/{ada.pk}/preferences"
    nothing = asker.get(path)["ETag"]
    assert nothing == '"v0"'

    first = asker.patch(path, {"frequency": "weekly"}, If_Match=nothing)
    assert (first.status_code, asker.get(path)["ETag"]) == (200, first["ETag"])
    problem(asker.patch(path, {"frequency": "daily", "language": "de"}, If_Match=nothing), 412, "changed_meanwhile")
    assert asker.get(path).json() == first.json()
    same = asker.patch(path, {"frequency": "weekly"}, If_Match=first["ETag"])
    assert same["ETag"] == first["ETag"], "what changes nothing is no change"
    assert asker.patch(path, {"language": "de"}, If_Match=first["ETag"]).status_code == 200
    assert asker.patch(path, {"language": ""}, If_Match="*").status_code == 200
