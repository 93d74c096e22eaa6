"""System mail: one of each kind, wanted by rows, and carried by the published playbook like any message."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppression_add
from apps.data.profiles.mail import MailKind, mail_ready, mail_want
from apps.decisioning.content.models import Brand, CompiledTemplate
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.selectors import dispatch_terms, occasion_of
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.carrying import PATIENCE, mails_carry
from apps.decisioning.playbooks.errors import PlaybookInvalid
from apps.decisioning.playbooks.models import MailWant, Playbook, Run
from apps.decisioning.playbooks.ready_made import SYSTEM, ready_made_all, ready_made_copy
from apps.decisioning.playbooks.services import (
    playbook_publish,
    playbook_submit,
    playbook_update,
    playbook_withdraw,
    run_cancel,
    run_start,
)
from apps.decisioning.playbooks.system_mail import mails_missing
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from tests.factories import approve, make_brand, make_paths, make_profile, make_purposes


def _root() -> User:
    return User.objects.create_superuser(f"root-{uuid4()}@staff.example", "a long enough password")


def _copy(code: str = "system_link", name: str = "", brand: Brand | None = None) -> Playbook:
    make_purposes()
    make_paths()
    return ready_made_copy(code=code, brand=brand or make_brand(), name=name, by=_root())


def _publish(playbook: Playbook) -> Playbook:
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=version.pk, by=playbook.owner)
    playbook.refresh_from_db()
    return playbook


def _carried() -> list[tuple[int, str]]:
    """Everything wanted is carried and decided: who, and what was decided, in the order of wanting."""
    mails_carry()
    for run in Run.objects.all():
        run_decide(run_id=run.pk)
    wants = MailWant.objects.exclude(run=None).order_by("pk")
    return [(want.profile_id, Decision.objects.get(run=want.run_id, profile=want.profile_id).outcome) for want in wants]


# --- carried ---


@pytest.mark.django_db
def test_what_is_wanted_becomes_one_message_that_leads_back() -> None:
    playbook, person, other = _publish(_copy()), make_profile(), make_profile()
    mail_want(kind="link", profile_id=person.pk, key="asked:1")
    mail_want(kind="link", profile_id=person.pk, key="asked:1")

    assert _carried() == [(person.pk, "send")]
    assert _carried() == [(person.pk, "send")]
    decision = Decision.objects.get()
    run = Run.objects.get()
    assert (run.playbook, run.trigger, run.people) == (playbook, "system", 1)
    terms = dispatch_terms(run_id=run.pk)
    assert (terms.needs_consent, terms.cap_count, terms.purpose) == (False, None, "transactional")
    found = occasion_of(message_id=decision.pk, profile_id=person.pk)
    assert found is not None
    assert (found.kind, found.key) == ("link", "asked:1")
    assert occasion_of(message_id=decision.pk, profile_id=other.pk) is None
    assert occasion_of(message_id=uuid4(), profile_id=person.pk) is None


@pytest.mark.django_db
def test_a_hour_is_one_run_in_which_no_person_and_no_address_comes_twice() -> None:
    _publish(_copy())
    mother, child = make_profile(email="family@example.com"), make_profile(email="family@example.com")
    others = [make_profile() for _ in range(3)]
    for key in ("a", "b"):
        mail_want(kind="link", profile_id=mother.pk, key=key)
    mail_want(kind="link", profile_id=child.pk, key="a")
    for person in others:
        mail_want(kind="link", profile_id=person.pk, key="a")

    decided = _carried()
    mail_want(kind="link", profile_id=others[0].pk, key="later")
    decided = _carried()

    assert decided == [
        *((person, "send") for person in (mother.pk, mother.pk, child.pk, *(one.pk for one in others), others[0].pk))
    ]
    keys = [key.split(", ", 1)[1] for key in Run.objects.order_by("pk").values_list("occasion_key", flat=True)]
    assert keys == ["v1", "v1, 2", "v1, 3"]
    assert list(Run.objects.order_by("pk").values_list("people", flat=True)) == [4, 2, 1]


@pytest.mark.django_db
def test_the_gate_has_the_last_word() -> None:
    _publish(_copy("system_welcome"))
    agreed, silent = make_profile(consent=("marketing",)), make_profile()
    left = make_profile(email="gone@example.com", consent=("marketing",))
    suppression_add(kind="email", value="gone@example.com", reason=Suppression.Reason.BOUNCE)
    for person in (agreed, silent, left):
        mail_want(kind="welcome", profile_id=person.pk, key="signed-up")

    assert _carried() == [(agreed.pk, "send"), (silent.pk, "no_consent"), (left.pk, "suppressed")]


@pytest.mark.django_db
def test_what_can_not_go_out_yet_waits_for_a_day() -> None:
    person, at = make_profile(), now()
    mail_want(kind="link", profile_id=person.pk, key="early")
    assert not mail_ready("link")
    assert mails_carry(at=at) == 0
    assert MailWant.objects.get().settled_at is None

    playbook = _publish(_copy())
    assert mail_ready("link")
    assert not mail_ready("confirm")
    assert mails_carry(at=at) == 1

    playbook_withdraw(playbook_id=playbook.pk, by=playbook.owner)
    mail_want(kind="link", profile_id=person.pk, key="too early")
    assert mails_carry(at=at + PATIENCE + timedelta(minutes=1)) == 0
    given_up = MailWant.objects.get(key="too early")
    assert (given_up.run, given_up.settled_at) == (None, at + PATIENCE + timedelta(minutes=1))


@pytest.mark.django_db
def test_a_stopped_run_takes_nobody_more_and_the_next_goes_on() -> None:
    playbook, person, other = _publish(_copy()), make_profile(), make_profile()
    mail_want(kind="link", profile_id=person.pk, key="a")
    mails_carry()
    run_cancel(run_id=Run.objects.get().pk, by=playbook.owner)

    mail_want(kind="link", profile_id=other.pk, key="a")
    mails_carry()

    assert list(Run.objects.order_by("pk").values_list("state", "people")) == [("cancelled", 1), ("deciding", 1)]


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "key"), [("news", "a"), ("", "a"), ("link", ""), ("link", "x" * 121), ("link", "\n")])
def test_a_wrong_wish_is_refused(kind: str, key: str) -> None:
    with pytest.raises(Invalid):
        mail_want(kind=kind, profile_id=make_profile().pk, key=key)

    assert not MailWant.objects.exists()


# --- publishing ---


@pytest.mark.django_db
def test_all_of_the_shelf_come_in_five_languages_and_there_is_one_of_each() -> None:
    brand = make_brand()
    for code in (one.code for one in ready_made_all(SYSTEM)):
        playbook = _publish(_copy(code, brand=brand))
        assert playbook.published is not None
        assert playbook.published.spec["languages"] == ["en", "ar", "de", "es", "fr"]
    assert mails_missing() == []
    assert {kind for kind in MailKind if mail_ready(kind)} == set(MailKind)
    arabic = CompiledTemplate.objects.filter(language="ar", html__contains="links.confirm").get()
    assert 'dir="auto"' in arabic.html

    second = _copy(name="Another link", brand=brand)
    version = approve(playbook_submit(playbook_id=second.pk, by=second.owner))
    with pytest.raises(Invalid, match="published as this system mail already"):
        playbook_publish(version_id=version.pk, by=second.owner)
    first = Playbook.objects.get(mail_kind="link", published__isnull=False)
    playbook_withdraw(playbook_id=first.pk, by=first.owner)
    playbook_publish(version_id=version.pk, by=second.owner)
    assert mail_ready("link")


@pytest.mark.django_db
def test_it_can_not_be_run_by_hand() -> None:
    playbook = _publish(_copy())

    with pytest.raises(Conflict, match="goes out by itself"):
        run_start(playbook_id=playbook.pk, occasion_key="everybody", trigger="hand", by=playbook.owner)

    assert not Run.objects.exists()


@pytest.mark.django_db
def test_a_system_mail_is_one_message_to_whoever_it_is_for() -> None:
    playbook = _copy()
    audience = playbook.audience
    audience.rule = {"attribute": "country", "is": "DE"}
    audience.save()
    message = {"kind": "message", "template": playbook.template_id, "slots": playbook.slots}
    wait = {"kind": "wait", "for": {"days": 1}}

    def places(**fields: object) -> list[str]:
        with pytest.raises(PlaybookInvalid) as refused:
            playbook_update(playbook_id=playbook.pk, by=playbook.owner, **fields)  # type: ignore[arg-type]
        return [problem.place for problem in refused.value.problems]

    assert places(steps=[message, wait, message], purpose="marketing", cap_count=1, cap_days=1) == [
        "audience", "steps", "purpose", "cap_count",
    ]  # fmt: skip
    assert places(mail_kind="") == ["mail_kind"]
    assert places(mail_kind="welcome") == ["audience", "purpose"]


def _links_refused(playbook: Playbook) -> Sequence[str]:
    with pytest.raises(Invalid) as refused:
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    return [f"{one['token']} {one['mend']}" for one in refused.value.extra["problems"]]


@pytest.mark.django_db
def test_a_link_that_leads_nowhere_is_refused_with_the_mend() -> None:
    playbook = _copy("system_confirm")
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, mail_kind="link")
    (told,) = _links_refused(playbook)
    assert told.startswith("{{ links.confirm }} leads nowhere in this message: take it out. The system mail “confirm”")

    playbook_update(playbook_id=playbook.pk, by=playbook.owner, trigger="hand", mail_kind="")
    (told,) = _links_refused(playbook)
    assert told.startswith("{{ links.confirm }} leads nowhere")

    other = _copy("system_export", brand=playbook.brand)
    playbook_update(playbook_id=other.pk, by=other.owner, mail_kind="confirm")
    assert [one.split(":")[0] for one in _links_refused(other)] == [
        "{{ links.export }} leads nowhere in this message",
        "{{ links.confirm }} is missing",
    ]
