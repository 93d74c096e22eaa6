"""Writes about staff."""

from collections.abc import Collection
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm, remove_perm

from apps.foundation.core.errors import NotAllowed, NotFound

from .models import User
from .roles import ROLE_BY_CODE, ROLES
from .scopes import SCOPES, ObjectScope
from .signals import user_changed


def roles_sync(app_config: AppConfig | None = None, **kwargs: Any) -> None:
    """Bring the groups in step with `roles.py`. Runs after every `migrate`; safe to run twice."""
    with transaction.atomic():
        known = {
            f"{content_type}.{codename}": pk
            for pk, content_type, codename in Permission.objects.values_list(
                "pk", "content_type__app_label", "codename"
            )
        }
        for role in ROLES:
            group, _ = Group.objects.get_or_create(name=role.code)
            group.permissions.set([known[right] for right in role.rights if right in known])


def user_create(*, email: str, password: str, role: str, first_name: str = "", last_name: str = "") -> User:
    """A member of staff with one role. Raises NotFound for a role that does not exist."""
    if role not in ROLE_BY_CODE:
        raise NotFound("role_unknown", f"There is no role {role!r}: choose one of {', '.join(ROLE_BY_CODE)}")
    with transaction.atomic():
        user = User.objects.create_user(email, password, first_name=first_name, last_name=last_name)
        user.groups.add(Group.objects.get(name=role))
    return user


def role_codes(user: User) -> frozenset[str]:
    """The codes of a user's roles."""
    return frozenset(user.groups.values_list("name", flat=True))


def user_manage_refusal(*, user: User, by: User) -> str:
    """Why `by` may not change the account and roles of `user`, "" if they may.

    Nobody changes their own rights, and only a superuser touches a superuser: else a new password would be a way up.
    """
    if not by.has_perm("accounts.change_user"):
        return "You may not change accounts: ask an administrator"
    if user.pk == by.pk:
        return "Nobody changes their own rights: ask another administrator"
    if user.is_superuser and not by.is_superuser:
        return "Only a superuser changes the account of a superuser"
    return ""


def scope_ids(user: User, scope: ObjectScope) -> frozenset[str]:
    """The primary keys, as text, of the objects of a scope that were given to a user."""
    given = UserObjectPermission.objects.filter(
        user=user,
        permission__codename=scope.codename,
        content_type=ContentType.objects.get_for_model(scope.model),
        permission__content_type=F("content_type"),
    )
    return frozenset(given.values_list("object_pk", flat=True))


def user_scope_set(*, user_id: int, key: str, ids: Collection[str], by: User) -> bool:
    """Give a member of staff exactly these objects of a scope, such as markets. Returns whether that changed anything.

    Raises NotFound for a user, scope or object that does not exist, NotAllowed for one's own and a superuser's.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise NotFound("user_unknown", "There is no such user")
        scope = SCOPES.get(key)
        if scope is None:
            raise NotFound("scope_unknown", f"There is nothing called {key!r} to give")
        before, after = scope_ids(user, scope), frozenset(ids)
        if before == after:
            return False
        if refusal := user_manage_refusal(user=user, by=by):
            raise NotAllowed("rights_of_others_only", refusal)
        found = {str(one.pk): one for one in scope.model._default_manager.filter(pk__in=after | before)}
        if unknown := sorted(after - found.keys()):
            raise NotFound("object_unknown", f"There is no {scope.model._meta.verbose_name} {unknown[0]}")
        for pk in before & found.keys() - after:
            remove_perm(scope.right, user, found[pk])
        for pk in after - before:
            assign_perm(scope.right, user, found[pk])
        names = {"before": sorted(str(found[pk]) for pk in before & found.keys())}
        names["after"] = sorted(str(found[pk]) for pk in after)
        user_changed.send(User, user=user, by=by, action=key, data=names)
    return True


def user_roles_set(*, user_id: int, roles: Collection[str], by: User) -> bool:
    """Give a member of staff exactly these roles. Returns whether that changed anything.

    Raises NotFound for a user or role that does not exist, NotAllowed for one's own and a superuser's.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise NotFound("user_unknown", "There is no such user")
        if unknown := sorted(set(roles) - ROLE_BY_CODE.keys()):
            raise NotFound("role_unknown", f"There is no role {unknown[0]!r}: choose of {', '.join(ROLE_BY_CODE)}")
        before = role_codes(user)
        if before == set(roles):
            return False
        if refusal := user_manage_refusal(user=user, by=by):
            raise NotAllowed("rights_of_others_only", refusal)
        user.groups.set(Group.objects.filter(name__in=roles))
        user_changed.send(
            User, user=user, by=by, action="roles", data={"before": sorted(before), "after": sorted(roles)}
        )
    return True
