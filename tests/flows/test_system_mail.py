"""A link asked for by an address, through real workers: to the inbox, and back to the page that it opens."""

import re

import pytest
from django.test import Client

from apps.decisioning.playbooks.ready_made import ready_made_copy
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit
from apps.delivery.sending.models import Message
from apps.foundation.accounts.models import User
from tests.factories import approve, make_brand, make_paths, make_profile, make_purposes

from .conftest import Catcher, Workers, wait_for


@pytest.mark.slow
def test_an_address_typed_in_gets_its_link_in_its_language_and_the_link_opens_it(
    catcher: Catcher, workers: Workers, client: Client
) -> None:
    make_purposes()
    make_paths()
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    playbook = ready_made_copy(code="system_link", brand=make_brand(by=root), name="", by=root)
    playbook_publish(version_id=approve(playbook_submit(playbook_id=playbook.pk, by=root)).pk, by=root)
    make_profile(email="carla@example.com", language="de")
    workers.start()

    for address in ("carla@example.com", "stranger@example.com"):
        answer = client.post("/p/", f"email={address}", content_type="application/x-www-form-urlencoded")
        assert (answer.status_code, answer["Location"]) == (303, "/p/?asked")
    wait_for(lambda: bool(catcher.mails()), seconds=90, what="the mail arrives")

    (mail,) = catcher.mails()
    assert (mail["To"], mail["Subject"]) == ("carla@example.com", "Dein Link zu dem, was du von uns bekommst")
    assert mail["List-Unsubscribe"] is None, "nobody leaves what they asked for"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    link = re.search(r"/p/[\w.-]+", text)
    assert link is not None
    page = client.get(link[0])
    assert page.status_code == 200
    assert "c•••@example.com" in page.content.decode()
    assert Message.objects.get().purpose == "transactional"
