"""The page «approval and history»: each role at each door, comparing, bringing back; paths; the audit log's file."""

import csv
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.content.models import Block, BlockVersion, Brand
from apps.decisioning.content.services import block_version_create, brand_create, brand_update
from apps.decisioning.playbooks.services import playbook_submit, playbook_update
from apps.foundation.accounts.models import User
from apps.foundation.governance.export import cell_defused
from apps.foundation.governance.history import words_compared
from apps.foundation.governance.models import ApprovalPath, AuditEntry, Publication, Review, State
from apps.foundation.governance.selectors import version_state
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import version_publish, version_submit
from tests.factories import agree, make_block, make_paths, make_playbook, make_user

pytestmark = pytest.mark.django_db


def _client(who: str | User) -> Client:
    client = Client()
    client.force_login(make_user(who) if isinstance(who, str) else who)
    return client


def _root() -> User:
    return User.objects.filter(is_superuser=True).earliest("pk")


def _url(block: Block) -> str:
    return reverse("admin:content_block_history", args=[block.pk])


def test_a_block_goes_through_its_page() -> None:
    block = make_block(tags=("offer",))
    page = _client(_root())
    shown = page.get(_url(block)).content.decode()
    assert "Brand approver and Legal approver" in shown
    assert page.post(_url(block), {"do": "submit", "note": "Please"}).status_code == 302
    assert page.post(_url(block), {"do": "publish"}).status_code == 409
    agree(Review.objects.get())
    assert page.post(_url(block), {"do": "publish"}).status_code == 302
    assert version_state(block.versions.get()) == State.PUBLISHED
    assert page.post(_url(block), {"do": "withdraw", "note": "Wrong price"}).status_code == 302
    assert Publication.objects.get().why_ended == "Wrong price"
    assert page.post(_url(block), {"do": "burn"}).status_code == 409


@pytest.mark.parametrize("role", ["brand_approver", "legal_approver", "analyst"])
def test_those_who_only_read_see_the_page_and_change_nothing(role: str) -> None:
    block = make_block()
    version = block.versions.get()
    block_version_create(block_id=block.pk, content={"en": {"words": "Newer"}}, by=_root())
    page = _client(role)
    before = (AuditEntry.objects.count(), Review.objects.count(), BlockVersion.objects.count())
    shown = page.get(_url(block)).content.decode()
    assert "Ask for approval" not in shown
    assert "Bring it back" not in shown
    for deed in ({"do": "submit"}, {"do": "publish"}, {"do": "withdraw"}, {"do": "take_back"}):
        assert page.post(_url(block), deed).status_code == 403
    assert page.post(_url(block), {"do": "revert", "key": f"v{version.number}", "note": "x"}).status_code == 403
    assert (AuditEntry.objects.count(), Review.objects.count(), BlockVersion.objects.count()) == before
    nobody = User.objects.create_user(f"nobody-{role}@staff.example", "a long enough password")
    assert _client(nobody).get(_url(block)).status_code == 403


def test_two_versions_stand_side_by_side() -> None:
    block = make_block(words="New green teas")
    block_version_create(block_id=block.pk, content={"en": {"words": "New black teas"}}, by=_root(), why="Green is out")
    shown = _client("analyst").get(_url(block), {"old": "v1", "new": "v2"}).content.decode()
    assert "<del>green</del><ins>black</ins>" in shown
    assert "Green is out" in shown
    assert shown.count("<iframe") == 2
    assert _client("analyst").get(_url(block), {"old": "v1", "new": "v9"}).status_code == 200


def test_words_are_compared_whole() -> None:
    assert words_compared("a red cat", "a black cat") == [
        ("same", "a "),
        ("gone", "red"),
        ("new", "black"),
        ("same", " cat"),
    ]


def test_bringing_back_makes_a_draft_and_leaves_what_is_live() -> None:
    block = make_block()
    first = block.versions.get()
    agree(version_submit(version=first, by=_root()))
    version_publish(version=first, by=_root())
    second = block_version_create(block_id=block.pk, content={"en": {"words": "Wrong"}}, by=_root())
    assert _client(_root()).post(_url(block), {"do": "revert", "key": "v1", "note": "Wrong"}).status_code == 302
    third = block.versions.first()
    assert third is not None
    assert (third.number, third.content, third.why) == (second.number + 1, first.content, "Back to v1. Wrong")
    assert version_state(third) == State.DRAFT
    assert version_state(first) == State.PUBLISHED


def test_a_field_that_is_fixed_by_now_does_not_come_back() -> None:
    block = make_block(words="Free")
    kind = block.type
    kind.fields = [*kind.fields, {"name": "legal", "label": "Legal", "kind": "text", "fixed": True, "value": "Ask us"}]
    kind.fields[0] |= {"fixed": True, "value": "Central words"}
    kind.save()
    first = block.versions.get()
    _client(_root()).post(_url(block), {"do": "revert", "key": f"v{first.number}", "note": "x"})
    newest = block.versions.first()
    assert newest is not None
    assert newest.content == {"en": {}}


def test_what_was_live_on_a_day_is_told() -> None:
    block = make_block()
    version = block.versions.get()
    agree(version_submit(version=version, by=_root()))
    publication = version_publish(version=version, by=_root())
    page = _client("analyst")
    assert "nothing was" in page.get(_url(block), {"at": "2020-01-01T10:00"}).content.decode()
    later = f"{publication.live_from.year + 1}-01-01T00:00"
    assert f"<strong>{version}</strong>" in page.get(_url(block), {"at": later}).content.decode()
    assert page.get(_url(block), {"at": "yesterday"}).status_code == 200


def test_a_brand_keeps_its_history_and_comes_back() -> None:
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    values: dict[str, Any] = {
        "name": "Tea",
        "from_name": "Tea",
        "from_email": "a@tea.example",
        "postal_address": "1 Tea Lane",
    }
    brand = brand_create(by=root, code="tea", shop_url="https://tea.example/", link_hosts=["tea.example"], **values)
    brand_update(brand_id=brand.pk, by=root, from_name="Coffee", why="We sell coffee now")
    url = reverse("admin:content_brand_history", args=[brand.pk])
    shown = _client("analyst").get(url)
    entries = shown.context["entries"]
    assert [(entry.by, entry.why) for entry in entries] == [(root, "We sell coffee now"), (root, "")]
    compared = _client("analyst").get(url, {"old": entries[1].key, "new": entries[0].key}).content.decode()
    assert "<del>Tea</del><ins>Coffee</ins>" in compared
    revert = {"do": "revert", "key": entries[1].key, "note": "No coffee"}
    assert _client("analyst").post(url, revert).status_code == 403
    assert Brand.objects.get().from_name == "Coffee"
    assert _client(root).post(url, revert).status_code == 302
    assert Brand.objects.get().from_name == "Tea"


def test_a_playbooks_draft_comes_back_with_the_rights_of_the_one_who_asks() -> None:
    playbook = make_playbook()
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    before = playbook.kpi
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue", why="They asked")
    url = reverse("admin:playbooks_playbook_history", args=[playbook.pk])
    shown: Any = _client("analyst").get(url)
    assert "They asked" in shown.content.decode()
    revert = {"do": "revert", "key": f"v{version.number}", "note": "Back"}
    assert _client("analyst").post(url, revert).status_code == 403
    playbook.refresh_from_db()
    assert playbook.kpi == "revenue"
    assert _client(_root()).post(url, revert).status_code == 302
    playbook.refresh_from_db()
    assert playbook.kpi == before


# --- approval paths ---


def test_administrators_change_paths_and_their_history_is_kept() -> None:
    make_paths()
    path = ApprovalPath.objects.get(tag="offer")
    url = reverse("admin:governance_approvalpath_change", args=[path.pk])
    form = {
        "name": path.name,
        "kind": "",
        "tag": "offer",
        "active": "on",
        "steps_text": "brand_approver\nlegal_approver",
    }
    assert _client("publisher").post(url, form).status_code == 403
    assert _client("administrator").post(url, {**form, "steps_text": "the boss"}).status_code == 200
    path.refresh_from_db()
    assert path.steps == [["legal_approver"]]
    assert _client("administrator").post(url, form).status_code == 302
    path.refresh_from_db()
    assert path.steps == [["brand_approver"], ["legal_approver"]]
    history = _client("administrator").get(reverse("admin:governance_approvalpath_history", args=[path.pk]))
    assert len(history.context["entries"]) == 2


# --- the audit log as a file ---


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\ufeff=1"])
def test_nothing_in_the_file_is_a_formula(value: str) -> None:
    assert cell_defused(value) == f"'{value}"
    assert cell_defused("1-1 = 0") == "1-1 = 0"


def test_the_file_has_what_the_list_shows_and_is_in_the_log_itself() -> None:
    by = make_user("analyst")
    audit_record(action="tea.cup.filled", actor=by, data={"note": "x"})
    audit_record(action="coffee.cup.filled", actor=by)
    AuditEntry.objects.create(at=by.date_joined, actor=by, action="tea.cup.broken", object_label="=cmd|' /C calc'!A0")
    page = _client(by)
    answer: Any = page.get(reverse("admin:governance_auditentry_export"), {"action": "tea.cup"})
    lines = list(csv.reader(b"".join(answer.streaming_content).decode().splitlines()))
    assert lines[0][:3] == ["at", "actor", "action"]
    assert sorted(line[2] for line in lines[1:]) == ["tea.cup.broken", "tea.cup.filled"]
    assert [line[5] for line in lines if line[2] == "tea.cup.broken"] == ["'=cmd|' /C calc'!A0"]
    entry = AuditEntry.objects.get(action="governance.audit.exported")
    assert (entry.actor, entry.data) == (by, {"filters": {"action": ["tea.cup"]}})
    nobody = User.objects.create_user("nobody@staff.example", "a long enough password")
    assert _client(nobody).get(reverse("admin:governance_auditentry_export")).status_code == 403


def test_all_that_one_request_did_is_found() -> None:
    block = make_block()
    _client(_root()).post(_url(block), {"do": "submit"})
    asked = AuditEntry.objects.get(action="governance.review.requested")
    assert asked.request_id is not None
    page = _client("analyst").get(reverse("admin:governance_auditentry_changelist"), {"request": str(asked.request_id)})
    assert {entry.request_id for entry in page.context["cl"].result_list} == {asked.request_id}
    none = _client("analyst").get(reverse("admin:governance_auditentry_changelist"), {"request": "x"})
    assert list(none.context["cl"].result_list) == []
