"""Accounts: nobody raises their own rights, through no door."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import role_codes, user_create, user_roles_set
from apps.foundation.core.errors import NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _page(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def _form(user: User, **changes: Any) -> dict[str, Any]:
    return {
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": "on",
        "roles": sorted(role_codes(user)),
        **changes,
    }


def test_an_administrator_gives_roles_to_others_and_it_is_audited() -> None:
    boss, editor = make_user("administrator"), make_user()
    assert user_roles_set(user_id=editor.pk, roles=["publisher"], by=boss)
    assert role_codes(editor) == {"publisher"}
    assert not user_roles_set(user_id=editor.pk, roles=["publisher"], by=boss)
    entry = AuditEntry.objects.get(action="accounts.user.roles")
    assert (entry.actor, entry.data) == (boss, {"before": ["local_editor"], "after": ["publisher"]})


def test_nobody_changes_their_own_roles() -> None:
    for user in (make_user("administrator"), User.objects.create_superuser("root@staff.example", "long enough pass")):
        before = role_codes(user)
        with pytest.raises(NotAllowed):
            user_roles_set(user_id=user.pk, roles=["publisher"], by=user)
        assert role_codes(user) == before


@pytest.mark.parametrize("role", ["local_editor", "engineer", "brand_approver", "publisher", "analyst"])
def test_only_administrators_give_roles(role: str) -> None:
    other = make_user()
    with pytest.raises(NotAllowed):
        user_roles_set(user_id=other.pk, roles=["administrator"], by=make_user(role))
    assert role_codes(other) == {"local_editor"}


def test_unknown_users_and_roles_are_not_found() -> None:
    boss, other = make_user("administrator"), make_user()
    with pytest.raises(NotFound):
        user_roles_set(user_id=0, roles=[], by=boss)
    with pytest.raises(NotFound):
        user_roles_set(user_id=other.pk, roles=["king"], by=boss)
    with pytest.raises(NotFound):
        user_create(email="x@staff.example", password="a long enough password", role="king")


def test_the_admin_changes_others_but_not_oneself_and_no_superuser() -> None:
    boss, other = make_user("administrator"), make_user()
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    client = _client(boss)
    answer = client.post(_page(other), _form(other, roles=["legal_approver"], last_name="New", is_superuser="on"))
    assert answer.status_code == 302
    other.refresh_from_db()
    assert role_codes(other) == {"legal_approver"}
    assert (other.last_name, other.is_superuser) == ("New", False)

    for untouchable in (boss, root):
        before = (role_codes(untouchable), untouchable.password)
        assert client.get(_page(untouchable)).status_code == 200
        assert client.post(_page(untouchable), _form(untouchable, roles=["publisher"])).status_code == 403
        password = reverse("admin:auth_user_password_change", args=[untouchable.pk])
        new = {"password1": "another long password", "password2": "another long password"}
        assert client.post(password, new).status_code == 403
        untouchable.refresh_from_db()
        assert (role_codes(untouchable), untouchable.password) == before


def test_a_new_member_of_staff_can_sign_in_with_their_roles() -> None:
    client = _client(make_user("administrator"))
    data = {
        "email": "New.Person@Staff.example",
        "first_name": "New",
        "last_name": "Person",
        "password1": "quite a long password",
        "password2": "quite a long password",
        "usable_password": "true",
        "roles": ["analyst"],
    }
    assert client.post(reverse("admin:accounts_user_add"), data).status_code == 302
    made = User.objects.get(email="new.person@staff.example")
    assert role_codes(made) == {"analyst"}
    assert (made.is_staff, made.is_superuser) == (True, False)
    assert made.check_password("quite a long password")
    again = client.post(reverse("admin:accounts_user_add"), {**data, "email": "new.person@staff.example"})
    assert "Somebody has this address already" in again.content.decode()


@pytest.mark.parametrize("role", ["local_editor", "publisher", "analyst"])
def test_outsiders_see_no_accounts(role: str) -> None:
    client = _client(make_user(role))
    assert client.get(reverse("admin:accounts_user_changelist")).status_code == 403
    assert client.get(_page(make_user())).status_code == 403


def test_groups_are_not_edited_by_hand() -> None:
    assert Group not in admin.site._registry
