"""What addresses were found to be: the newest holds, for as long as it is good, and what is old is forgotten."""

from datetime import timedelta

import pytest

from apps.data.consent.models import AddressVerdict, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import suppressions_add
from apps.data.consent.verdicts import addresses_gone, verdicts_forget, verdicts_keep, verdicts_read
from apps.data.profiles.rules import Judged, Verdict
from apps.foundation.core.clock import now
from apps.foundation.core.signing import address_digest
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
GOOD, GONE = Judged(Verdict.OK, "", 7 * DAY), Judged(Verdict.REFUSE, "no_mail", 2 * DAY)
ONE = address_digest("email", "one@example.com")


def reason(profile_id: int, purpose: str = "marketing", *, needs_consent: bool = True) -> str:
    answer = gate_read(profile_ids=[profile_id], purpose=purpose, channel="email", needs_consent=needs_consent)
    return answer[profile_id].held_up_by


def test_an_older_look_does_not_undo_a_newer_one() -> None:
    at = now()
    verdicts_keep({ONE: GOOD}, at=at)
    verdicts_keep({ONE: GONE}, at=at - DAY)
    assert verdicts_read([ONE], good_at=at) == {ONE: "ok:"}

    verdicts_keep({ONE: GONE}, at=at + DAY)
    assert verdicts_read([ONE], good_at=at) == {ONE: "refuse:no_mail"}
    assert verdicts_read([ONE], good_at=at + 3 * DAY) == {}
    verdicts_keep({}, at=at)


def test_the_gate_heeds_it_for_what_needs_consent_and_never_before_consent_itself() -> None:
    person = make_profile(email="one@example.com", consent=("marketing",))
    stranger = make_profile(email="one@example.com")
    verdicts_keep({ONE: GONE}, at=now())

    assert reason(person.pk) == "invalid_address:no_mail"
    assert reason(stranger.pk) == "no_consent"
    assert reason(person.pk, "transactional", needs_consent=False) == ""
    verdicts_keep({ONE: Judged(Verdict.WARN, "role", DAY)}, at=now())
    assert reason(person.pk) == ""
    suppressions_add(kind="email", values=["one@example.com"], reason=Suppression.Reason.SPAM_TRAP)
    verdicts_keep({ONE: GONE}, at=now())
    assert reason(person.pk) == "suppressed"
    assert addresses_gone([ONE, bytes(32)]) == {ONE: "spam_trap"}


def test_a_list_of_traps_is_taken_once_and_changes_nothing_that_was_suppressed() -> None:
    suppressions_add(kind="email", values=["one@example.com"], reason=Suppression.Reason.COMPLAINT)
    values = ["one@example.com", "two@example.com", "two@example.com", "three@example.com"]

    assert suppressions_add(kind="email", values=values, reason=Suppression.Reason.SPAM_TRAP, note="list of May") == 2
    assert suppressions_add(kind="email", values=values, reason=Suppression.Reason.SPAM_TRAP) == 0
    assert Suppression.objects.get(digest=ONE).reason == "complaint"
    assert Suppression.objects.filter(reason="spam_trap", note="list of May").count() == 2


def test_what_is_no_longer_good_is_forgotten_after_a_while() -> None:
    at = now()
    verdicts_keep({ONE: GOOD, bytes(32): GONE}, at=at - 100 * DAY)
    verdicts_keep({b"x" * 32: GOOD}, at=at)

    assert verdicts_forget(at - 90 * DAY, 1) == 1
    assert verdicts_forget(at - 90 * DAY, 100) == 1
    assert [bytes(one.digest) for one in AddressVerdict.objects.all()] == [b"x" * 32]
