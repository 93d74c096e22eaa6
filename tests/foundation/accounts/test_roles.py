"""Staff, and the roles that say what they may do."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLE_BY_CODE, ROLES
from apps.foundation.accounts.services import role_codes, roles_sync, user_create
from apps.foundation.core.errors import NotFound

PASSWORD = "a long enough password"


@pytest.mark.django_db
def test_a_user_signs_in_by_address_and_has_the_rights_of_one_role() -> None:
    user = user_create(email="Paula@Shop.Example", password=PASSWORD, role="publisher", first_name="Paula")

    assert user.email == "paula@shop.example"
    assert authenticate(username="paula@shop.example", password=PASSWORD) == user
    assert authenticate(username="paula@shop.example", password="another password") is None
    assert role_codes(user) == {"publisher"}
    assert user.is_staff
    assert not user.is_superuser
    assert user.has_perm("playbooks.publish_playbook")
    assert not user.has_perm("content.change_template")


@pytest.mark.django_db
def test_a_role_that_does_not_exist_makes_nobody() -> None:
    with pytest.raises(NotFound, match="choose one of local_editor"):
        user_create(email="x@shop.example", password=PASSWORD, role="emperor")

    assert not User.objects.exists()


@pytest.mark.django_db
def test_an_address_is_one_user_however_it_is_written() -> None:
    user_create(email="ada@shop.example", password=PASSWORD, role="analyst")

    with pytest.raises(IntegrityError), transaction.atomic():
        user_create(email="ADA@shop.example", password=PASSWORD, role="publisher")

    assert role_codes(User.objects.get()) == {"analyst"}


@pytest.mark.django_db
def test_roles_are_brought_back_in_step_with_their_table() -> None:
    group = Group.objects.get(name="analyst")
    group.permissions.clear()

    roles_sync()
    roles_sync()

    assert set(Group.objects.values_list("name", flat=True)) == {role.code for role in ROLES}
    rights = {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.select_related("content_type")}
    assert rights == set(ROLE_BY_CODE["analyst"].rights)


@pytest.mark.django_db
def test_every_right_of_every_role_exists() -> None:
    """A right that is misspelt would be given to nobody, and nobody would notice."""
    for role in ROLES:
        user = user_create(email=f"{role.code}@shop.example", password=PASSWORD, role=role.code)
        assert [right for right in role.rights if not user.has_perm(right)] == [], role.code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("brand_approver", set()),
        ("legal_approver", {"consent.add_wording", "consent.change_wording", "consent.add_privacypolicy"}),
        ("analyst", set()),
    ],
)
def test_approvers_and_analysts_change_nothing_but_the_words_of_the_law(code: str, changes: set[str]) -> None:
    others = {right for right in ROLE_BY_CODE[code].rights if ".view_" not in right and ".make_" not in right}

    assert others == changes  # a dry run or a test to oneself is a look
