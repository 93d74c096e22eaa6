"""Handing over and sharing, by the services and on the page."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm

from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Brand
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, may_publish
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from apps.foundation.governance.ownership import (
    access_share,
    access_unshare,
    may_hand_over,
    owner_change,
    owners_possible,
    sharers,
    sharers_possible,
)
from tests.factories import approve, make_block, make_market, make_playbook, make_user

pytestmark = pytest.mark.django_db


def stranded() -> Playbook:
    """A playbook as an upgrade may leave it: its owner is no publisher."""
    playbook = make_playbook()
    Playbook.objects.filter(pk=playbook.pk).update(owner=make_user("analyst"))
    playbook.refresh_from_db()
    return playbook


def entries(action: str) -> list[dict[str, Any]]:
    return list(AuditEntry.objects.filter(action=action).values_list("data", flat=True))


def test_an_administrator_hands_over_what_nobody_can_publish() -> None:
    playbook, publisher, administrator = stranded(), make_user("publisher"), make_user("administrator")
    before = playbook.owner
    assert not may_publish(publisher, playbook)

    after = owner_change(subject=playbook, to=publisher, by=administrator, why="Ann left")

    playbook.refresh_from_db()
    assert after == playbook
    assert playbook.owner == publisher
    assert may_publish(publisher, playbook)
    assert entries("playbooks.playbook.handed_over") == [{"from": before.pk, "to": publisher.pk, "why": "Ann left"}]


def test_what_others_agreed_to_stays_and_is_published_by_the_new_owner() -> None:
    playbook, publisher = make_playbook(), make_user("publisher")
    owner, saved = playbook.owner, playbook.updated_at
    version = approve(playbook_submit(playbook_id=playbook.pk, by=owner))

    owner_change(subject=playbook, to=publisher, by=owner)

    playbook.refresh_from_db()
    assert playbook.updated_at == saved  # who edits it now is not told of a change of what it says
    with pytest.raises(NotAllowed):
        playbook_publish(version_id=version.pk, by=owner)
    playbook_publish(version_id=version.pk, by=publisher)
    playbook.refresh_from_db()
    assert playbook.published == version


def test_nobody_takes_what_is_anothers() -> None:
    playbook, to = make_playbook(), make_user("publisher")

    for role in ROLE_BY_CODE.keys() - {"administrator"}:
        other = make_user(role)
        assert not may_hand_over(other, playbook), role
        with pytest.raises(NotAllowed) as refused:
            owner_change(subject=playbook, to=to, by=other)
        assert "its owner" in refused.value.message
    assert entries("playbooks.playbook.handed_over") == []


def test_an_owner_whose_role_is_gone_asks_an_administrator() -> None:
    playbook = stranded()

    with pytest.raises(NotAllowed):
        owner_change(subject=playbook, to=make_user("publisher"), by=playbook.owner)


def test_a_closed_account_hands_nothing_over() -> None:
    playbook, administrator = make_playbook(), make_user("administrator")
    for user in (playbook.owner, administrator):
        user.is_active = False
        assert not may_hand_over(user, playbook)


def test_it_goes_only_to_somebody_who_can_do_something_with_it() -> None:
    playbook, administrator = make_playbook(), make_user("administrator")
    closed = make_user("publisher")
    closed.is_active = False
    closed.save()

    for to, words in ((closed, "closed"), (make_user("engineer"), "no role"), (administrator, "no role")):
        with pytest.raises(Invalid) as refused:
            owner_change(subject=playbook, to=to, by=administrator)
        assert words in refused.value.message
    with pytest.raises(Conflict):
        owner_change(subject=playbook, to=playbook.owner, by=administrator)
    assert entries("playbooks.playbook.handed_over") == []


def test_two_who_hand_over_at_once_don_t_undo_each_other() -> None:
    playbook, administrator = make_playbook(), make_user("administrator")
    seen = playbook.owner_id
    first, second = make_user("publisher"), make_user("publisher")
    owner_change(subject=playbook, to=first, by=administrator, owner_seen=seen)

    with pytest.raises(Conflict) as refused:
        owner_change(subject=playbook, to=second, by=administrator, owner_seen=seen)

    assert refused.value.code == "changed_meanwhile"
    playbook.refresh_from_db()
    assert playbook.owner == first


def test_a_block_goes_to_those_who_work_in_its_market() -> None:
    france, spain = make_market(), make_market()
    here, there = make_user("local_editor", markets=[france]), make_user("local_editor", markets=[spain])
    engineer = make_user("engineer")
    block = make_block(market=france)

    possible = owners_possible(block)

    assert here in possible
    assert engineer in possible
    assert there not in possible
    owner_change(subject=block, to=here, by=make_user("administrator"))
    assert may(here, "describe", block.__class__.objects.get(pk=block.pk))


@pytest.mark.parametrize(("model", "role"), [(Brand, "administrator"), (Audience, "publisher")])
def test_every_kind_with_an_owner_is_handed_over(model: Any, role: str) -> None:
    make_playbook()
    subject, to = model.objects.get(), make_user(role)

    owner_change(subject=subject, to=to, by=make_user("administrator"))

    subject.refresh_from_db()
    assert subject.owner == to


def test_whoever_it_is_shared_with_publishes_it_and_no_longer_when_it_ends() -> None:
    playbook, helper, owner = make_playbook(), make_user("publisher"), make_user("publisher")
    owner_change(subject=playbook, to=owner, by=playbook.owner)
    playbook.refresh_from_db()
    assert sharers_possible(playbook) != []
    access_share(subject=playbook, user=helper, by=owner)

    for action in ("change", "publish", "run"):
        assert may(User.objects.get(pk=helper.pk), action, playbook)
    assert not may_hand_over(User.objects.get(pk=helper.pk), playbook)
    assert sharers(playbook) == [helper]
    with pytest.raises(NotAllowed):
        access_share(subject=playbook, user=make_user("publisher"), by=User.objects.get(pk=helper.pk))
    with pytest.raises(Conflict):
        access_share(subject=playbook, user=helper, by=owner)

    access_unshare(subject=playbook, user=helper, by=owner)
    assert not may(User.objects.get(pk=helper.pk), "publish", playbook)
    with pytest.raises(Conflict):
        access_unshare(subject=playbook, user=helper, by=owner)
    assert entries("playbooks.playbook.shared") == entries("playbooks.playbook.unshared") == [{"with": helper.pk}]


def test_it_is_shared_only_with_those_whose_role_has_the_rights() -> None:
    playbook = make_playbook()
    analyst = make_user("analyst")

    assert analyst not in sharers_possible(playbook)
    with pytest.raises(Invalid):
        access_share(subject=playbook, user=analyst, by=playbook.owner)
    with pytest.raises(Invalid):
        access_share(subject=playbook, user=playbook.owner, by=playbook.owner)
    with pytest.raises(NotAllowed):
        access_share(subject=Brand.objects.get(), user=playbook.owner, by=make_user("administrator"))


def test_a_share_does_not_outlive_owning_it() -> None:
    playbook, helper = make_playbook(), make_user("publisher")
    first = playbook.owner
    access_share(subject=playbook, user=helper, by=first)

    owner_change(subject=playbook, to=helper, by=first)
    owner_change(subject=playbook, to=first, by=helper)

    playbook.refresh_from_db()
    assert sharers(playbook) == []
    assert not may(User.objects.get(pk=helper.pk), "publish", playbook)


def test_a_market_given_to_people_is_not_a_share() -> None:
    market = make_market()
    block, editor = make_block(market=market), make_user("local_editor", markets=[market])
    assign_perm("content.edit_market", editor, market)

    assert sharers(block) == []


def page(subject: Any) -> str:
    meta = subject._meta
    return f"{reverse(f'admin:{meta.app_label}_{meta.model_name}_changelist')}{subject.pk}/owner/"


def test_on_the_page_an_administrator_hands_over_and_everybody_sees_whose_it_is() -> None:
    playbook, publisher, administrator = stranded(), make_user("publisher"), make_user("administrator")
    client = Client()
    client.force_login(administrator)
    shown = client.get(page(playbook)).content.decode()
    assert "No role lets its owner work with it any more" in shown
    assert publisher.email in shown

    seen = {"owner_seen": playbook.owner_id, "why": "Ann left"}
    answer = client.post(page(playbook), {"do": "hand_over", "user": publisher.pk, **seen}, follow=True)

    assert f"{playbook} is {publisher}&#x27;s now." in answer.content.decode()
    again = client.post(page(playbook), {"do": "hand_over", "user": make_user("publisher").pk, **seen})
    assert again.status_code == 409
    assert "by now: look again" in again.content.decode()
    playbook.refresh_from_db()
    assert playbook.owner == publisher
    reader = Client()
    reader.force_login(make_user("analyst"))
    read = reader.get(page(playbook))
    assert read.status_code == 200
    assert 'name="do"' not in read.content.decode()


def test_on_the_page_nobody_else_does_anything() -> None:
    playbook, other, friend = make_playbook(), make_user("publisher"), make_user("publisher")
    client = Client()
    client.force_login(other)

    for deed in ("hand_over", "share", "unshare"):
        assert client.post(page(playbook), {"do": deed, "user": friend.pk}).status_code == 403, deed

    assert AuditEntry.objects.filter(actor=other).count() == 0
    playbook.refresh_from_db()
    assert playbook.owner != other


def test_on_the_page_nonsense_is_refused() -> None:
    playbook, administrator = make_playbook(), make_user("administrator")
    client = Client()
    client.force_login(administrator)

    for posted, status in (
        ({}, 400),
        ({"do": "hand_over"}, 400),
        ({"do": "hand_over", "user": "x"}, 404),
        ({"do": "x", "user": str(administrator.pk)}, 404),
    ):
        assert client.post(page(playbook), posted).status_code == status, posted


def test_on_the_page_a_playbook_is_shared_and_no_longer() -> None:
    playbook, helper = make_playbook(), make_user("publisher")
    client = Client()
    client.force_login(playbook.owner)

    client.post(page(playbook), {"do": "share", "user": helper.pk})
    assert sharers(playbook) == [helper]
    assert "Stop sharing" in client.get(page(playbook)).content.decode()
    client.post(page(playbook), {"do": "unshare", "user": helper.pk})
    assert sharers(playbook) == []


def test_the_paths_of_the_page_are_those_of_all_kinds_with_an_owner() -> None:
    owned = {
        model._meta.label
        for model in apps.get_models()
        if any(field.name == "owner" for field in model._meta.get_fields())
    }
    admin_site = import_module("django.contrib.admin").site
    paged = {model._meta.label for model, admin in admin_site._registry.items() if hasattr(admin, "owner_and_sharing")}
    # anybody's who has the role
    assert owned - paged == {
        "accounts.ApiClient",
        "content.Persona",
        "events.EventSchema",
        "recommendations.EditorialPicks",
        "webhooks.WebhookEndpoint",
    }
    assert paged <= owned
