"""The page «approval and history» of an object in the admin: what it said, what is live, and what may be done now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from unfold.decorators import action

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, right_require
from apps.foundation.core.errors import DomainError, NotAllowed, NotFound

from .history import Kept, Piece, words_compared
from .models import Review, State
from .registry import Entry, History, Looks, Workflow, histories_of, uses_of, workflow_of
from .selectors import live_at, path_words, publications_live, publications_of, review_of, version_state
from .workflow import head_withdraw, path_for, submission_withdraw, version_publish, version_submit

_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Compared:
    """One field of two versions side by side."""

    name: str
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two lines of a history that are compared."""

    entry: Entry
    looks: list[Looks]


class GovernedAdmin:
    """For an admin page of an object with a history; those under the workflow are handed in and published there."""

    actions_detail: Any = ("approval_and_history",)
    history_submits = True
    """Whether the page itself hands in; False where another button does."""

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Approval and history", url_path="approval-and-history", icon="history"
    )
    def approval_and_history(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        meta = cast(Any, self).model._meta
        return HttpResponseRedirect(reverse(f"admin:{meta.app_label}_{meta.model_name}_history", args=[object_id]))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The page; by POST one of its deeds."""
        page = cast(Any, self)
        head = page.get_object(request, object_id)
        if head is None:
            raise Http404
        if not page.has_view_permission(request, head):
            raise PermissionDenied
        user = cast(User, request.user)
        problems: list[str] = []
        if request.method == "POST":
            try:
                messages.success(request, self._deed(request, head, user))
            except NotAllowed as error:
                raise PermissionDenied(error.message) from error
            except DomainError as error:
                problems = _problems(error)
            else:
                return HttpResponseRedirect(request.path)
        context = {
            **page.admin_site.each_context(request),
            **page_context(head, user, request, submits=self.history_submits),
            "title": f"{head}: approval and history",
            "opts": page.opts,
            "problems": problems,
            "note": request.POST.get("note", ""),
            "back": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", args=[head.pk]),
        }
        return render(request, "governance/history.html", context, status=409 if problems else 200)

    def _deed(self, request: HttpRequest, head: models.Model, by: User) -> str:
        note, key = request.POST.get("note", "").strip()[:4000], request.POST.get("key", "")
        if request.POST.get("do") == "revert":
            right_require(by, "change", head, what=f"change {head}")
            return _source(head, key).revert(head, key, by=by, why=note)
        flow = workflow_of(type(head))
        newest = flow.versions(head).first() if flow is not None else None
        if flow is None or newest is None:
            raise NotFound("deed_unknown", "There is nothing to do that with")
        deeds: dict[str, Callable[[], str]] = {
            "submit": lambda: _said(version_submit(version=newest, by=by, note=note)),
            "take_back": lambda: _nothing(
                submission_withdraw(version=newest, by=by), "Taken back: it is a draft again."
            ),
            "publish": lambda: _nothing(version_publish(version=newest, by=by), f"{newest} is published."),
            "withdraw": lambda: _nothing(head_withdraw(head=head, by=by, why=note), f"{head} is withdrawn."),
        }
        deed = deeds.get(request.POST.get("do", ""))
        if deed is None:
            raise NotFound("deed_unknown", "There is no such step")
        return deed()


def _said(review: Review) -> str:
    return f"{review.subject_label} waits for {path_words(review.path)}."


def _nothing(done: object, words: str) -> str:
    return words


def _problems(error: DomainError) -> list[str]:
    found = []
    for problem in error.extra.get("problems", []):
        place = problem.get("place") or problem.get("where") or ""
        text = problem.get("problem") or f"{problem.get('token', '')} {problem.get('mend', '')}".strip()
        found.append(f"{place}: {text}" if place else text)
    return found or [error.message]


def _source(head: models.Model, key: str) -> History:
    for source in histories_of(type(head)):
        if key.startswith(source.prefix):
            return source
    raise NotFound("history_unknown", "There is no such version")


def page_context(head: models.Model, user: User, request: HttpRequest, *, submits: bool) -> dict[str, Any]:
    """What the page shows to `user`."""
    entries = sorted(
        (entry for source in histories_of(type(head)) for entry in source.entries(head, limit=_LIMIT)),
        key=lambda entry: entry.at,
        reverse=True,
    )
    context: dict[str, Any] = {
        "head": head,
        "entries": entries,
        "may_revert": may(user, "change", head),
        **_compared(head, entries, request),
        **_moment(head, request),
    }
    flow = workflow_of(type(head))
    return context | (_steps(flow, head, user, submits=submits) if flow is not None else {"flow": False})


def _steps(flow: Workflow, head: models.Model, user: User, *, submits: bool) -> dict[str, Any]:
    newest = flow.versions(head).first()
    live = publications_live(flow.head, [head.pk]).get(head.pk)
    state = version_state(newest) if newest is not None else State.DRAFT
    edits, publishes = may(user, "change", head), may(user, "publish", head)
    path, trouble = "", ""
    if newest is not None and state not in (State.IN_REVIEW, State.APPROVED, State.PUBLISHED):
        try:
            path = path_words(path_for(newest)[0])
        except DomainError as error:
            trouble = error.message
    review = review_of(newest) if newest is not None else None
    return {
        "flow": True,
        "kind": flow.head._meta.verbose_name,
        "newest": newest,
        "state": state,
        "state_label": state.label,
        "live": live,
        "live_version": flow.version._default_manager.filter(pk=live.version_id).first() if live else None,
        "live_is_newest": live is not None and newest is not None and live.version_id == newest.pk,
        "publications": _named(flow, head),
        "path": path,
        "trouble": trouble,
        "review": review,
        "review_url": review_url(review),
        "may_submit": submits and edits and newest is not None and bool(path),
        "may_take_back": edits and state in (State.IN_REVIEW, State.APPROVED),
        "may_publish": publishes and state == State.APPROVED,
        "may_withdraw": publishes and live is not None,
        "uses": uses_of(head),
    }


def review_url(review: Review | None) -> str:
    """The page of a review, "" where there is none."""
    try:
        return reverse("console:review", args=[review.pk]) if review is not None else ""
    except NoReverseMatch:  # governance stands without the console
        return ""


def _named(flow: Workflow, head: models.Model) -> list[tuple[Any, Any]]:
    rows = publications_of(head)
    versions = flow.version._default_manager.in_bulk([row.version_id for row in rows])
    return [(row, versions.get(row.version_id)) for row in rows]


def _compared(head: models.Model, entries: list[Entry], request: HttpRequest) -> dict[str, Any]:
    by_key = {entry.key: entry for entry in entries}
    old, new = by_key.get(request.GET.get("old", "")), by_key.get(request.GET.get("new", ""))
    if old is None or new is None:
        return {"old_key": entries[1].key if len(entries) > 1 else "", "new_key": entries[0].key if entries else ""}
    before, after = _source(head, old.key).values(head, old.key), _source(head, new.key).values(head, new.key)
    names = list(dict.fromkeys([*after, *before]))
    changed = [
        Compared(name, words_compared(before.get(name, ""), after.get(name, "")))
        for name in names
        if before.get(name, "") != after.get(name, "")
    ]
    sides = [Side(entry, list(_source(head, entry.key).looks(head, entry.key))) for entry in (old, new)]
    return {
        "old_key": old.key,
        "new_key": new.key,
        "changed": changed,
        "same": len(names) - len(changed),
        "sides": sides,
        "comparing": True,
        "looked": any(side.looks for side in sides),
    }


def _moment(head: models.Model, request: HttpRequest) -> dict[str, Any]:
    """What was live, or what was kept, at the moment asked for; UTC."""
    asked = request.GET.get("at", "")
    try:
        moment = datetime.fromisoformat(asked).replace(tzinfo=UTC) if asked else None
    except ValueError:
        return {"at": "", "at_problem": "Write a date and a time"}
    if moment is None:
        return {"at": ""}
    flow = workflow_of(type(head))
    if flow is not None:
        row = live_at(head, moment)
        then: Any = flow.version._default_manager.filter(pk=row.version_id).first() if row is not None else None
        return {"at": asked, "moment": moment, "then": then, "then_publication": row}
    for source in histories_of(type(head)):
        if isinstance(source, Kept) and (key := source.key_at(head, moment)) is not None:
            return {"at": asked, "moment": moment, "then": "as saved then", "then_values": source.values(head, key)}
    return {"at": asked, "moment": moment, "then": None}
