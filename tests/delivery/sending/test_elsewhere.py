"""Mails that go to another address than the person's main one: a new address confirmed, told, and taken back."""

import email
import email.policy
import re

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.consent.links import LinkScope, link_read
from apps.data.consent.models import Suppression
from apps.data.consent.services import suppression_add
from apps.data.privacy.address_changes import address_change_ask, address_change_confirm
from apps.data.privacy.models import AddressChange
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.mail import mail_want
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.carrying import mails_carry
from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.ready_made import ready_made_copy
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.accounts.models import User
from tests.delivery.relay import Accepted, Relay
from tests.factories import approve, make_brand, make_paths, make_profile, make_purposes

pytestmark = pytest.mark.django_db(transaction=True)
FORM = "application/x-www-form-urlencoded"


def _everything_goes_out() -> None:
    mails_carry()
    for run in Run.objects.order_by("pk"):
        run_decide(run_id=run.pk)
        dispatch_take_up(run_id=run.pk)
    messages_send()


def _mail(accepted: Accepted, recipient: str, scope: LinkScope) -> tuple[str, int]:
    """The path of the mail's own link, and whose it is. No other link in it acts for the person."""
    assert accepted.recipient == recipient
    mail = email.message_from_bytes(accepted.content, policy=email.policy.default)
    assert (mail["To"], mail["List-Unsubscribe"]) == (recipient, None)
    text = mail.get_body(("plain",)).get_content() + mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    own = set(re.findall(rf"/{scope}/[\w.-]+", text))
    others = set(re.findall(r"/[upcxa]/([\w.-]*)", text))
    assert (len(own), others) == (1, {""}), "the links of every message lead to where one types in one's own address"
    (path,) = own
    return path, link_read(scope, path.rpartition("/")[2])[0]


def test_a_new_address_is_confirmed_by_it_and_taken_back_by_the_old_one(
    relay: Relay, client: Client, settings: Settings
) -> None:
    settings.ADDRESS_CHANGES_PER_DAY = 1000  # what is counted in Redis outlives a test
    # given both mails published, and somebody with a fresh link, who shares the address they want with another
    make_purposes()
    make_paths()
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    brand = make_brand(by=root)
    for code in ("system_address", "system_moved", "system_link"):
        playbook = ready_made_copy(code=code, brand=brand, name="", by=root)
        playbook_publish(version_id=approve(playbook_submit(playbook_id=playbook.pk, by=root)).pk, by=root)
    person = make_profile(email="old@example.com", first_name="Carla", consent=("marketing",))
    make_profile(email="new@example.org")

    # when a new address is asked for, the mail goes there, and nothing has changed yet
    address_change_ask(profile_id=person.pk, address="new@example.org", forget_old=True, shown_by="a fresh link")
    _everything_goes_out()
    path, profile_id = _mail(relay.accepted[0], "new@example.org", LinkScope.NEW_ADDRESS)
    assert profile_id == person.pk
    page = client.get(path, headers={"Sec-GPC": "1"}).content.decode()
    assert "n•••@example.org" in page
    assert not re.search(r"old@|o•••|Carla|/p/[\w.-]+", page), "nothing of the person is told to a stranger's mailbox"
    assert addresses_read(profile_ids=[person.pk], kind="email") == {person.pk: "old@example.com"}

    # and what is forged, cut, swapped or of another form changes nothing
    token = path.rpartition("/")[2]
    for wrong in (f"/n/{token[:-2]}", f"/n/x{token}", f"/b/{token}", f"/c/{token}", f"/p/{token}"):
        assert client.post(wrong, "do=confirm", content_type=FORM).status_code == 404
    assert client.post(path, "do=take_back", content_type=FORM).status_code == 400
    assert addresses_read(profile_ids=[person.pk], kind="email") == {person.pk: "old@example.com"}

    # when it is confirmed, twice, it is theirs, and the old one is told though it is forgotten
    for _ in range(2):
        answer = client.post(path, "do=confirm", content_type=FORM)
        assert (answer.status_code, answer["Location"]) == (303, path)
    assert addresses_read(profile_ids=[person.pk], kind="email") == {person.pk: "new@example.org"}
    confirmed = client.get(path).content.decode()
    assert re.search(r"/p/[\w.-]+", confirmed), "now they may see their choices"
    _everything_goes_out()
    back, _ = _mail(relay.accepted[1], "old@example.com", LinkScope.TAKE_BACK)
    assert len(relay.accepted) == 2
    sent = Message.objects.get(dispatch__mail_kind="address")
    assert message_again(sent.pk) == relay.accepted[0].content

    # and the old one takes it back, twice
    assert "n•••@example.org" in client.get(back).content.decode()
    for _ in range(2):
        assert client.post(back, "do=take_back", content_type=FORM).status_code == 303
    assert addresses_read(profile_ids=[person.pk], kind="email") == {person.pk: "old@example.com"}
    assert client.post(path, "do=confirm", content_type=FORM).status_code == 200, "the page says that it is too late"
    assert addresses_read(profile_ids=[person.pk], kind="email") == {person.pk: "old@example.com"}

    # and a link that came to the address which was taken back is not fresh any more
    mail_want(kind="link", profile_id=person.pk, key="asked:1")
    _everything_goes_out()
    link = Message.objects.get(dispatch__mail_kind="link")
    found = re.search(rb"/p/[\w.-]+", relay.accepted[2].content.replace(b"=\r\n", b""))
    assert found is not None
    data = f"{found[0].decode()}/data"
    assert 'name="email"' in client.get(data).content.decode()
    Message.objects.filter(pk=link.pk).update(address_digest=sent.address_digest)
    assert 'name="email"' not in client.get(data).content.decode()

    # and a suppressed address gets no such mail, and one that waits for nothing any more gets none either
    suppression_add(kind="email", value="third@example.org", reason=Suppression.Reason.COMPLAINT)
    address_change_ask(profile_id=person.pk, address="third@example.org", shown_by="a fresh link")
    other = make_profile(email="other@example.com")
    address_change_ask(profile_id=other.pk, address="fourth@example.org", shown_by="a fresh link")
    waiting = AddressChange.objects.get(profile=other)
    address_change_confirm(change_id=waiting.pk, profile_id=other.pk)
    AddressChange.objects.filter(pk=waiting.pk).update(undo_until=waiting.asked_at)
    _everything_goes_out()
    assert len(relay.accepted) == 3
    reasons = Message.objects.filter(state="withheld").order_by("pk").values_list("reason", flat=True)
    assert list(reasons) == ["suppressed", "invalid_address", "invalid_address"]
    assert Dispatch.objects.filter(mail_kind="address").count() == 3
