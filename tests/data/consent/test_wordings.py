"""Wordings: approved, shown in the person's language, and asked for again when their meaning changes."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection

from apps.data.consent.asking import asked_again, asked_people, standing_of
from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.contracts import AskedAgain
from apps.data.consent.models import (
    ConsentRecord,
    ConsentState,
    PrivacyPolicy,
    Purpose,
    Wording,
    WordingText,
    WordingVersion,
)
from apps.data.consent.projection import differences
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import consent_grant, consent_withdraw, consents_grant_new, gate_lock
from apps.data.consent.wordings import (
    policy_add,
    policy_current,
    wording_create,
    wording_shown,
    wording_version_create,
)
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import Approval, Review
from apps.foundation.governance.services import review_answer
from apps.foundation.governance.workflow import head_withdraw, version_publish, version_submit
from tests.factories import make_paths, make_profile, make_purposes, make_user
from tests.wordings import BY, EMAIL, FIRST, SECOND, agree, make_wording, next_version

pytestmark = pytest.mark.django_db


def reason_of(profile: Profile, channel: str = EMAIL) -> str:
    gate_lock(profile_ids=[profile.pk])
    return gate_read(profile_ids=[profile.pk], purpose="marketing", channel=channel)[profile.pk].reason


# --- what is shown ---


def test_without_a_wording_the_purposes_own_description_is_shown_and_recorded_as_that() -> None:
    person = make_profile()
    make_purposes()
    description = Purpose.objects.get(code="marketing").description

    shown = wording_shown(purpose="marketing", channel=EMAIL, locale="it")
    agree(person, locale="it")

    record = ConsentRecord.objects.get(profile=person)
    assert (shown.id, shown.version, shown.text, shown.locale) == (None, 0, description, "en")
    assert record.wording_version is None
    assert record.wording_digest == sha256(description.encode()).hexdigest()


def test_a_published_text_is_shown_in_the_persons_language_and_its_digest_recorded() -> None:
    wording = make_wording()
    person = make_profile()

    shown = wording_shown(purpose="marketing", channel=EMAIL, locale="de-AT")
    agree(person, locale="de-AT")

    record = ConsentRecord.objects.get(profile=person)
    assert (shown.text, shown.locale, shown.version) == (FIRST["de"], "de", 1)
    assert record.wording_version == wording.versions.get()
    assert record.wording_digest == sha256(FIRST["de"].encode()).hexdigest() == shown.digest
    assert record.locale == "de"


def test_a_language_that_is_missing_falls_back_to_the_default_one() -> None:
    make_wording()

    assert wording_shown(purpose="marketing", channel=EMAIL, locale="fr").text == FIRST["en"]


def test_a_channels_own_wording_goes_before_the_one_for_all() -> None:
    make_wording()
    make_wording({"en": "Yes, text me."}, channel="sms")

    assert wording_shown(purpose="marketing", channel="sms", locale="en").text == "Yes, text me."
    assert wording_shown(purpose="marketing", channel=EMAIL, locale="en").text == FIRST["en"]


def test_a_draft_is_shown_to_nobody() -> None:
    wording = make_wording()
    wording_version_create(wording_id=wording.pk, by=make_user("publisher"), texts=SECOND, material=True)

    assert wording_shown(purpose="marketing", channel=EMAIL, locale="en").text == FIRST["en"]


def test_an_unknown_purpose_has_no_wording() -> None:
    with pytest.raises(NotFound):
        wording_shown(purpose="gossip", channel=EMAIL, locale="en")


# --- writing and agreeing ---


def test_a_lawyer_always_answers_and_nobody_publishes_what_none_agreed_to() -> None:
    make_purposes()
    make_paths()
    wording = wording_create(by=make_user("publisher"), purpose="marketing", channel="", texts=FIRST)
    version = wording.versions.get()

    with pytest.raises(Conflict):
        version_publish(version=version, by=make_user("publisher"))
    version_submit(version=version, by=version.created_by)

    assert "legal_approver" in Review.objects.get().roles
    assert not WordingText.objects.exists()


def test_a_lawyer_who_wrote_it_does_not_agree_to_it() -> None:
    make_purposes()
    make_paths()
    lawyer = make_user("legal_approver")
    wording = wording_create(by=lawyer, purpose="marketing", channel="", texts=FIRST)
    review = version_submit(version=wording.versions.get(), by=lawyer)

    with pytest.raises(NotAllowed):
        review_answer(review_id=review.pk, by=lawyer, verdict=Approval.Verdict.APPROVE)
    assert not Approval.objects.exists()


@pytest.mark.parametrize(
    ("texts", "where"),
    [
        ({"de": "Ja"}, "en"),
        ({"en": "  \u200b "}, "en"),
        ({"en": "x" * 4_001}, "en"),
        ({"en": "Yes", "not a tag": "x"}, "not a tag"),
        ({"en": "bell \x07"}, "en"),
    ],
)
def test_a_text_that_cannot_be_is_refused(texts: dict[str, str], where: str) -> None:
    make_purposes()

    with pytest.raises(Invalid) as refused:
        wording_create(by=make_user("publisher"), purpose="marketing", channel="", texts=texts)

    assert [problem["where"] for problem in refused.value.extra["problems"]] == [where]
    assert not Wording.objects.exists()


def test_what_needs_no_consent_has_no_wording() -> None:
    make_purposes()
    with pytest.raises(Invalid):
        wording_create(by=make_user("publisher"), purpose="transactional", channel="", texts=FIRST)


def test_an_analyst_writes_none() -> None:
    make_purposes()
    with pytest.raises(NotAllowed):
        wording_create(by=make_user("analyst"), purpose="marketing", channel="", texts=FIRST)
    assert not Wording.objects.exists()


def test_a_second_wording_for_the_same_is_refused() -> None:
    make_wording()
    with pytest.raises(Conflict):
        wording_create(by=make_user("publisher"), purpose="marketing", channel="", texts=SECOND)


def test_saving_the_same_again_makes_no_version() -> None:
    wording = make_wording()

    wording_version_create(wording_id=wording.pk, by=make_user("publisher"), texts=FIRST, material=False)

    assert WordingVersion.objects.get().wording == wording


# --- asked again ---


def test_a_new_spelling_leaves_every_agreement_as_it_is() -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)

    next_version(wording, {"en": "Yes: send me offers."}, material=False)

    assert reason_of(person) == ""
    assert asked_again(profile_id=person.pk) == {}


def test_a_new_meaning_ends_older_agreements_until_they_agree_to_it() -> None:
    wording = make_wording()
    person, other = make_profile(), make_profile()
    agree(person)
    agree(other, locale="de")

    version = next_version(wording, material=True)

    assert [reason_of(person), reason_of(other)] == ["wording_outdated"] * 2
    assert asked_again(profile_id=person.pk) == {("marketing", "email"): AskedAgain("marketing", "email", None)}
    assert standing_of(version).older.count == 2

    assert agree(person) is True
    assert [reason_of(person), reason_of(other)] == ["", "wording_outdated"]
    assert standing_of(version).older.count == 1
    assert asked_people(profile_ids=[person.pk, other.pk], purposes=["marketing"]) == {(other.pk, "marketing", "email")}
    assert agree(person) is False, "a second click is no second record"


def test_a_new_spelling_of_the_new_meaning_does_not_ask_a_third_time() -> None:
    wording = make_wording()
    person, late = make_profile(), make_profile()
    agree(person)
    agree(late)
    next_version(wording, material=True)
    agree(person)

    next_version(wording, {"en": "Yes: offers, of partners too."}, material=False)

    assert [reason_of(person), reason_of(late)] == ["", "wording_outdated"]


def test_older_agreements_hold_until_the_day_that_the_version_names() -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    until = now() + timedelta(days=30)

    next_version(wording, material=True, holds_until=until)

    assert reason_of(person) == ""
    assert asked_again(profile_id=person.pk)["marketing", "email"].until == until
    WordingText.objects.filter(asks_from=until).update(asks_from=now() - timedelta(seconds=1))  # that day has come
    assert reason_of(person) == "wording_outdated"
    assert asked_again(profile_id=person.pk)["marketing", "email"].until is None


def test_a_language_whose_text_stayed_is_not_asked_again() -> None:
    wording = make_wording()
    german, english = make_profile(), make_profile()
    agree(german, locale="de")
    agree(english)

    next_version(wording, {"en": SECOND["en"], "de": FIRST["de"]}, material=True)

    assert [reason_of(german), reason_of(english)] == ["", "wording_outdated"]


def test_grants_of_an_import_are_as_old_as_they_say() -> None:
    wording = make_wording()
    before, after = make_profile(), make_profile()
    evidence: dict[str, Any] = {
        "purpose": "marketing",
        "channel": EMAIL,
        "method": ConsentRecord.Method.IMPORT,
        "source": "file",
        "evidence": "the shop",
    }
    consents_grant_new(grants=[(before.pk, now() - timedelta(days=9))], **evidence)
    next_version(wording, material=True)
    consents_grant_new(grants=[(after.pk, now())], **evidence)

    assert [reason_of(before), reason_of(after)] == ["wording_outdated", ""]


def test_the_channel_with_a_wording_of_its_own_goes_by_that_one() -> None:
    everywhere = make_wording()
    make_wording({"en": "Yes, text me."}, channel="sms")
    person = make_profile()
    agree(person)
    agree(person, channel="sms")

    next_version(everywhere, material=True)

    assert reason_of(person) == "wording_outdated"
    assert ("marketing", "sms") not in asked_again(profile_id=person.pk)


def test_withdrawing_a_version_takes_its_asking_back() -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    next_version(wording, material=True)

    head_withdraw(head=wording, by=make_user("publisher"), why="a mistake")

    assert reason_of(person) == ""
    assert wording_shown(purpose="marketing", channel=EMAIL, locale="en").id is None


def test_a_withdrawal_stays_one_whatever_is_published() -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    consent_withdraw(profile_id=person.pk, purpose="marketing", channel=EMAIL, **BY)

    version = next_version(wording, material=True)

    assert reason_of(person) == "withdrawn"
    assert standing_of(version).agreed.count == 0


def test_before_it_is_published_a_version_says_how_many_it_would_ask() -> None:
    wording = make_wording()
    for locale in ("en", "de"):
        agree(make_profile(), locale=locale)
    consent_grant(profile_id=make_profile().pk, purpose="marketing", channel=EMAIL, **BY)

    draft = wording_version_create(
        wording_id=wording.pk,
        by=make_user("publisher"),
        texts={"en": SECOND["en"], "de": FIRST["de"]},
        material=True,
    )

    standing = standing_of(draft)
    assert (standing.agreed.count, standing.older.count) == (3, 2)


def test_agreeing_again_is_what_a_rebuilt_projection_says_too() -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    next_version(wording, material=True)
    agree(person)

    assert list(differences()) == []
    assert ConsentState.objects.get(profile=person).record.wording_digest == sha256(SECOND["en"].encode()).hexdigest()


# --- the ledger and the policy ---


def test_which_wording_was_shown_is_under_the_seal(tmp_path: Any, settings: Any) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path
    wording = make_wording()
    person = make_profile()
    agree(person)
    chain_extend()
    assert chain_verify().faults == []

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("UPDATE consent_consentrecord SET wording_version_id = NULL WHERE profile_id = %s", [person.pk])

    assert [fault.code for fault in chain_verify().faults] == ["changed"]
    assert wording.versions.count() == 1


def test_a_record_names_the_policy_that_was_in_force() -> None:
    person = make_profile()
    make_purposes()
    lawyer = make_user("legal_approver")
    for version, days in (("2025-01", -400), ("2026-11", -1), ("2027-01", 30)):
        policy_add(by=lawyer, version=version, url="https://shop.example/privacy", in_force_from=_days(days))

    agree(person)

    current = policy_current()
    assert isinstance(current, PrivacyPolicy)
    assert current.version == "2026-11"
    assert ConsentRecord.objects.get(profile=person).policy_version == "2026-11"


def _days(days: int) -> datetime:
    return now() + timedelta(days=days)


def test_a_policy_is_entered_once_and_by_those_who_may() -> None:
    policy_add(by=make_user("legal_approver"), version="1", url="https://shop.example/p", in_force_from=now())

    with pytest.raises(Conflict):
        policy_add(by=make_user("administrator"), version="1", url="https://shop.example/q", in_force_from=now())
    with pytest.raises(NotAllowed):
        policy_add(by=make_user("publisher"), version="2", url="https://shop.example/q", in_force_from=now())
    assert PrivacyPolicy.objects.count() == 1
