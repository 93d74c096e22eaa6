"""Double opt-in: nothing is agreed to before the holder of the address said so, and the evidence of it is sealed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.contracts import Asked, Circumstances, Confirmed, Origin
from apps.data.consent.models import Channel, ConsentOrigin, ConsentRecord, ConsentState, OptIn, Purpose
from apps.data.consent.opt_ins import opt_in_ask, opt_in_confirm, opt_in_read, opt_ins_forget
from apps.data.consent.origins import origin_read
from apps.data.consent.services import consent_withdraw
from apps.data.consent.wordings import wordings_shown
from apps.data.profiles import mail
from apps.data.profiles.mail import MailKind, mail_carrier_set
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_purposes

pytestmark = pytest.mark.django_db


def visitor() -> Origin:
    """Somebody from a network of their own: asks are counted in Redis, over tests too."""
    return Origin(f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1", "Phone/1")


class Post:
    """Keeps what mail was wanted."""

    def __init__(self) -> None:
        self.wanted: list[tuple[MailKind, int, str]] = []

    def want(self, *, kind: MailKind, profile_id: int, key: str) -> None:
        self.wanted.append((kind, profile_id, key))

    def ready(self, *, kind: MailKind) -> bool:
        return True


@pytest.fixture(autouse=True)
def post() -> Iterator[Post]:
    before, made = list(mail._carriers), Post()
    mail_carrier_set(made)
    make_purposes()
    yield made
    mail._carriers[:] = before


def ask(person: Profile, *purposes: str, origin: Origin | None = None, **values: Any) -> Asked:
    shown = wordings_shown(channel=Channel.EMAIL, locale="en")
    return opt_in_ask(
        profile_id=person.pk,
        purposes={code: shown[code] for code in purposes or ("marketing",)},
        channel=Channel.EMAIL,
        method=ConsentRecord.Method.SIGN_UP,
        source="form at https://shop.example/",
        origin=origin or visitor(),
        **values,
    )


def confirm(opt_in: OptIn, *, message_id: UUID | None = None, origin: Origin | None = None) -> Confirmed:
    return opt_in_confirm(
        opt_in_id=opt_in.pk, profile_id=opt_in.profile_id, message_id=message_id or uuid4(), origin=origin
    )


def granted(person: Profile) -> set[str]:
    return set(ConsentState.objects.filter(profile=person, granted=True).values_list("purpose_id", flat=True))


def test_what_asks_for_no_double_opt_in_is_agreed_to_at_once(post: Post) -> None:
    person = make_profile()

    asked = ask(person, "personalisation")

    assert asked == Asked(granted=("personalisation",))
    assert granted(person) == {"personalisation"}
    assert post.wanted == []


def test_with_one_purpose_that_asks_for_it_all_wait_for_the_mail(post: Post) -> None:
    person = make_profile()

    asked = ask(person, "personalisation", "marketing")

    opt_in = OptIn.objects.get()
    assert asked == Asked(pending=("personalisation", "marketing"))
    assert granted(person) == set()
    assert not ConsentRecord.objects.exists()
    assert post.wanted == [(MailKind.CONFIRM, person.pk, str(opt_in.pk))]
    assert opt_in_read(opt_in_id=opt_in.pk, profile_id=make_profile().pk) is None, "nobody else's"


def test_confirming_records_what_was_asked_for_with_its_evidence(tmp_path: Any, settings: Any) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path
    person, message_id, phone = make_profile(), uuid4(), visitor()
    ask(person, "marketing", "tracking", origin=phone, circumstances=Circumstances(jurisdiction="DE", gpc=False))
    opt_in = OptIn.objects.get()

    assert confirm(opt_in, message_id=message_id, origin=Origin("203.0.113.9", "Desk/2")) is Confirmed.NOW

    assert granted(person) == {"marketing", "tracking"}
    opt_in.refresh_from_db()
    record = ConsentRecord.objects.get(purpose="marketing")
    assert record.confirmation is not None
    assert record.confirmation["asked_at"] == opt_in.asked_at.isoformat()
    assert opt_in.confirmed_at is not None
    assert record.confirmation["confirmed_at"] == opt_in.confirmed_at.isoformat()
    assert record.confirmation["message"] == str(message_id) == str(opt_in.message_id)
    assert (record.method, record.jurisdiction, record.gpc) == ("sign_up", "DE", False)
    assert record.wording_digest == wordings_shown(channel="email", locale="en")["marketing"].digest
    assert origin_read(digest=bytes(record.origin_digest)) == phone
    assert origin_read(digest=bytes.fromhex(record.confirmation["origin"])) == Origin("203.0.113.9", "Desk/2")
    assert Identifier.objects.get(profile=person).verified
    chain_extend()
    assert chain_verify().faults == []


def test_a_double_click_confirms_once() -> None:
    person = make_profile()
    ask(person)
    opt_in = OptIn.objects.get()

    assert [confirm(opt_in), confirm(opt_in)] == [Confirmed.NOW, Confirmed.AGAIN]

    assert ConsentRecord.objects.count() == 1


def test_an_old_link_does_not_bring_back_what_was_withdrawn_since() -> None:
    person = make_profile()
    ask(person)
    opt_in = OptIn.objects.get()
    confirm(opt_in)
    consent_withdraw(
        profile_id=person.pk,
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.ONE_CLICK,
        source="test",
    )

    assert confirm(opt_in) is Confirmed.AGAIN
    assert granted(person) == set()


def test_too_late_changes_nothing() -> None:
    person = make_profile()
    ask(person)
    OptIn.objects.update(expires_at=now() - timedelta(seconds=1))

    assert confirm(OptIn.objects.get()) is Confirmed.EXPIRED
    assert not ConsentRecord.objects.exists()
    assert not Identifier.objects.get(profile=person).verified


def test_nobody_confirms_for_somebody_else() -> None:
    person, other = make_profile(), make_profile()
    ask(person)
    opt_in = OptIn.objects.get()

    answer = opt_in_confirm(opt_in_id=opt_in.pk, profile_id=other.pk, message_id=uuid4())

    assert answer is Confirmed.UNKNOWN
    assert not ConsentRecord.objects.exists()


def test_the_same_form_sent_twice_asks_once(post: Post) -> None:
    person = make_profile()

    assert ask(person) == ask(person) == Asked(pending=("marketing",))

    assert len(post.wanted) == OptIn.objects.count() == 1


def test_an_address_gets_few_such_mails_a_day_whichever_profile_holds_it(post: Post, settings: Any) -> None:
    settings.OPT_IN_MAILS = 2
    people = [make_profile(email="family@example.com") for _ in range(3)]

    answers = [ask(person) for person in people]

    assert answers == [Asked(pending=("marketing",))] * 3, "who asks learns nothing of it"
    assert [profile_id for _, profile_id, _ in post.wanted] == [person.pk for person in people[:2]]
    OptIn.objects.update(asked_at=now() - timedelta(days=2))
    ask(people[2])
    assert len(post.wanted) == 3


def test_a_network_gets_few_such_mails_sent_an_hour(post: Post) -> None:
    machine = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::"

    for number in range(25):
        ask(make_profile(), origin=Origin(f"{machine}{number}"))

    assert len(post.wanted) == 20


def test_without_an_address_nothing_waits(post: Post) -> None:
    person = make_profile(email=None)

    ask(person)

    assert post.wanted == []
    assert not OptIn.objects.exists()


def test_what_is_over_is_forgotten_and_its_grants_stay() -> None:
    done, waiting = make_profile(), make_profile()
    ask(done)
    confirm(OptIn.objects.get())
    OptIn.objects.update(expires_at=now() - timedelta(days=31))
    ask(waiting)

    assert opt_ins_forget(now() - timedelta(days=30), 100) == 1

    assert OptIn.objects.get().profile == waiting
    assert granted(done) == {"marketing"}


def test_purposes_say_what_asks_for_it() -> None:
    assert list(Purpose.objects.filter(double_opt_in=True).values_list("code", flat=True)) == ["marketing"]
    assert set(Purpose.objects.filter(gpc_opts_out=True).values_list("code", flat=True)) == {"tracking", "profiling"}
    assert not ConsentOrigin.objects.exists()
