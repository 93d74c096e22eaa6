"""A new address: confirmed by its holder, told to the old one, taken back by it; whoever else has it."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from apps.data.consent.models import ConsentState, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import suppression_add
from apps.data.privacy import address_changes
from apps.data.privacy.address_changes import (
    Asked,
    Done,
    address_change_ask,
    address_change_confirm,
    address_change_take_back,
    address_changes_forget,
    confirmations_go_to,
    notices_go_to,
)
from apps.data.privacy.erasing import erasure_ask, erasure_run
from apps.data.privacy.models import AddressChange, ExportFile, RightsRequest
from apps.data.profiles import mail
from apps.data.profiles.addresses import addresses_read, identifier_put, identifiers_read
from apps.data.profiles.mail import MailKind, mail_carrier_set
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core import outbox
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
NEW = "new@example.org"


class Wanted(list[tuple[str, int, str]]):
    """Notes what is wanted."""

    def want(self, *, kind: MailKind, profile_id: int, key: str) -> None:
        if (kind, profile_id, key) not in self:
            self.append((kind, profile_id, key))

    def ready(self, *, kind: MailKind) -> bool:
        return True


@pytest.fixture(autouse=True)
def wanted(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Wanted:
    settings.ADDRESS_CHANGES_PER_DAY = 1000  # what is counted in Redis outlives a test
    monkeypatch.setattr(mail, "_carriers", [])
    carrier = Wanted()
    mail_carrier_set(carrier)
    return carrier


def ask(profile: Profile, address: str = NEW, **more: object) -> Asked:
    return address_change_ask(profile_id=profile.pk, address=address, shown_by="a fresh link", **more)  # type: ignore[arg-type]


def newest(profile: Profile) -> AddressChange:
    return AddressChange.objects.filter(profile=profile).latest("asked_at")


def confirm(profile: Profile) -> Done:
    return address_change_confirm(change_id=newest(profile).pk, profile_id=profile.pk)


def main_of(profile: Profile) -> str:
    return addresses_read(profile_ids=[profile.pk], kind="email")[profile.pk]


def known(profile: Profile) -> dict[str, tuple[bool, bool]]:
    """Address → main, verified."""
    return {one.value: (one.main, one.verified) for one in identifiers_read(profile_id=profile.pk)}


def test_an_address_that_is_not_confirmed_is_nobodys(wanted: Wanted) -> None:
    profile = make_profile(email="old@example.com")

    assert ask(profile, " NEW@Example.ORG ") is Asked.MAILED

    change = newest(profile)
    assert wanted == [("address", profile.pk, str(change.pk))]
    assert known(profile).keys() == {"old@example.com"}
    assert b"new" not in bytes(change.new)
    about = (profile.pk, str(change.pk))
    assert confirmations_go_to([about]) == {about: NEW}
    assert notices_go_to([about]) == {}


def test_confirmed_it_is_verified_and_main_and_the_old_one_is_told(
    wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    news: list[tuple[str, object]] = []
    monkeypatch.setattr(outbox, "_listeners", [lambda kind, told: news.append((kind, list(told)))])
    profile = make_profile(email="old@example.com", consent=("marketing",))
    ask(profile)
    before = list(ConsentState.objects.values_list("purpose_id", "granted", "record_id"))

    assert [confirm(profile), confirm(profile)] == [Done.NOW, Done.AGAIN]

    assert known(profile) == {"old@example.com": (False, False), NEW: (True, True)}
    assert list(ConsentState.objects.values_list("purpose_id", "granted", "record_id")) == before
    about = (profile.pk, str(newest(profile).pk))
    assert [kind for kind, *_ in wanted] == ["address", "moved"]
    assert notices_go_to([about]) == {about: "old@example.com"}
    assert confirmations_go_to([about]) == {}
    request = RightsRequest.objects.get()
    assert (request.kind, request.state, request.report) == ("correction", "done", {"corrected": ["email"]})
    assert AuditEntry.objects.filter(action="privacy.address.changed").count() == 1
    assert news == [("profile.corrected", [{"profile": profile.pk, "fields": ["email"]}])]


def test_the_old_address_can_be_forgotten_and_still_take_it_back() -> None:
    profile = make_profile(email="old@example.com")
    Identifier.objects.update(verified=True)
    ask(profile, forget_old=True)
    confirm(profile)
    assert known(profile) == {NEW: (True, True)}

    back = address_change_take_back(change_id=newest(profile).pk, profile_id=profile.pk)

    assert back is Done.NOW
    assert known(profile) == {"old@example.com": (True, True)}
    again = address_change_take_back(change_id=newest(profile).pk, profile_id=profile.pk)
    assert (again, confirm(profile)) == (Done.AGAIN, Done.LATE)


def test_taking_back_takes_later_changes_and_exports_with_it() -> None:
    profile = make_profile(email="old@example.com")
    ask(profile)
    confirm(profile)
    first = newest(profile)
    ask(profile, "thief@example.net")
    confirm(profile)
    ask(profile, "third@example.net")
    request = RightsRequest.objects.first()
    assert request is not None
    export = ExportFile.objects.create(request=request, profile=profile, key=b"x", until=now() + timedelta(days=7))

    assert address_change_take_back(change_id=first.pk, profile_id=profile.pk) is Done.NOW

    assert known(profile) == {"old@example.com": (True, False)}
    states = AddressChange.objects.order_by("asked_at").values_list("state", flat=True)
    assert list(states) == ["taken_back", "taken_back", "dropped"]
    export.refresh_from_db()
    assert export.until <= now()


def test_an_address_that_was_theirs_before_stays_theirs() -> None:
    profile = make_profile(email="old@example.com")
    identifier_put(profile_id=profile.pk, kind="email", value=NEW)
    ask(profile)
    confirm(profile)

    address_change_take_back(change_id=newest(profile).pk, profile_id=profile.pk)

    assert known(profile) == {"old@example.com": (True, False), NEW: (False, True)}


def test_nothing_can_be_taken_back_when_the_days_are_over() -> None:
    profile = make_profile(email="old@example.com")
    ask(profile)
    confirm(profile)
    AddressChange.objects.update(undo_until=now())

    assert address_change_take_back(change_id=newest(profile).pk, profile_id=profile.pk) is Done.LATE
    assert main_of(profile) == NEW


@pytest.mark.parametrize("spoil", ["expired", "other person", "dropped", "unknown"])
def test_what_does_not_wait_any_more_changes_nothing(spoil: str) -> None:
    profile, other = make_profile(email="old@example.com"), make_profile(email="other@example.com")
    ask(profile)
    change_id, profile_id = newest(profile).pk, profile.pk
    if spoil == "expired":
        AddressChange.objects.update(expires_at=now())
    elif spoil == "other person":
        profile_id = other.pk
    elif spoil == "dropped":
        ask(profile, "second@example.org")
    else:
        AddressChange.objects.all().delete()

    assert address_change_confirm(change_id=change_id, profile_id=profile_id) is Done.LATE

    assert (main_of(profile), main_of(other)) == ("old@example.com", "other@example.com")


def test_the_answer_and_what_is_written_are_the_same_whoever_has_the_address(wanted: Wanted) -> None:
    one, two = make_profile(email="one@example.com"), make_profile(email="two@example.com")
    make_profile(email="taken@example.org")

    assert ask(one, "taken@example.org") is ask(two, "free@example.org") is Asked.MAILED

    assert [kind for kind, *_ in wanted] == ["address", "address"]
    assert confirm(one) is confirm(two) is Done.NOW
    assert main_of(one) == "taken@example.org", "two people may share an address"


def test_a_double_click_is_one_mail_and_the_newest_ask_counts(wanted: Wanted) -> None:
    profile = make_profile(email="old@example.com")
    assert [ask(profile), ask(profile)] == [Asked.MAILED, Asked.MAILED]
    assert len(wanted) == 1

    ask(profile, "second@example.org")

    assert len(wanted) == 2
    assert confirm(profile) is Done.NOW
    assert main_of(profile) == "second@example.org"


def test_asks_are_bounded_by_person_by_address_and_by_network(wanted: Wanted, settings: Settings) -> None:
    settings.ADDRESS_CHANGES_PER_DAY = 2
    person = make_profile(email="p@example.com")
    assert [ask(person, f"a{number}@example.org") for number in range(3)] == ["mailed", "mailed", "often"]

    others = [make_profile(email=f"o{number}@example.com") for number in range(3)]
    before = len(wanted)
    assert {ask(one, "victim@example.org") for one in others} == {"mailed"}, "nobody learns of the others' asks"
    assert len(wanted) - before == 2

    crowd = [make_profile(email=f"c{number}@example.com") for number in range(address_changes._PER_NETWORK + 1)]
    asked = [ask(one, f"c{number}@example.org", network="192.0.2.7") for number, one in enumerate(crowd)]
    assert (asked[-2], asked[-1]) == ("mailed", "often")


def test_ones_own_address_is_no_change(wanted: Wanted) -> None:
    profile = make_profile(email="old@example.com")
    assert ask(profile, "Old@Example.com") is Asked.SAME
    assert (len(wanted), AddressChange.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "address", ["", "no address", "a@b", "x" * 300 + "@example.org", "a@example.org\nBcc: b@c.org"]
)
def test_what_is_no_address_is_refused_at_its_field(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        ask(make_profile(email="old@example.com"), address)
    assert refused.value.extra["field"] == "email"
    assert not AddressChange.objects.exists()


def test_a_suppressed_new_address_stays_suppressed() -> None:
    profile = make_profile(email="old@example.com", consent=("marketing",))
    ask(profile)
    suppression_add(kind="email", value=NEW, reason=Suppression.Reason.COMPLAINT)
    confirm(profile)

    answer = gate_read(profile_ids=[profile.pk], purpose="marketing", channel="email")[profile.pk]

    assert (answer.allowed, answer.reason) == (False, "suppressed")
    assert Suppression.objects.count() == 1


def test_an_erased_person_has_no_address_to_change() -> None:
    profile = make_profile(email="old@example.com")
    ask(profile)
    change_id = newest(profile).pk
    asked = erasure_ask(profile_id=profile.pk, shown_by="a fresh link", sure=True)
    erasure_run(request_id=asked.pk)

    assert address_change_confirm(change_id=change_id, profile_id=profile.pk) is Done.LATE
    assert not AddressChange.objects.exists()
    with pytest.raises(Conflict):
        ask(profile)


def test_what_is_over_is_forgotten_and_what_can_be_taken_back_stays() -> None:
    over, waits, told = (make_profile(email=f"{name}@example.com") for name in ("over", "waits", "told"))
    for profile in (over, waits, told):
        ask(profile, f"new-{profile.pk}@example.org")
    confirm(told)
    AddressChange.objects.filter(profile__in=[over, told]).update(expires_at=now() - timedelta(days=3))

    assert address_changes_forget(now() - timedelta(days=1), 10) == 1

    assert set(AddressChange.objects.values_list("profile_id", flat=True)) == {waits.pk, told.pk}
