"""An erasure takes its steps once each, is taken up where it stopped, and can be repeated after a restore."""

from pathlib import Path

import pytest
from django.core.management import call_command

from apps.data.consent.models import ConsentRecord, ConsentState, Suppression
from apps.data.consent.services import suppression_add
from apps.data.privacy import registry
from apps.data.privacy.erasing import erasure_ask, erasure_begin, erasure_run
from apps.data.privacy.erasures import erasures_folder, erasures_read
from apps.data.privacy.models import RightsRequest
from apps.data.privacy.registry import Forgotten, Person, erase_step, erase_steps
from apps.data.profiles.models import Identifier, Profile, ProfileKey
from apps.data.profiles.vault import Erased, Place, keys_make, vault_open
from apps.foundation.core.errors import Conflict
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: object, tmp_path: Path) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"  # type: ignore[attr-defined]
    settings.DATA_DIR = tmp_path / "data"  # type: ignore[attr-defined]


@pytest.fixture
def extra_step(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A step of a higher app that can't be taken at first; whom it was asked to forget."""
    monkeypatch.setattr(registry, "_steps", dict(registry._steps))
    asked: list[int] = []

    def forget(person: Person) -> Forgotten:
        asked.append(person.profile_id)
        if len(asked) == 1:
            raise Conflict("not_now", "A message is on its way")
        return Forgotten(3, "nothing")

    erase_step("extra", forget, title="What an app holds")
    return asked


def test_nothing_is_known_of_an_erased_person_and_the_row_stays() -> None:
    profile = make_profile(
        email="anna@example.com", first_name="Anna", last_name="Canary", attributes={"club": "gold"}, country="AT",
        consent=("marketing",),
    )  # fmt: skip
    keys_make([profile.pk])
    place = Place("privacy_exportfile", "key", "1")
    sealed = vault_open([profile.pk]).seal(profile.pk, place, b"canary")

    request = erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True)
    erasure_run(request_id=request.pk)

    left = Profile.objects.get(pk=profile.pk)
    assert (left.first_name, left.last_name, left.country, left.attributes) == ("", "", "", {})
    assert left.erased_at is not None
    assert not Identifier.objects.filter(profile=profile).exists()
    assert bytes(ProfileKey.objects.get(profile=profile).wrapped) == b""
    with pytest.raises(Erased):
        vault_open([profile.pk]).open(profile.pk, place, sealed)
    assert ConsentState.objects.get(profile=profile).granted is False
    assert Suppression.objects.get().reason == Suppression.Reason.ERASURE


def test_the_report_says_each_step_without_personal_data() -> None:
    profile = make_profile(email="anna@example.com", first_name="Anna", consent=("marketing",))
    by = make_user("administrator")

    asked = erasure_ask(profile_id=profile.pk, shown_by="Anna showed her passport", actor=by)
    erasure_begin(request_id=asked.pk, actor=by)
    erasure_run(request_id=asked.pk)

    done = RightsRequest.objects.get(pk=asked.pk)
    assert done.state == "done"
    assert [step["step"] for step in done.report["steps"]] == [step.name for step in erase_steps()]
    assert "nna" not in f"{done.report}{done.shown_by}"


def test_asked_without_proof_it_stops_mail_at_once_and_waits_for_staff() -> None:
    profile = make_profile(consent=("marketing",))

    request = erasure_ask(profile_id=profile.pk, shown_by="the link of a message")
    erasure_run(request_id=request.pk)

    assert request.state == "open"
    assert ConsentState.objects.get(profile=profile).granted is False
    assert Profile.objects.get(pk=profile.pk).erased_at is None
    assert Identifier.objects.filter(profile=profile).exists()


def test_it_goes_on_where_it_stopped_and_takes_no_step_twice(extra_step: list[int]) -> None:
    profile = make_profile(consent=("marketing",))
    request = erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True)

    with pytest.raises(Conflict):
        erasure_run(request_id=request.pk)
    assert Profile.objects.get(pk=profile.pk).erased_at is None
    records = ConsentRecord.objects.count()
    for _ in range(2):
        erasure_run(request_id=request.pk)

    steps = [step["step"] for step in RightsRequest.objects.get(pk=request.pk).report["steps"]]
    assert len(steps) == len(set(steps)) == len(erase_steps())
    assert extra_step == [profile.pk, profile.pk]
    assert ConsentRecord.objects.count() == records
    assert len(list(erasures_read())) == 1


def test_a_restored_person_is_erased_again_and_another_of_that_number_is_not() -> None:
    profile = make_profile(email="anna@example.com", first_name="Anna")
    made_at = profile.created_at
    erasure_run(request_id=erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True).pk)
    Suppression.objects.all().delete()
    Profile.objects.filter(pk=profile.pk).update(first_name="Anna", erased_at=None)  # as a restored backup has it

    call_command("erasures_repeat")

    assert Profile.objects.get(pk=profile.pk).first_name == ""
    assert Profile.objects.get(pk=profile.pk).erased_at is not None
    assert not suppression_add(kind="email", value="anna@example.com", reason=Suppression.Reason.MANUAL)

    other = make_profile(first_name="Bruno")
    Profile.objects.filter(pk=profile.pk).update(
        first_name="Bruno", erased_at=None, created_at=other.created_at
    )  # the number was given anew after the restore
    assert made_at != other.created_at
    call_command("erasures_repeat")
    assert Profile.objects.get(pk=profile.pk).first_name == "Bruno"


def test_a_line_that_is_not_ours_is_told_and_erases_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    profile = make_profile()
    erasure_run(request_id=erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True).pk)
    victim = make_profile(first_name="Bruno")
    (path,) = erasures_folder().iterdir()
    path.write_text(path.read_text().replace(f'"profile":{profile.pk},', f'"profile":{victim.pk},'))

    with pytest.raises(SystemExit):
        call_command("erasures_repeat")

    assert ":1 was not signed by this installation" in capsys.readouterr().err
    assert Profile.objects.get(pk=victim.pk).first_name == "Bruno"
