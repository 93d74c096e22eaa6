"""The page «owner and sharing» of an object in the admin: whose it is, who may do what, handing over, sharing."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from unfold.decorators import action

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import shared_rights, who_may
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound

from .ownership import (
    access_share,
    access_unshare,
    may_hand_over,
    may_own,
    may_share,
    owner_change,
    owners_possible,
    sharers,
    sharers_possible,
)


class OwnedAdmin:
    """For an admin page of an object with an owner: list `owner_and_sharing` in its `actions_detail`."""

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Owner and sharing", url_path="owner", icon="person"
    )
    def owner_and_sharing(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """The page; by POST one of its deeds."""
        page = cast(Any, self)
        subject = page.get_object(request, str(object_id))
        if not page.has_view_permission(request, subject):
            raise PermissionDenied
        if subject is None:
            raise Http404
        user = cast(User, request.user)
        problem, status = "", 200
        if request.method == "POST":
            try:
                messages.success(request, _deed(request, subject, user))
            except NotAllowed as error:
                raise PermissionDenied(error.message) from error
            except DomainError as error:
                problem, status = error.message, _STATUS.get(type(error), 400)
            else:
                return HttpResponseRedirect(request.path)
            subject = page.get_object(request, str(object_id))
        hands_over, shares = may_hand_over(user, subject), may_share(user, subject)
        owner: User = subject.owner
        rights = shared_rights(type(subject))
        context = {
            **page.admin_site.each_context(request),
            "title": f"{subject}: owner and sharing",
            "opts": page.opts,
            "back": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", args=[subject.pk]),
            "subject": subject,
            "owner": owner,
            "stranded": not owner.is_active or not may_own(owner, subject),
            "is_own": owner.pk == user.pk,
            "people": owners_possible(subject) if hands_over else [],
            "may_hand_over": hands_over,
            "shareable": bool(rights),
            "may_share": shares,
            "shared": [(one, one.is_active and one.has_perms(rights)) for one in sharers(subject)],
            "share_people": sharers_possible(subject) if shares else [],
            "who_changes": _people("change", subject),
            "who_publishes": _people("publish", subject) if page.model._meta.model_name in _PUBLISHED else "",
            "problem": problem,
        }
        return render(request, "governance/owner.html", context, status=status)


_PUBLISHED = ("block", "template", "playbook")
_STATUS: dict[type[DomainError], int] = {Invalid: 400, NotFound: 404, Conflict: 409}


def _people(action_name: str, subject: models.Model) -> str:
    return who_may(action_name, subject).removeprefix("Who can: ").removesuffix(".")


def _deed(request: HttpRequest, subject: Any, by: User) -> str:
    deed, wanted = request.POST.get("do", ""), request.POST.get("user", "")
    if not wanted:
        raise Invalid("user_missing", "Choose somebody first")
    user = User.objects.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 10 else None
    if user is None:
        raise NotFound("user_unknown", "There is no such person")
    if deed == "hand_over":
        seen = request.POST.get("owner_seen", "")
        owner_change(
            subject=subject,
            to=user,
            by=by,
            why=request.POST.get("why", "").strip()[:300],
            owner_seen=int(seen) if seen.isdecimal() and len(seen) < 10 else None,
        )
        return f"{subject} is {user}'s now."
    if deed == "share":
        access_share(subject=subject, user=user, by=by)
        return f"{subject} is shared with {user}."
    if deed == "unshare":
        access_unshare(subject=subject, user=user, by=by)
        return f"{subject} is no longer shared with {user}."
    raise NotFound("deed_unknown", "There is no such step")
