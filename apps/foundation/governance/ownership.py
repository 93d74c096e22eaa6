"""Whose an object is: handing it over, and sharing it. Any model with a field `owner`.

Handing over changes no version, so what others agreed to stays agreed to; it only moves who publishes and looks after
the object.
"""

from copy import copy
from typing import Any

from django.contrib.auth.models import Permission
from django.db import models, transaction
from guardian.shortcuts import assign_perm, remove_perm
from reversion import is_registered

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import is_owner, may, shared_rights
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound

from .history import revision_begin, revision_keep
from .services import audit_record

HAND_OVER = "accounts.change_owner"
"""By a role: may hand over what is others', so that nothing is left to somebody who went away."""


def may_own(user: User, subject: models.Model) -> bool:
    """Whether `user`, as the owner of `subject`, could change or publish it. Else it would be nobody's."""
    theirs = copy(subject)
    theirs.owner_id = user.pk  # type: ignore[attr-defined]  # models with an owner only
    return may(user, "change", theirs) or may(user, "publish", theirs)


def may_hand_over(user: User, subject: models.Model) -> bool:
    """Whether `user` may say whose `subject` is: its owner, while a role still lets them own it, and administrators."""
    if not user.is_active:
        return False
    return user.has_perm(HAND_OVER) or (is_owner(user, subject) and may_own(user, subject))


def may_share(user: User, subject: models.Model) -> bool:
    """Whether `user` may share `subject` with somebody: whoever may hand it over, where its kind can be shared."""
    return bool(shared_rights(type(subject))) and may_hand_over(user, subject)


def owners_possible(subject: models.Model) -> list[User]:
    """The people who could become the owner of `subject`, by name."""
    people = User.objects.filter(is_active=True).exclude(pk=_owner_id(subject)).prefetch_related("groups")
    return sorted((user for user in people if may_own(user, subject)), key=_name)


def sharers(subject: models.Model) -> list[User]:
    """The people with whom `subject` is shared, by name; also those who may do nothing with it any more."""
    given = models.Q(userobjectpermission__object_pk=str(subject.pk))
    given &= models.Q(userobjectpermission__permission__in=_permissions(subject))
    return sorted(User.objects.filter(given).distinct(), key=_name)


def sharers_possible(subject: models.Model) -> list[User]:
    """The people with whom `subject` can still be shared, by name: those whose role has the rights that are given."""
    taken = {user.pk for user in sharers(subject)} | {_owner_id(subject)}
    people = User.objects.filter(is_active=True, is_superuser=False).exclude(pk__in=taken)
    rights = shared_rights(type(subject))
    return sorted((user for user in people if rights and user.has_perms(rights)), key=_name)


def owner_change(
    *, subject: models.Model, to: User, by: User, why: str = "", owner_seen: int | None = None
) -> models.Model:
    """Hand `subject` over to `to`. Returns it as it is now.

    owner_seen: the id of the owner whom the one who asks saw; someone else's by now is a Conflict.
    Raises NotAllowed, NotFound, Conflict `owner_already`, Invalid `owner_unfit` for somebody who could do nothing with
    it: an account that is off, or without a role that owns such a thing.
    """
    with transaction.atomic():
        row: Any = _locked(subject)
        if not may_hand_over(by, row):
            raise NotAllowed("right_missing", f"You may not hand over {row}. {_who(row)}")
        if owner_seen is not None and row.owner_id != owner_seen:
            raise Conflict("changed_meanwhile", f"{row} is {row.owner}'s by now: look again")
        if row.owner_id == to.pk:
            raise Conflict("owner_already", f"{row} is {to}'s already")
        if not to.is_active:
            raise Invalid("owner_unfit", f"The account of {to} is closed: choose somebody else")
        if not may_own(to, row):
            raise Invalid("owner_unfit", f"{to} has no role to change or publish {row}: give them one first")
        kept = is_registered(type(row))
        if kept:
            revision_begin(row)
        before, row.owner = row.owner_id, to
        row.save(update_fields=["owner"])  # no edit of what it says: those who write it now lose nothing
        for right in shared_rights(type(row)):
            remove_perm(right, to, row)  # an owner needs no share, and keeps none when it moves on
        if kept:
            revision_keep(row=row, by=by, why=f"Handed over. {why}".strip())
        audit_record(
            action=_action(row, "handed_over"), actor=by, subject=row, data={"from": before, "to": to.pk, "why": why}
        )
    return row  # type: ignore[no-any-return]


def access_share(*, subject: models.Model, user: User, by: User) -> None:
    """Let `user` do with `subject` what its owner may.

    Raises NotAllowed, NotFound, Conflict `shared_already`, Invalid `share_unfit` for somebody whose role has not the
    rights that are given, and for the owner.
    """
    with transaction.atomic():
        row: Any = _locked(subject)
        _share_require(by, row)
        if row.owner_id == user.pk:
            raise Invalid("share_unfit", f"{row} is {user}'s own")
        rights = shared_rights(type(row))
        if not user.is_active or not user.has_perms(rights):
            raise Invalid("share_unfit", f"{user} has no role to use it: give them one first")
        if user.pk in {one.pk for one in sharers(row)}:
            raise Conflict("shared_already", f"{row} is shared with {user} already")
        for right in rights:
            assign_perm(right, user, row)
        audit_record(action=_action(row, "shared"), actor=by, subject=row, data={"with": user.pk})


def access_unshare(*, subject: models.Model, user: User, by: User) -> None:
    """End what `access_share` gave. Raises NotAllowed, NotFound, Conflict `shared_not`."""
    with transaction.atomic():
        row = _locked(subject)
        _share_require(by, row)
        if user.pk not in {one.pk for one in sharers(row)}:
            raise Conflict("shared_not", f"{row} is not shared with {user}")
        for right in shared_rights(type(row)):
            remove_perm(right, user, row)
        audit_record(action=_action(row, "unshared"), actor=by, subject=row, data={"with": user.pk})


def _share_require(by: User, row: models.Model) -> None:
    if not shared_rights(type(row)):
        raise NotAllowed("share_unknown", f"A {row._meta.verbose_name} is not shared with single people")
    if not may_hand_over(by, row):
        raise NotAllowed("right_missing", f"You may not share {row}. {_who(row)}")


def _who(row: models.Model) -> str:
    return f"Who can: its owner ({getattr(row, 'owner', 'nobody')}), an administrator."


def _locked(subject: models.Model) -> models.Model:
    row = type(subject)._default_manager.select_for_update(of=("self",)).filter(pk=subject.pk).first()
    if row is None:
        raise NotFound("subject_unknown", "It is gone")
    return row


def _permissions(subject: models.Model) -> "models.QuerySet[Permission]":
    codenames = [right.partition(".")[2] for right in shared_rights(type(subject))]
    return Permission.objects.filter(
        codename__in=codenames,
        content_type__app_label=subject._meta.app_label,
        content_type__model=subject._meta.model_name,
    )


def _owner_id(subject: models.Model) -> int:
    return int(subject.owner_id)  # type: ignore[attr-defined]  # models with an owner only


def _action(row: models.Model, deed: str) -> str:
    return f"{row._meta.app_label}.{row._meta.model_name}.{deed}"


def _name(user: User) -> str:
    return str(user).casefold()
