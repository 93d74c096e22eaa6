"""The inbox, comments and notices; and e-mail to staff, taken by a real mail server."""

from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.governance.models import Notice, NoticeMute, Review, ReviewComment
from apps.foundation.governance.workflow import version_submit
from apps.surfaces.console.mailing import notices_mail
from tests.delivery.relay import Relay
from tests.factories import agree, make_block, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    """A mail server of our own; SMTP_URL points at it."""
    one = Relay()
    one.start()
    settings.SMTP_URL = f"smtp://127.0.0.1:{one.port}?timeout=10"
    settings.STAFF_MAIL_FROM = "tessera@shop.example"
    yield one
    one.stop()


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _review(**fields: object) -> Review:
    block = make_block(**fields)  # type: ignore[arg-type]
    root = User.objects.filter(email__startswith="types-").latest("pk")
    return version_submit(version=block.versions.get(), by=root, note="Look")


def test_the_inbox_shows_what_waits_what_was_answered_and_what_can_be_published() -> None:
    approver = make_user("brand_approver")
    waiting, answered = _review(), _review()
    agree(answered)
    page = _client(approver).get(reverse("console:reviews"))
    assert [row.review for row in page.context["mine"]] == [waiting]
    asker = answered.requested_by
    page = _client(asker).get(reverse("console:reviews"))
    assert [row.review for row in page.context["authored"]] == [answered]
    assert page.context["publishable"] == [answered]
    assert _client(make_user("analyst")).get(reverse("console:reviews")).context["publishable"] == []


def test_a_review_of_a_block_shows_what_it_says_and_how_it_looks() -> None:
    review = _review(words="New green teas")
    page = _client(make_user("brand_approver")).get(reverse("console:review", args=[review.pk])).content.decode()
    assert page.count("New green teas") >= 2
    assert "<iframe" in page
    answer = {"verdict": "approve", "digest": "0" * 64}
    url = reverse("console:review", args=[review.pk])
    assert _client(make_user("brand_approver")).post(url, answer).status_code == 409
    review.refresh_from_db()
    assert review.state == Review.State.OPEN


def test_a_comment_stands_in_the_review() -> None:
    review, analyst = _review(), make_user("analyst")
    url = reverse("console:review_comment", args=[review.pk])
    assert _client(analyst).post(url, {"text": "<b>Which?</b>"}).status_code == 302
    page = _client(analyst).get(reverse("console:review", args=[review.pk])).content.decode()
    assert "&lt;b&gt;Which?&lt;/b&gt;" in page
    nobody = User.objects.create_user("nobody@staff.example", "a long enough password")
    assert _client(nobody).post(url, {"text": "x"}).status_code == 403
    assert ReviewComment.objects.count() == 1


def test_the_bell_counts_and_opening_the_review_reads_it() -> None:
    approver = make_user("brand_approver")
    client = _client(approver)
    assert "t-bell-count" not in client.get(reverse("console:notices")).content.decode()
    review = _review()
    assert "t-bell-count" in client.get(reverse("console:notices")).content.decode()
    notice = Notice.objects.get(user=approver)
    assert client.get(reverse("console:notice", args=[notice.pk])).status_code == 302
    assert _client(make_user("analyst")).get(reverse("console:notice", args=[notice.pk])).status_code == 404
    client.get(reverse("console:review", args=[review.pk]))
    assert "t-bell-count" not in client.get(reverse("console:notices")).content.decode()


def test_one_chooses_what_comes_by_mail() -> None:
    user = make_user("brand_approver")
    _client(user).post(reverse("console:notice_mail"), {"kind": ["waiting", "void"]})
    assert set(NoticeMute.objects.values_list("kind", flat=True)) == set(Notice.Kind.values) - {"waiting", "void"}
    _review()
    assert Notice.objects.get(user=user).mail == Notice.Mail.WAITING


def test_a_hundred_notices_come_page_by_page() -> None:
    user = make_user("brand_approver")
    review = _review()
    at = now()
    Notice.objects.bulk_create(
        Notice(user=user, kind="comment", key=f"many:{n}", review=review, title=f"News {n}", at=at, mail_after=at)
        for n in range(100)
    )
    first = _client(user).get(reverse("console:notices"))
    assert len(first.context["notices"]) == 50
    second = _client(user).get(reverse("console:notices"), {"before": first.context["more"]})
    assert len(second.context["notices"]) == 50


def test_a_notice_is_mailed_once(relay: Relay) -> None:
    approver = make_user("brand_approver")
    review = _review(name="Tea\u202e \u00fcber alles")
    assert notices_mail(at=now()) == 1
    assert notices_mail(at=now()) == 0
    mail = message_from_bytes(relay.accepted[0].content, policy=policy.default)
    assert (relay.accepted[0].recipient, mail["From"]) == (approver.email, "Tessera <tessera@shop.example>")
    assert "\u202e" not in str(mail["Subject"])
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert reverse("console:review", args=[review.pk]) in text
    assert Notice.objects.get().mail == Notice.Mail.SENT


def test_a_relay_that_defers_is_asked_again_and_one_that_refuses_is_not(relay: Relay) -> None:
    approver = make_user("brand_approver")
    _review()
    relay.plan = lambda recipient: "451 later"
    assert notices_mail(at=now()) == 0
    assert Notice.objects.values_list("mail", "mail_attempts").get(user=approver) == ("waiting", 1)
    Notice.objects.update(mail_after=now())
    relay.plan = lambda recipient: "550 nobody"
    assert notices_mail(at=now()) == 0
    assert Notice.objects.get(user=approver).mail == Notice.Mail.FAILED


def test_without_a_sender_nothing_is_mailed(relay: Relay, settings: Settings) -> None:
    settings.STAFF_MAIL_FROM = ""
    make_user("brand_approver")
    _review()
    assert notices_mail(at=now()) == 0
    assert relay.accepted == []
    assert Notice.objects.get().mail == Notice.Mail.MUTED
