"""Audiences taken out: only who agreed, hashed as platforms ask, and put down in the audit log."""

import csv
import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.exporting import audience_export
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.services import audience_create
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def everybody() -> Audience:
    return audience_create(name="Everybody", rule={"all": []}, owner=make_user("publisher"))


def exported(by: User, form: str = "csv", **fields: Any) -> list[list[str]]:
    out = io.StringIO()
    done = audience_export(
        **{
            "audience_id": Audience.objects.get().pk,
            "form": form,
            "purpose": "marketing",
            "channel": "email",
            "by": by,
            "out": out,
            **fields,
        }
    )
    assert done.digest == hashed(out.getvalue())
    return list(csv.reader(io.StringIO(out.getvalue())))


def test_in_the_file_is_only_who_agreed_to_that_and_still_does() -> None:
    everybody()
    agreed = make_profile(email="zoe@example.com", consent=("marketing",), first_name="Zoë", country="AT")
    gone = make_profile(email="gone@example.com", consent=("marketing",))
    consent_withdraw(
        profile_id=gone.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.PREFERENCES, source="test"
    )
    kept = make_profile(email="kept@example.com", consent=("marketing",))
    Profile.objects.filter(pk=kept.pk).update(restricted_at=now())
    make_profile(email="never@example.com")
    make_profile(email="other@example.com", consent=("tracking",))
    make_profile(email=None)
    by = make_user("administrator")

    rows = exported(by)

    assert rows == [
        ["profile", "email", "phone", "first_name", "last_name", "country"],
        [str(agreed.pk), "zoe@example.com", "", "Zoë", agreed.last_name, "AT"],
    ]
    entry = AuditEntry.objects.get(action="audience.export")
    assert (entry.actor, entry.data["people"], entry.data["left_out"]) == (by, 1, 5)
    assert "zoe" not in str(entry.data)


def test_values_are_normalised_and_hashed_as_each_platform_asks() -> None:
    everybody()
    person = make_profile(
        email="ada.love+shop@gmail.com",
        consent=("marketing",),
        first_name=" Ada  Mary",
        last_name="O'Love",
        country="GB",
    )
    identifier_put(profile_id=person.pk, kind="phone", value="+442071838750")
    by = make_user("administrator")

    _, google = exported(by, "google")
    _, meta = exported(by, "meta")

    assert google == [hashed("adalove@gmail.com"), "", hashed("ada mary"), hashed("o'love"), "GB"]
    assert meta == [hashed("ada.love+shop@gmail.com"), "", hashed("adamary"), hashed("olove"), hashed("gb")]


def test_who_may_not_see_addresses_takes_nothing_out_and_nothing_is_logged() -> None:
    everybody()
    make_profile(email="zoe@example.com", consent=("marketing",))
    publisher = make_user("publisher")
    out = io.StringIO()
    with pytest.raises(NotAllowed):
        exported(publisher, out=out)
    for wrong in (
        {"form": "xls"},
        {"purpose": "transactional"},
        {"purpose": "no such"},
        {"channel": "web"},
        {"most": 0},
    ):
        with pytest.raises(Invalid):
            exported(make_user("administrator"), **wrong)
    client = Client()
    client.force_login(publisher)
    page = f"/admin/audiences/audience/{Audience.objects.get().pk}/export/"
    sent = {"format": "csv", "purpose": "marketing", "channel": "email"}

    assert client.get(page).status_code == 403
    assert client.post(page, sent).status_code == 403

    assert out.getvalue() == ""
    assert not AuditEntry.objects.filter(action="audience.export").exists()


def test_the_page_gives_the_file_and_says_what_is_wrong() -> None:
    audience = everybody()
    make_profile(email="zoe@example.com", consent=("marketing",), first_name="=HYPERLINK(1)")
    client = Client()
    client.force_login(make_user("administrator"))
    page = f"/admin/audiences/audience/{audience.pk}/export/"

    shown = client.get(page).content.decode()
    given = client.post(page, {"format": "csv", "purpose": "marketing", "channel": "email"})
    wrong = client.post(page, {"format": "csv", "purpose": "", "channel": "email"})

    assert "Google Customer Match" in shown
    assert given["Content-Disposition"] == 'attachment; filename="everybody-csv.csv"'
    assert "zoe@example.com,,'=HYPERLINK(1)" in given.content.decode()
    assert (wrong.status_code, "no purpose that people agree to" in wrong.content.decode()) == (400, True)


def test_the_command_writes_for_its_owners_eyes_and_over_nothing(tmp_path: Path) -> None:
    everybody()
    make_profile(email="zoe@example.com", consent=("marketing",))
    by, file = make_user("administrator"), tmp_path / "out.csv"
    options = {"format": "meta", "purpose": "marketing", "by": by.email}

    call_command("audience_export", "everybody", str(file), **options)

    assert file.stat().st_mode & 0o777 == 0o600
    assert hashed("zoe@example.com") in file.read_text()
    with pytest.raises(CommandError, match="can't be written"):
        call_command("audience_export", "everybody", str(file), **options)
    with pytest.raises(CommandError, match="no purpose that people agree to"):
        call_command("audience_export", "everybody", str(tmp_path / "b"), **{**options, "purpose": "nothing"})
    assert not (tmp_path / "b").exists()
