"""Staff answer requests on the pages of the admin: by their right, asked once more, and each in its time."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from apps.data.consent.models import ConsentState
from apps.data.privacy.deadlines import deadlines_tell
from apps.data.privacy.erasing import erasure_run
from apps.data.privacy.exporting import export_build
from apps.data.privacy.models import RightsRequest
from apps.data.privacy.services import request_open
from apps.data.profiles.models import Profile
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.clock import now
from apps.foundation.governance.models import AuditEntry, Notice
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/privacy/rightsrequest/"
Kind = RightsRequest.Kind


@pytest.fixture(autouse=True)
def _own_folder(settings: object, tmp_path: Path) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"  # type: ignore[attr-defined]
    settings.DATA_DIR = tmp_path / "data"  # type: ignore[attr-defined]


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_user("administrator"))
    return client


def asked_for(kind: RightsRequest.Kind) -> RightsRequest:
    profile = make_profile(first_name="Anna", consent=("marketing",))
    return request_open(profile_id=profile.pk, kind=kind, shown_by="called back")


def page(asked: RightsRequest) -> str:
    return f"{LIST}{asked.pk}/change/"


def do(client: Client, asked: RightsRequest, code: str, **said: str) -> int:
    return client.post(f"{LIST}{asked.pk}/do/{code}/", said).status_code


def test_a_request_is_put_down_for_a_person_found_by_address(staff: Client) -> None:
    profile = make_profile(email="anna@example.com")

    answer = staff.post(
        f"{LIST}add/", {"person": " Anna@Example.com", "kind": "restriction", "shown_by": "wrote from their address"}
    )

    asked = RightsRequest.objects.get()
    assert answer["Location"] == page(asked)
    assert (asked.profile_id, asked.kind, asked.asked_by) == (profile.pk, "restriction", "staff")


@pytest.mark.parametrize("person", ["nobody@example.com", "999999999", "shared@example.com", ""])
def test_nobody_or_several_are_told_and_nothing_is_put_down(staff: Client, person: str) -> None:
    for _ in range(2):
        make_profile(email="shared@example.com")

    answer = staff.post(f"{LIST}add/", {"person": person, "kind": "erasure", "shown_by": "called back"})

    assert answer.status_code == 422
    assert not RightsRequest.objects.exists()


def test_the_list_shows_the_most_urgent_first_and_what_is_overdue(staff: Client) -> None:
    late, young = asked_for(Kind.EXPORT), asked_for(Kind.ERASURE)
    RightsRequest.objects.filter(pk=late.pk).update(
        asked_at=now() - timedelta(days=40), due_at=now() - timedelta(days=9)
    )

    text = staff.get(LIST).content.decode()

    assert "overdue by 9 days" in text
    assert text.index(f"{LIST}{late.pk}/") < text.index(f"{LIST}{young.pk}/")
    assert f"{LIST}{young.pk}/" not in staff.get(f"{LIST}?due=overdue").content.decode()


def test_each_deed_asks_first_and_does_nothing_by_get(staff: Client) -> None:
    asked = asked_for(Kind.ERASURE)

    answer = staff.get(f"{LIST}{asked.pk}/do/erase/")

    assert answer.status_code == 200
    assert "Nothing brings it back" in answer.content.decode()
    asked.refresh_from_db()
    assert asked.state == "open"


def test_an_export_is_made_and_fetched_and_that_is_in_the_audit_log(staff: Client) -> None:
    asked = asked_for(Kind.EXPORT)
    assert do(staff, asked, "build") == 302
    export_build(request_id=asked.pk)

    assert f"{LIST}{asked.pk}/export/html/" in staff.get(page(asked)).content.decode()
    answer = staff.get(f"{LIST}{asked.pk}/export/json/")

    assert answer["Content-Disposition"] == f'attachment; filename="profile-{asked.profile_id}.json"'
    assert b'"Anna"' in b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert AuditEntry.objects.filter(action="privacy.export.fetched").count() == 1
    assert staff.get(f"{LIST}{asked.pk}/export/pdf/").status_code == 404


def test_a_correction_an_objection_and_a_restriction_are_carried_out(staff: Client) -> None:
    correct, against, restrict = asked_for(Kind.CORRECTION), asked_for(Kind.OBJECTION), asked_for(Kind.RESTRICTION)

    assert 'value="Anna"' in staff.get(f"{LIST}{correct.pk}/do/correct/").content.decode()
    assert do(staff, correct, "correct", first_name="Anne", country="Nowhere") == 422
    assert do(staff, correct, "correct", first_name="Anne", country="AT") == 302
    assert do(staff, against, "object", against="marketing") == 302
    assert do(staff, restrict, "restrict") == 302

    assert Profile.objects.get(pk=correct.profile_id).first_name == "Anne"
    assert ConsentState.objects.get(profile_id=against.profile_id).granted is False
    assert Profile.objects.get(pk=restrict.profile_id).restricted_at is not None
    assert set(RightsRequest.objects.values_list("state", flat=True)) == {"done"}
    assert do(staff, restrict, "lift", because="it is settled, they wrote") == 302
    assert Profile.objects.get(pk=restrict.profile_id).restricted_at is None


def test_an_erasure_wants_the_number_and_shows_its_steps(staff: Client) -> None:
    asked = asked_for(Kind.ERASURE)

    assert do(staff, asked, "erase", number="1234567") == 409
    assert RightsRequest.objects.get(pk=asked.pk).state == "open"
    assert do(staff, asked, "erase", number=str(asked.profile_id)) == 302
    erasure_run(request_id=asked.pk)

    text = staff.get(page(asked)).content.decode()
    assert "answered on" in text
    assert "not yet" not in text
    assert "A keyed digest of each address" in text
    assert do(staff, asked, "erase", number=str(asked.profile_id)) == 302  # says that it can't be done any more
    assert RightsRequest.objects.get(pk=asked.pk).state == "done"


@pytest.mark.parametrize("role", [role.code for role in ROLES if role.code != "administrator"])
def test_nobody_else_does_anything(role: str) -> None:
    asked, client = asked_for(Kind.RESTRICTION), Client()
    client.force_login(make_user(role))

    assert client.get(LIST).status_code == (200 if role == "legal_approver" else 403)
    assert client.get(page(asked)).status_code == (200 if role == "legal_approver" else 403)
    for code in ("restrict", "refuse", "extend"):
        assert client.get(f"{LIST}{asked.pk}/do/{code}/").status_code == 403
        assert do(client, asked, code, because="because I say so") == 403
    assert client.post(f"{LIST}add/", {"person": str(asked.profile_id), "kind": "erasure"}).status_code == 403
    assert client.get(f"{LIST}{asked.pk}/export/json/").status_code == 403

    asked.refresh_from_db()
    assert (asked.state, asked.extended_because) == ("open", "")
    assert RightsRequest.objects.count() == 1
    assert Profile.objects.get(pk=asked.profile_id).restricted_at is None


def test_who_answers_is_told_in_time_and_once_more_when_it_is_overdue() -> None:
    by, other = make_user("administrator"), make_user("legal_approver")
    soon, later = asked_for(Kind.EXPORT), asked_for(Kind.ERASURE)
    RightsRequest.objects.filter(pk=soon.pk).update(
        asked_at=now() - timedelta(days=27), due_at=now() + timedelta(days=4)
    )

    for _ in range(2):
        deadlines_tell()
    told = Notice.objects.get()
    assert (told.user, told.place) == (by, page(soon))
    assert "is due on" in told.title

    RightsRequest.objects.filter(pk=soon.pk).update(due_at=now() - timedelta(hours=1))
    for _ in range(2):
        deadlines_tell()
    assert "is overdue" in Notice.objects.latest("pk").title
    assert Notice.objects.count() == 2
    assert not Notice.objects.filter(user=other).exists()
    assert str(later.profile_id) not in "".join(Notice.objects.values_list("title", flat=True)).split("profile")[0]
