"""Writes about staff."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from apps.foundation.core.errors import NotFound

from .models import User
from .roles import ROLE_BY_CODE, ROLES


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
