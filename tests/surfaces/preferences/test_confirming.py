"""Confirming by the link of a mail: a page that changes nothing, and a button that does it once."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.contracts import Origin
from apps.data.consent.links import LinkScope, link_url
from apps.data.consent.models import ConsentRecord, ConsentState, OptIn
from apps.data.consent.opt_ins import opt_in_ask
from apps.data.consent.origins import origin_read
from apps.data.consent.wordings import wordings_shown
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.playbooks.models import MailWant
from apps.foundation.core.clock import now
from tests.factories import make_profile
from tests.surfaces.ledger import make_decision, make_run
from tests.wordings import FIRST, SECOND, make_wording, next_version

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


def asked(person: Profile) -> str:
    """The path of the link in the mail that asks a person to confirm marketing."""
    shown = wordings_shown(channel="email", locale="en")
    opt_in_ask(
        profile_id=person.pk,
        purposes={"marketing": shown["marketing"]},
        channel="email",
        method=ConsentRecord.Method.SIGN_UP,
        source="form",
        origin=Origin(f"2001:db8:{uuid4().hex[:4]}::1"),
    )
    run = make_run()
    decision = make_decision(run=run, profile=person)
    MailWant.objects.update_or_create(
        profile=person,
        kind="confirm",
        key=str(OptIn.objects.latest("asked_at").pk),
        defaults={"run": run},
    )
    return path_of(person, decision.pk)


def path_of(person: Profile, message_id: object) -> str:
    return urlsplit(link_url(LinkScope.CONFIRM, profile_id=person.pk, message_id=message_id)).path  # type: ignore[arg-type]


def granted(person: Profile) -> bool:
    return ConsentState.objects.filter(profile=person, purpose="marketing", granted=True).exists()


def test_the_page_asks_in_the_words_that_were_read_and_changes_nothing(client: Client) -> None:
    wording = make_wording()
    person = make_profile(email="carla@example.com")
    path = asked(person)
    next_version(wording, SECOND, material=False)

    for _ in range(2):
        answer = client.get(path)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert FIRST["en"] in page
    assert "c•••@example.com" in page
    assert "carla" not in page
    assert not answer.cookies
    assert not ConsentRecord.objects.exists()
    assert OptIn.objects.get().state == "pending"


def test_the_button_confirms_and_a_second_press_does_no_more(client: Client) -> None:
    person = make_profile()
    path = asked(person)

    answers = [client.post(path, "do=confirm", FORM, REMOTE_ADDR="203.0.113.5", HTTP_USER_AGENT="Desk") for _ in "12"]

    assert [(one.status_code, one["Location"]) for one in answers] == [(303, path)] * 2
    assert "that is confirmed" in client.get(path).content.decode()
    record = ConsentRecord.objects.get()
    assert record.confirmation is not None
    assert origin_read(digest=bytes.fromhex(record.confirmation["origin"])) == Origin("203.0.113.5", "Desk")
    assert granted(person)
    assert Identifier.objects.get(profile=person).verified


def test_too_late_says_so_and_changes_nothing(client: Client) -> None:
    person = make_profile()
    path = asked(person)
    OptIn.objects.update(expires_at=now() - timedelta(seconds=1))

    answer = client.post(path, "do=confirm", FORM)

    assert "too old" in answer.content.decode()
    assert not granted(person)


def test_other_links_and_other_forms_confirm_nothing(client: Client) -> None:
    person, other = make_profile(), make_profile()
    path = asked(person)
    message_id = OptIn.objects.get().pk

    assert client.post(path, "do=something", FORM).status_code == 400
    assert client.post(path_of(other, message_id), "do=confirm", FORM).status_code == 404
    assert client.post(path_of(person, uuid4()), "do=confirm", FORM).status_code == 404
    assert client.post(path[:-3], "do=confirm", FORM).status_code == 404
    assert client.post(path.replace("/c/", "/p/"), "do=confirm", FORM).status_code == 404
    assert not ConsentRecord.objects.exists()
