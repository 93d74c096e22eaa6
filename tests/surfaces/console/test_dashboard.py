"""The first page of the admin."""

from datetime import timedelta

import pytest
from django.test import Client

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.imports.models import Import
from apps.delivery.sending.models import Message
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.governance.services import review_request
from apps.surfaces.console.dashboard import BAR_HEIGHT, consent_standing, sent_by_day
from tests.factories import make_profile, make_user
from tests.surfaces.ledger import make_message, make_run

pytestmark = pytest.mark.django_db


def first_page(user: User) -> str:
    client = Client()
    client.force_login(user)
    response = client.get("/admin/")
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_installation_teaches_the_first_steps() -> None:
    page = first_page(make_user("local_editor"))

    assert "Three steps to the first message" in page
    assert "Bring in your customers" in page
    assert "Nothing has run yet" in page
    assert "Nothing is wrong" in page


def test_the_steps_go_once_all_are_done() -> None:
    make_message(run=make_run(people=1))

    assert "Three steps to the first message" not in first_page(make_user("analyst"))


def test_what_waits_runs_and_is_wrong() -> None:
    run = make_run(people=2, name="Spring letter")
    make_message(run=run)
    make_message(run=run, state="uncertain")
    review_request(subject=run.version, digest=run.version.digest, path=[["brand_approver"]], by=run.version.created_by)
    Import.objects.create(kind="orders", file_name="orders.csv", path="x", digest="d" * 64, state="failed")

    page = first_page(make_user("brand_approver"))

    assert "Spring letter v1" in page
    assert "2 planned, 1 sent, 0 withheld" in page
    assert "1 message is uncertain" in page
    assert "1 import failed or was stopped" in page


def test_who_may_see_nothing_is_shown_nothing() -> None:
    make_message(run=make_run(people=1, name="Spring letter"))

    page = first_page(User.objects.create_user("outsider@staff.example", "a long enough password"))

    assert "Spring letter" not in page
    assert "In the system" not in page
    assert "/console/runs/" not in page


def test_sent_by_day_counts_the_last_seven_days() -> None:
    run = make_run(people=4)
    for days in (0, 0, 2, 9):
        message = make_message(run=run)
        Message.objects.filter(pk=message.pk).update(sending_at=now() - timedelta(days=days))

    bars = sent_by_day()

    assert [bar.count for bar in bars] == [0, 0, 0, 0, 1, 0, 2]
    assert bars[-1].height == BAR_HEIGHT
    assert bars[-1].day == now().date()


def test_consent_is_counted_by_purpose() -> None:
    for number in range(3):
        person = make_profile(consent=("marketing",))
        if number == 0:
            consent_withdraw(
                profile_id=person.pk,
                purpose="marketing",
                channel=Channel.EMAIL,
                method=ConsentRecord.Method.ONE_CLICK,
                source="test",
            )

    standing = {purpose.name: (chose.agreed.count, chose.left.count) for purpose, chose in consent_standing()}

    assert standing["News and offers"] == (2, 1)
    assert standing["Fitted to me"] == (0, 0)
    assert "2 on" in first_page(make_user("analyst"))
