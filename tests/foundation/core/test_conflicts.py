"""Two people with one object open: the second is told and shown both, and nothing is lost."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.services import audience_update
from apps.decisioning.content.models import Brand
from apps.decisioning.content.services import block_version_create, brand_update
from apps.decisioning.playbooks.services import playbook_update
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict
from tests.factories import make_block, make_playbook, make_user

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _posts(value: object) -> bool:
    """Whether a browser posts a field of this value: a number of nothing too, an unticked box not."""
    return value is not None and value is not False


def opened(client: Client, page: str) -> dict[str, Any]:
    """What a browser would post of an edit form as it is opened."""
    answer = client.get(page)
    form = answer.context["adminform"].form
    data = {bound.html_name: bound.value() for bound in form if _posts(bound.value())}
    assert f'name="seen" value="{data["seen"]}"' in unescape(answer.content.decode())
    return data


def differences(answer: Any) -> dict[str, tuple[str, str, str, str]]:
    return {one.name: (one.kind, one.began, one.theirs, one.mine) for one in answer.context["adminform"].form.conflict}


def root() -> User:
    return User.objects.create_superuser("root@staff.example", "a long enough password")


def test_the_second_editor_of_a_block_sees_both_and_saves_on_top() -> None:
    block, by = make_block(words="New teas"), root()
    client, page = client_of(by), reverse("admin:content_block_change", args=[block.pk])
    mine = {**opened(client, page), "content__en__words": "Old teas"}
    block_version_create(block_id=block.pk, content={"en": {"words": "Green teas"}}, by=make_user("engineer"))

    told = client.post(page, mine)

    assert told.status_code == 200
    assert differences(told) == {"content__en__words": ("both", "New teas", "Green teas", "Old teas")}
    html = told.content.decode()
    assert "Two of you changed this" in html
    assert "Somebody else saved this while you were editing" in html
    assert [version.content["en"]["words"] for version in block.versions.all()] == ["Green teas", "New teas"]

    form = told.context["adminform"].form
    again = {bound.html_name: bound.value() for bound in form if _posts(bound.value())}
    assert again["content__en__words"] == "Old teas"
    assert client.post(page, {**again, "content__en__words": "Old and green teas"}).status_code == 302
    assert [version.content["en"]["words"] for version in block.versions.all()] == [
        "Old and green teas",
        "Green teas",
        "New teas",
    ]


def test_what_only_the_other_changed_is_taken_over() -> None:
    playbook = make_playbook(kpi="orders per message", description="Before")
    client = client_of(playbook.owner)
    page = reverse("admin:playbooks_playbook_change", args=[playbook.pk])
    mine = {**opened(client, page), "description": "Mine"}
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")

    told = client.post(page, mine)

    assert differences(told) == {
        "kpi": ("theirs", "orders per message", "revenue", "orders per message"),
        "description": ("mine", "Before", "Before", "Mine"),
    }
    form = told.context["adminform"].form
    again = {bound.html_name: bound.value() for bound in form if _posts(bound.value())}
    assert client.post(page, again).status_code == 302
    playbook.refresh_from_db()
    assert (playbook.kpi, playbook.description) == ("revenue", "Mine")


def test_the_same_change_by_both_is_no_conflict() -> None:
    playbook = make_playbook()
    client = client_of(playbook.owner)
    page = reverse("admin:playbooks_playbook_change", args=[playbook.pk])
    mine = {**opened(client, page), "kpi": "revenue"}
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")
    assert client.post(page, mine).status_code == 302


def test_brands_and_audiences_are_compared_too() -> None:
    playbook, by = make_playbook(), root()
    audience, brand = playbook.audience, playbook.brand
    client = client_of(by)
    pages = {
        one: reverse(f"admin:{one._meta.label_lower.replace('.', '_')}_change", args=[one.pk])
        for one in (audience, brand)
    }
    mine = {one: {**opened(client, page), "name": "Mine"} for one, page in pages.items()}
    audience_update(audience_id=audience.pk, name="Theirs", rule=audience.rule, by=by)
    brand_update(brand_id=brand.pk, by=by, name="Theirs")

    for one, page in pages.items():
        told = client.post(page, mine[one])
        assert told.status_code == 200
        assert differences(told)["name"][0] == "both"
    assert (Audience.objects.get().name, Brand.objects.get().name) == ("Theirs", "Theirs")


def test_a_service_refuses_what_was_seen_before_another_saved() -> None:
    brand, by = make_playbook().brand, root()
    brand_update(brand_id=brand.pk, by=by, name="Theirs")
    with pytest.raises(Conflict, match="Somebody else saved this meanwhile"):
        brand_update(brand_id=brand.pk, by=by, name="Mine", seen_at=brand.updated_at)
    assert Brand.objects.get().name == "Theirs"


def test_a_forged_beginning_is_no_beginning() -> None:
    block, by = make_block(words="New teas"), root()
    client, page = client_of(by), reverse("admin:content_block_change", args=[block.pk])
    mine = opened(client, page)
    block_version_create(block_id=block.pk, content={"en": {"words": "Green teas"}}, by=by)
    answer = client.post(page, {**mine, "seen": re.sub("^.", "x", mine["seen"]), "content__en__words": "Mine"})
    assert answer.status_code == 200  # the number of the version still says that somebody was faster
    assert block.versions.count() == 2
