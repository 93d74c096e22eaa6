"""Who may do what to which single object: each door tried by each role with each relation to it.

One state of the database, made once; each test is undone behind it.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connection, transaction
from django.http import HttpRequest
from django.test import Client
from guardian.shortcuts import assign_perm

from apps.decisioning.content.models import Block
from apps.decisioning.playbooks.services import playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, shared_rights
from apps.foundation.governance.ownership import may_hand_over
from apps.foundation.governance.pages import GovernedAdmin
from apps.foundation.governance.registry import histories_of
from tests.factories import approve, make_block, make_market, make_published, make_user

from .permissions import DOORS, EVERY_ROLE, RELATIONS, Door
from .test_permissions import ALL, REGISTERED, kind_of

pytestmark = pytest.mark.django_db
TOUCHED = ("content", "playbooks", "audiences", "governance", "accounts", "guardian", "reversion", "console", "sending")
TO = {"content.brand": "administrator", "playbooks.playbook": "publisher", "audiences.audience": "publisher"}


def _is_there(kind: str, key: str) -> bool:
    """Deeds of the page «approval and history» are only where a kind has that page."""
    return "/history/:" not in key or isinstance(admin.site._registry[REGISTERED[kind]], GovernedAdmin)


TRIED = [(kind, key) for kind, doors in DOORS.items() for key, door in doors.items() if door != Door()]
CASES = [(kind, key) for kind, key in TRIED if _is_there(kind, key)]


class World:
    """One object of each kind, one person of each role, and their open sessions."""

    def __init__(self) -> None:
        self.here, self.there = make_market(), make_market()
        self.root = User.objects.create_superuser("root@staff.example", "a long enough password")
        markets = {"local_editor": [self.here], "publisher": [self.here]}
        self.users = {role: make_user(role, markets=markets.get(role, [])) for role in sorted(EVERY_ROLE)}
        playbook = make_published()
        playbook.name = "Another name"
        playbook.save()
        approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
        playbook.name = "A third name"  # so that there is something to hand in, and something to publish
        playbook.save()
        self.objects: dict[str, Any] = {
            "content.block": make_block(),
            "content.blocktype": Block.objects.latest("pk").type,
            "content.brand": playbook.brand,
            "content.template": playbook.template,
            "audiences.audience": playbook.audience,
            "playbooks.playbook": playbook,
        }
        self.helpers = {}
        self.to = {}
        for kind, subject in self.objects.items():
            role = TO.get(kind, "engineer")
            self.to[kind], self.helpers[kind] = make_user(role), make_user(role)
            type(subject).objects.filter(pk=subject.pk).update(owner=self.root)
            for right in shared_rights(type(subject)):
                assign_perm(right, self.helpers[kind], subject)
        self.clients = {role: Client() for role in self.users}
        for role, client in self.clients.items():
            client.force_login(self.users[role])
        self.boss = Client()
        self.boss.force_login(self.root)
        self._forms: dict[str, dict[str, Any]] = {}

    def related(self, kind: str, user: User, relation: str) -> Any:
        """The object of a kind, made to stand in this relation to somebody."""
        subject = self.objects[kind]
        values: dict[str, Any] = {"owner": user if relation.startswith("own") else self.root}
        if kind == "content.block":
            values["market"] = {"here": self.here, "there": self.there}.get(relation.rpartition("_")[2])
            values["tier"] = "foundation" if relation.startswith("foundation") else "campaign"
        type(subject).objects.filter(pk=subject.pk).update(**values)
        if relation == "shared":
            for right in shared_rights(type(subject)):
                assign_perm(right, user, subject)
        return type(subject).objects.get(pk=subject.pk)

    def address(self, kind: str, key: str) -> str:
        pk = self.objects[kind].pk
        values = {"<path:object_id>": pk, "<int:pk>": pk, "<str:code>": "welcome"}
        values["<int:type_id>"] = self.objects["content.blocktype"].pk
        route = key.partition(":")[0] if key.rpartition("/")[2].startswith(":") else key
        if key.rpartition("/")[2].startswith(":"):
            route = key.rpartition(":")[0]
        for name, value in values.items():
            route = route.replace(name, str(value))
        query = f"?type={values['<int:type_id>']}" if kind == "content.block" and key == "add/" else ""
        return f"/admin/{kind.replace('.', '/')}/{route}{query}"

    def posted(self, kind: str, key: str) -> dict[str, Any]:
        """What does the deed, where it is allowed."""
        subject, deed = self.objects[kind], key.rpartition(":")[2]
        if deed in ("hand_over", "share"):
            return {"do": deed, "user": self.to[kind].pk}
        if deed == "unshare":
            return {"do": deed, "user": self.helpers[kind].pk}
        if deed == "revert":
            entries = [one for source in histories_of(type(subject)) for one in source.entries(subject, limit=5)]
            return {"do": deed, "key": entries[-1].key if entries else "none", "note": "because"}
        if "/history/:" in key:
            return {"do": deed}
        if key == "<path:object_id>/change/":
            return {**self._form(kind), "name": "Changed by somebody"}
        if key == "add/":
            form = {name: value for name, value in self._form(kind).items() if name not in ("seen", "seen_at", "base")}
            return {**form, "name": "Made by somebody", "code": "made_by_somebody"}
        if key.endswith("/delete/"):
            return {"post": "yes"}
        if "start-run" in key:
            return {"occasion": "2026-01-01"}
        if key == "ready-made/<str:code>/":
            return {"brand": self.objects["content.brand"].pk, "name": "Made by somebody"}
        return {"note": "please", "preview_language": "en", "rule": "{}", "steps": "[]"}

    def _form(self, kind: str) -> dict[str, Any]:
        """What the edit page of an object posts when nothing is changed."""
        if kind not in self._forms:
            answer = self.boss.get(self.address(kind, "<path:object_id>/change/"))
            form = answer.context["adminform"].form
            found = {name: field.prepare_value(form[name].value()) for name, field in form.fields.items()}
            self._forms[kind] = {
                name: value for name, value in found.items() if value is not None and value is not False
            }
        return self._forms[kind]


@pytest.fixture(scope="module")
def made(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield World()
        transaction.set_rollback(True)


@pytest.fixture
def world(made: World) -> World:
    return made


@cache
def _tables() -> list[str]:
    return [name for name in connection.introspection.table_names() if name.startswith(TOUCHED)]


def digest() -> str:
    """One of all rows that anything tried here could touch."""
    each = " UNION ALL ".join(
        f"SELECT '{name}' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {name} t"  # noqa: S608
        for name in _tables()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(d, '|' ORDER BY d)) FROM ({each}) AS all_of_them(d)")  # noqa: S608
        return str(cursor.fetchone()[0])


def written() -> int:
    """How many rows this transaction has written to those tables: quicker than looking at all of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables"
            " WHERE relname = ANY(%s)",
            [_tables()],
        )
        return int(cursor.fetchone()[0])


def changes(deed: Callable[[], object]) -> bool:
    """Whether something does anything to those rows. It is undone then."""
    before, point = written(), transaction.savepoint()
    deed()
    if written() == before:
        return False
    after = digest()
    transaction.savepoint_rollback(point)
    return digest() != after


def comes_in(who: frozenset[str], role: str, relation: str) -> bool:
    return role in who or f"{role}@{relation}" in who


def denied(answer: Any) -> bool:
    """Whether somebody was turned away."""
    return answer.status_code in (403, 405)


def turned_away(client: Client, address: str, *, get: bool, post: dict[str, Any] | None, who: object) -> None:
    """Somebody tries to look, and to do."""
    if get:
        assert denied(client.get(address)), ("GET", who)
    if post is not None:
        assert denied(client.post(address, post)), ("POST", who)


def test_every_address_of_these_kinds_is_listed() -> None:
    found = {kind: {route.split("/", 3)[3] for route in ALL if kind_of(route) == kind} for kind in DOORS}

    listed = {kind: {re.sub(r":\w+$", "", key) if "/:" in key else key for key in DOORS[kind]} for kind in DOORS}
    for kind in DOORS:
        listed[kind] -= {"<path:object_id>/approval-and-history/"} - found[kind]  # of pages with an approval only
    assert listed == found, "list them in permissions.py"


def test_every_deed_of_the_shared_pages_is_listed() -> None:
    for name, page in (("history", "history"), ("owner", "owner")):
        text = (Path(settings.BASE_DIR) / f"templates/governance/{name}.html").read_text()
        deeds = set(re.findall(r'name="do" value="(\w+)"', text))
        listed = {key.rpartition(":")[2] for key in DOORS["content.block"] if f"/{page}/:" in key}
        assert deeds == listed


def test_there_are_no_other_ways_into_them(rf: Any) -> None:
    """Nothing is done to a selection, in the list itself or by a second button under the form."""
    for kind in DOORS:
        page: Any = admin.site._registry[REGISTERED[kind]]
        assert page.list_editable == ()
        assert list(page.actions_submit_line) == []
        assert list(page.inlines) == []
        for role in sorted(EVERY_ROLE):
            request: HttpRequest = rf.get("/admin/")
            request.user = make_user(role)
            assert list(page.get_actions(request)) == [], (kind, role)


@pytest.mark.parametrize("kind", DOORS)
def test_the_rights_are_those_of_the_doors(world: World, kind: str) -> None:
    """Each role with each relation, asked of the rights themselves."""
    asked = {"change": "<path:object_id>/change/", "publish": "<path:object_id>/history/:publish"}
    for role in sorted(EVERY_ROLE):
        for relation in RELATIONS[kind]:
            with transaction.atomic():
                subject = world.related(kind, world.users[role], relation)
                user = User.objects.get(pk=world.users[role].pk)
                for action, key in asked.items():
                    if key in DOORS[kind]:
                        expected = comes_in(DOORS[kind][key].post or frozenset(), role, relation)
                        assert may(user, action, subject) is expected, (action, role, relation)
                owns = comes_in(DOORS[kind]["<path:object_id>/owner/:hand_over"].post or frozenset(), role, relation)
                assert may_hand_over(user, subject) is owns, (role, relation)
                transaction.set_rollback(True)


@pytest.mark.parametrize(("kind", "key"), CASES)
def test_each_door_lets_nobody_change_anything_but_those_listed(world: World, kind: str, key: str) -> None:
    through_the_door(world, kind, key, everybody=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "key"), CASES)
def test_each_door_opens_to_all_those_listed(world: World, kind: str, key: str) -> None:
    through_the_door(world, kind, key, everybody=True)


def through_the_door(world: World, kind: str, key: str, *, everybody: bool) -> None:
    """All who may not are turned away; of those who may, everybody comes in, or just the first.

    Whoever is turned away with what is their own need not try what is another's, unless everybody tries all.
    """
    door, data, address = DOORS[kind][key], world.posted(kind, key), world.address(kind, key)
    proved = not (door.proves and door.post)
    opened: set[str] = set()
    refused: set[tuple[str, bool, bool]] = set()
    concerned = {who.partition("@")[0] for who in door.post or frozenset()}
    for relation in RELATIONS[kind] if key.startswith("<") else ("anothers",):
        let_in = []
        for role in sorted(EVERY_ROLE):
            client = world.clients[role]
            shut = not comes_in(door.get, role, relation)
            allowed = door.post is None or comes_in(door.post, role, relation)
            if allowed:
                let_in.append(role)
            if allowed and not shut:
                continue
            if relation not in ("own", "anothers") and role not in concerned:
                continue  # a role that this door knows in no relation: one of them shows it
            if not everybody and relation == "anothers" and (role, shut, allowed) in refused:
                continue
            with transaction.atomic():
                world.related(kind, world.users[role], relation)
                knock = partial(turned_away, client, address, get=shut, post=None if allowed else data)
                assert not changes(partial(knock, who=(role, relation))), (role, relation)
                transaction.set_rollback(True)
            if relation == "own":
                refused.add((role, shut, allowed))
        if door.post is None:
            continue
        for role in (role for role in let_in if role not in opened):  # once each; the rights are asked above
            if opened and not everybody:
                break
            opened.add(role)
            with transaction.atomic():
                world.related(kind, world.users[role], relation)
                before = "" if proved else digest()
                answer = world.clients[role].post(address, data if not proved else {})
                assert not denied(answer), (role, relation, answer.status_code)
                assert proved or digest() != before, f"what the test posts does nothing: {answer.status_code}"
                proved = True
                transaction.set_rollback(True)
    assert proved, "nobody may, so this shows nothing"
