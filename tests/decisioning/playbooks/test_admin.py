"""The admin's pages of playbooks: rights, problems beside their fields, and a page before each step."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Preparation, Run
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from tests.factories import approve, make_helper, make_market, make_playbook, make_published, make_user

from .travelling import MESSAGE, make_followed, publish

pytestmark = pytest.mark.django_db


def _client(who: str | User) -> Client:
    client = Client()
    client.force_login(make_user(who) if isinstance(who, str) else who)
    return client


def _url(playbook: Playbook, page: str = "change") -> str:
    return f"/admin/playbooks/playbook/{playbook.pk}/{page}/"


def _form(playbook: Playbook, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(playbook, name) or ""
        for name in (
            "code",
            "name",
            "description",
            "kpi",
            "trigger",
            "schedule",
            "time_zone",
            "channel",
            "budget",
            "cap_count",
            "cap_days",
            "send_within_hours",
        )
    }
    values |= {
        "audience": playbook.audience_id,
        "brand": playbook.brand_id,
        "purpose": playbook.purpose_id,
        "steps": json.dumps([{"kind": "message", "template": playbook.template_id, "slots": playbook.slots}]),
        "approval_path": playbook.approval_path,
        "seen_at": playbook.updated_at.isoformat(),
        "priority": playbook.priority,
        "holdout_percent": playbook.holdout_percent,
    }
    return {**values, **changes}


def test_an_editor_saves_and_the_void_approval_is_told() -> None:
    playbook = make_playbook()
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    answer = _client(playbook.owner).post(_url(playbook), _form(playbook, kpi="revenue"), follow=True)
    assert "The edit voids that" in answer.content.decode()
    playbook.refresh_from_db()
    version.refresh_from_db()
    assert (playbook.kpi, version.state) == ("revenue", PlaybookVersion.State.VOID)


def test_a_playbook_says_what_was_made_ahead_of_its_next_send() -> None:
    playbook = make_published()
    client, before = _client(playbook.owner), playbook.published
    nothing = f"so that a send is decided sooner: by manage.py precompute {playbook.code}."
    assert nothing in client.get(_url(playbook)).content.decode()
    assert before is not None

    at = now()
    made = Preparation.objects.create(
        playbook=playbook, version=before, began_at=at, ended_at=at, people=1_200, choices=9, done=True
    )

    def said() -> str:
        [words] = re.findall(r"UTC, for [^<]+", client.get(_url(playbook)).content.decode())
        return str(words)

    until = made.good_until
    assert said() == f"UTC, for 1,200 people; a send uses it until {until:%H:%M} UTC for whom nothing changed meanwhile"
    Preparation.objects.update(people=1, done=False)
    assert (
        said() == f"UTC, for 1 person so far; a send uses it until {until:%H:%M} UTC for whom nothing changed meanwhile"
    )
    Preparation.objects.update(ended_at=at - timedelta(days=1))
    assert said() == "UTC, for 1 person: too long ago to be used, a send chooses anew"
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")
    newer = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=newer.pk, by=playbook.owner)
    assert said() == "UTC, for 1 person, by v1, which is not what is published: a send chooses anew"


def test_a_playbook_with_steps_says_it_of_each_message() -> None:
    at = now()
    playbook = make_followed([{**MESSAGE, "id": "hello", "name": "Hello & hi"}, {**MESSAGE, "id": "again"}], at=at)
    client, first = _client(playbook.owner), playbook.published
    assert first is not None
    assert "done by itself for whoever comes to a message soon, or by manage.py precompute" in (
        client.get(_url(playbook)).content.decode()
    )

    def made(version: PlaybookVersion, step: str, people: int, *, ended: datetime = at) -> Preparation:
        return Preparation.objects.create(
            playbook=playbook, version=version, step=step, began_at=ended, ended_at=ended, people=people, done=True
        )

    def said() -> list[str]:
        return re.findall(r"<div>([^<]+ UTC, for [^<]+)</div>", client.get(_url(playbook)).content.decode())

    until = f"{made(first, 'hello', 3).good_until:%H:%M} UTC for whom nothing changed meanwhile"
    made(first, "again", 1, ended=at - timedelta(days=1))
    when, before = f"{at:%A, %d %B, %H:%M} UTC", f"{at - timedelta(days=1):%A, %d %B, %H:%M} UTC"
    assert said() == [
        f"again: {before}, for 1 person: too long ago to be used, a send chooses anew",
        f"Hello &amp; hi: {when}, for 3 people; a send uses it until {until}",
    ]

    # who began with it goes on with it: what is too old of it is told no more
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")
    newer = publish(playbook, at).published
    assert newer is not None
    made(newer, "hello", 20)
    assert said() == [
        f"Hello &amp; hi: {when}, for 3 people who began with v1; a send uses it until {until}",
        f"Hello &amp; hi: {when}, for 20 people; a send uses it until {until}",
    ]


def test_a_new_playbook_goes_through_the_service() -> None:
    other = make_playbook()
    editor = make_user("publisher")
    url = reverse("admin:playbooks_playbook_add")
    answer = _client(editor).post(url, _form(other, code="second", name="Second", seen_at=""))
    assert answer.status_code == 302
    made = Playbook.objects.get(code="second")
    assert (made.owner, made.editors) == (editor, [editor.pk])
    assert made.slots == other.slots


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"steps": '{"hero": ['}, "steps", "Line 1, column 11"),
        ({"steps": "{}"}, "steps", "Write a list of steps"),
        ({"steps": "[" * 5000}, "steps", "nested too deep"),
        ({"steps": '[{"kind": "wait", "for": {"days": 0}}]'}, "steps", "steps[0].for: Write a whole number of days"),
        ({"trigger": "event"}, "event_name", "Name the event"),
        ({"event_where": '{"orders": {"at_least": 1}}'}, "event_where", "Only attribute"),
        ({"quiet_start": "21:00"}, "quiet_start", "both ends"),
        ({"guard_unsubscribe_rate": "0"}, "guard_unsubscribe_rate", "greater than or equal to 0.01"),
        ({"trigger": "schedule", "schedule": "often"}, "schedule", "five fields"),
        ({"time_zone": "Mars/Base"}, "time_zone", "no time zone"),
        ({"cap_count": "2", "cap_days": ""}, "cap_count", "both numbers"),
        ({"trigger": "schedule"}, "schedule", "needs one"),
        ({"approval_path": []}, "approval_path", "required"),
        ({"approval_path": ["analyst"]}, "approval_path", "analyst is not one"),
        ({"code": ""}, "code", "required"),
        ({"name": "a\0b"}, "name", "Null characters"),
    ],
)
def test_each_problem_stands_beside_its_field(changes: dict[str, Any], field: str, words: str) -> None:
    playbook = make_playbook()
    answer = _client(playbook.owner).post(_url(playbook), _form(playbook, **changes))
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in " ".join(errors[field])
    assert Playbook.objects.values_list("updated_at", flat=True).get() == playbook.updated_at


def test_the_second_editor_is_told_and_nothing_is_lost() -> None:
    playbook = make_playbook()
    seen = _form(playbook, kpi="clicks")
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")
    answer = _client(make_helper(playbook)).post(_url(playbook), seen)
    assert "Somebody else saved this playbook" in answer.content.decode()
    assert 'value="clicks"' in answer.content.decode()
    playbook.refresh_from_db()
    assert playbook.kpi == "revenue"


_DOORS = ("ask-approval", "publish", "start-run", "withdraw")
_ROLES = ("local_editor", "engineer", "brand_approver", "legal_approver", "publisher", "analyst", "administrator")


def test_each_door_opens_for_its_owner_and_helpers_only() -> None:
    playbook = make_published()
    for role in _ROLES:
        client = _client(role)
        for door in _DOORS:
            refused = client.get(_url(playbook, door))
            assert refused.status_code == 403, (role, door)
            assert f"Who can: its owner ({playbook.owner}), those with whom they share it." in refused.content.decode()
            assert client.post(_url(playbook, door), {"occasion": "x", "note": ""}).status_code == 403
    for client in (_client(playbook.owner), _client(make_helper(playbook))):
        assert {client.get(_url(playbook, door)).status_code for door in _DOORS} == {200}
    assert Client().post(_url(playbook, "start-run"), {"occasion": "x"})["Location"].startswith("/admin/login/")
    playbook.refresh_from_db()
    assert playbook.published is not None
    assert (Run.objects.count(), PlaybookVersion.objects.count()) == (0, 1)


@pytest.mark.parametrize("role", ["engineer", "publisher", "analyst"])
def test_readers_read_and_do_not_save(role: str) -> None:
    playbook = make_published()
    client = _client(role)
    assert client.get(_url(playbook)).status_code == 200
    assert client.post(_url(playbook), _form(playbook, kpi="mine")).status_code == 403
    playbook.refresh_from_db()
    assert playbook.kpi != "mine"
    for model in ("playbookversion", "run"):
        assert client.get(reverse(f"admin:playbooks_{model}_changelist")).status_code == 200
    assert (
        client.get(reverse("admin:playbooks_playbookversion_change", args=[playbook.published_id])).status_code == 200
    )


def test_asking_publishing_and_starting_by_the_buttons() -> None:
    playbook = make_playbook()
    editor, publisher = _client(make_helper(playbook)), _client(playbook.owner)
    assert editor.get(_url(playbook, "ask-approval")).status_code == 200
    assert PlaybookVersion.objects.count() == 0  # a look changes nothing
    answer = editor.post(_url(playbook, "ask-approval"), {"note": "Please"}, follow=True)
    assert "waits for Brand approver" in answer.content.decode()
    version = PlaybookVersion.objects.get()

    refused = publisher.post(_url(playbook, "publish"))
    assert refused.status_code == 409
    assert "No version is approved" in refused.content.decode()
    approve(version)
    assert "is published" in publisher.post(_url(playbook, "publish"), follow=True).content.decode()

    started = publisher.post(_url(playbook, "start-run"), {"occasion": "autumn"})
    run = Run.objects.get()
    assert started["Location"] == reverse("console:run", args=[run.pk])
    again = publisher.post(_url(playbook, "start-run"), {"occasion": "autumn"})
    assert again["Location"] == started["Location"]
    assert Run.objects.count() == 1

    assert publisher.get(_url(playbook, "withdraw")).status_code == 200
    publisher.post(_url(playbook, "withdraw"))
    playbook.refresh_from_db()
    run.refresh_from_db()
    assert playbook.published is None
    assert run.state == Run.State.CANCELLED


def test_a_refusal_is_a_page_and_no_crash() -> None:
    playbook = make_published()
    PlaybookVersion.objects.update(digest="0" * 64)
    answer = _client(playbook.owner).post(_url(playbook, "start-run"), {"occasion": "x"})
    assert answer.status_code == 409
    assert "not what was handed in" in answer.content.decode()
    assert _client("publisher").get("/admin/playbooks/playbook/999/start-run/").status_code == 404


def test_the_list_asks_a_constant_number_of_questions(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(4):
        make_playbook()
    client = _client("analyst")
    client.get(reverse("admin:playbooks_playbook_changelist"))
    with django_assert_max_num_queries(14):
        assert client.get(reverse("admin:playbooks_playbook_changelist")).status_code == 200


def _pulled(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_steps_are_saved_and_shown_as_a_picture() -> None:
    playbook = make_playbook()
    message = {"kind": "message", "name": "Hello", "template": playbook.template_id, "slots": playbook.slots}
    steps = [
        {"kind": "exit", "name": "Bought", "event": "Order Completed"},
        message,
        {"kind": "wait", "until": {"time": "09:00", "days": ["mon", "tue"]}},
        {
            "kind": "branch",
            "name": "Where?",
            "when": {"attribute": "country", "is": "DE"},
            "then": [message],
            "else": [],
        },
    ]
    form = _form(
        playbook, steps=json.dumps(steps), guard_unsubscribe_rate="0.5", quiet_start="21:00", quiet_end="08:00"
    )
    answer = _client(playbook.owner).post(_url(playbook), form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    playbook.refresh_from_db()
    assert [step["id"] for step in playbook.steps] == ["exit-1", "message-1", "wait-1", "branch-1"]
    assert playbook.guardrails == [{"kpi": "unsubscribe_rate", "limit": 0.5}]
    page = _pulled(_client("analyst").get(_url(playbook)))
    for words in (
        "Exit: Bought",
        "when “Order Completed” since it began",
        "Wait until 09:00 on Monday or Tuesday, in their time zone",
        "country is DE",
        "Quiet from 21:00 until 08:00",
        "unsubscribed, of those who got a message, at most 0.5 %. Not measured yet.",
        "Nobody has begun its steps yet",
    ):
        assert words in page, words
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    pinned = _pulled(_client("analyst").get(reverse("admin:playbooks_playbookversion_change", args=[version.pk])))
    assert "Wait until 09:00 on Monday or Tuesday" in pinned


def test_the_picture_and_the_problems_come_while_steps_are_written() -> None:
    playbook = make_playbook()
    url = reverse("admin:playbooks_playbook_steps_preview")
    client = _client(playbook.owner)
    steps = [{"kind": "wait", "for": {"days": 3}}, {"kind": "message", "template": "nothing"}]
    answer = client.post(url, {"steps": json.dumps(steps)})
    page = _pulled(answer)
    assert "Wait 3 days" in page
    assert '{"place": "steps[1].template", "problem": "There is no template' in page
    assert "not JSON yet" in _pulled(client.post(url, {"steps": "["}))
    assert client.get(url).status_code == 405
    assert _client("analyst").post(url, {"steps": "[]"}).status_code == 403
    hostile = [{"kind": "exit", "event": "</script><script>alert(1)</script>"}]
    assert "<script>alert" not in _pulled(client.post(url, {"steps": json.dumps(hostile)}))
    assert Playbook.objects.get().updated_at == playbook.updated_at


def test_a_ready_made_playbook_is_copied_in_the_admin() -> None:
    gallery = reverse("admin:playbooks_playbook_ready_made")
    layout = reverse("admin:playbooks_playbook_ready_made_layout")
    other = make_playbook()
    assert "An engineer can add it" in _pulled(_client("local_editor").get(gallery))
    assert _client("local_editor").post(layout).status_code == 403
    assert _client("engineer").get(layout).status_code == 405
    assert "is there. Marketers can copy" in _pulled(_client("engineer").post(layout, follow=True))
    copy = reverse("admin:playbooks_playbook_ready_made_copy", args=["cart_abandonment"])
    assert _client("analyst").get(copy).status_code == 403
    assert "Ask an administrator for a market to work in" in _pulled(_client("publisher").get(gallery))
    market = make_market()
    user = make_user("publisher", markets=[market])
    editor = _client(user)
    assert "events “Cart Updated”".capitalize() in _pulled(editor.get(copy))
    answer = editor.post(copy, {"name": "Carts", "brand": other.brand_id, "market": market.pk}, follow=True)
    assert "Carts is a draft of your own now" in _pulled(answer)
    assert Playbook.objects.get(code="carts").published is None
    assert editor.get(reverse("admin:playbooks_playbook_ready_made_copy", args=["nothing"])).status_code == 404
