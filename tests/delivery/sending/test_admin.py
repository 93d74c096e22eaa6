"""The ledger in the admin: seen by who may see it, ordered about by who may start and stop runs."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.services import dispatch_take_up
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def message() -> Message:
    run = make_run()
    make_decisions(run, make_people(3), make_compiled())
    dispatch_take_up(run_id=run.pk)
    return Message.objects.order_by("pk")[0]


def test_messages_are_listed_filtered_and_found(client: Client, message: Message) -> None:
    client.force_login(make_user("analyst"))
    page = reverse("admin:sending_message_changelist")
    assert client.get(page).context["cl"].result_count == 3
    assert client.get(page, {"state__exact": "failed", "reason": "refused"}).context["cl"].result_count == 0
    assert client.get(page, {"q": str(message.pk)}).context["cl"].result_count == 1
    assert client.get(page, {"q": str(message.profile_id)}).context["cl"].result_count == 1
    assert client.get(page, {"q": "nonsense"}).context["cl"].result_count == 0
    assert reverse("console:message", args=[message.pk]) in client.get(page).content.decode()


def test_a_message_is_read_and_not_changed(client: Client, message: Message) -> None:
    client.force_login(make_user("administrator"))
    page = reverse("admin:sending_message_change", args=[message.pk])
    assert client.get(page).status_code == 200
    assert client.post(page, {"state": "sent"}).status_code == 403
    assert client.get(reverse("admin:sending_message_add")).status_code == 403
    message.refresh_from_db()
    assert message.state == "queued"


def test_who_may_run_may_give_orders_and_others_may_not(client: Client, message: Message) -> None:
    page = reverse("admin:sending_dispatch_changelist")

    def order(action: str) -> None:
        client.post(page, {"action": action, "_selected_action": [message.dispatch_id]})

    client.force_login(make_user("analyst"))
    assert client.get(page).status_code == 200
    order("pause")
    assert Dispatch.objects.get().state == "active"
    client.force_login(make_user("publisher"))
    order("pause")
    assert Dispatch.objects.get().state == "active"
    client.force_login(Run.objects.get().playbook.owner)
    for action, state in (("pause", "paused"), ("resume", "active"), ("cancel", "cancelled"), ("resume", "cancelled")):
        order(action)
        assert Dispatch.objects.get().state == state
    assert set(Message.objects.values_list("state", flat=True)) == {"cancelled"}
    assert client.get(reverse("admin:sending_dispatch_change", args=[message.dispatch_id])).status_code == 200
