"""A digest through real workers and beat: chosen on the page, collected, one message in the inbox, workers killed."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.links import preferences_url
from apps.decisioning.decisions.models import Decision, DigestPiece
from apps.decisioning.playbooks.services import run_start
from apps.foundation.core.clock import now
from tests.factories import make_digest, make_profile, make_published

from .conftest import Catcher, Workers, wait_for

FORM = "application/x-www-form-urlencoded"


@pytest.mark.slow
def test_what_was_collected_arrives_once_though_workers_are_killed(
    catcher: Catcher, workers: Workers, client: Client
) -> None:
    make_digest()
    playbook = make_published()
    person = make_profile(email="carla@example.com", consent=("marketing",))
    path = urlsplit(preferences_url(profile_id=person.pk, message_id=uuid4())).path
    assert client.post(path, "do=frequency&value=daily", content_type=FORM).status_code == 303
    workers.start()

    for occasion in ("autumn", "winter"):
        run_start(playbook_id=playbook.pk, occasion_key=occasion, trigger="hand")
    wait_for(lambda: DigestPiece.objects.count() == 2, seconds=120, what="both are kept for the digest")
    assert catcher.mails() == []
    workers.kill()
    DigestPiece.objects.update(due_at=now() - timedelta(seconds=1))
    workers.start()
    wait_for(lambda: bool(catcher.mails()), seconds=180, what="the digest arrives")

    (mail,) = catcher.mails()
    assert (mail["To"], mail["Subject"]) == ("carla@example.com", "Collected for you")
    assert mail["List-Unsubscribe"] is not None
    assert set(DigestPiece.objects.values_list("state", flat=True)) == {"shown"}
    digest = Decision.objects.get(outcome="send")
    assert set(DigestPiece.objects.values_list("digest_id", flat=True)) == {digest.pk}
    # and back to each message by itself, nothing is left to come
    assert client.post(path, "do=frequency&value=each", content_type=FORM).status_code == 303
    run_start(playbook_id=playbook.pk, occasion_key="spring", trigger="hand")
    wait_for(lambda: len(catcher.mails()) == 2, seconds=120, what="the next comes by itself")
