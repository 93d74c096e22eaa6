"""From draft to published, for every kind of object that opted in (`registry.Workflow`).

What changes the state of a version locks its head first, so that edits, publishing and withdrawing come one after
the other. The state is read from reviews and publications; a column of the version may carry a copy for lists.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound

from .history import revision_begin, revision_keep
from .models import ApprovalPath, Notice, Publication, Review, State
from .notices import notices_add
from .registry import Workflow, workflow_of
from .rules import paths_merge, steps_problem
from .selectors import version_state, version_states
from .services import audit_record, review_approved, review_request

_PENDING = (Review.State.OPEN, Review.State.APPROVED)


def _flow(row: models.Model) -> Workflow:
    flow = workflow_of(type(row))
    if flow is None:
        raise TypeError(f"{type(row).__name__} has no workflow")
    return flow


def _word(flow: Workflow) -> str:
    return str(flow.head._meta.verbose_name)


def _locked(flow: Workflow, head: models.Model) -> Any:
    return flow.head._default_manager.select_for_update(no_key=True).get(pk=head.pk)


def _fresh(flow: Workflow, version: models.Model, head: models.Model) -> Any:
    """A version as it is now, of a head that is locked: what the caller read before the lock may be old."""
    found = flow.version._default_manager.get(pk=version.pk)
    setattr(found, flow.link, head)
    return found


def _refuse(flow: Workflow, problems: Collection[str], what: str) -> None:
    if problems:
        found = [{"where": "", "line": 0, "token": "", "mend": problem} for problem in problems]
        raise Invalid(f"{flow.code}_refused", f"{what}: {'; '.join(problems)}", {"problems": found})


def path_for(version: models.Model) -> tuple[list[list[str]], list[str]]:
    """Who must agree to a version as it is now, as steps, and the tags from which that follows.

    Raises Invalid when no path fits (nothing is published without agreement) or paths contradict each other.
    """
    flow = _flow(version)
    tags = sorted(set(flow.tags(version)))
    kind = ContentType.objects.get_for_model(flow.head)
    fitting = ApprovalPath.objects.filter(
        models.Q(kind=None) | models.Q(kind=kind), models.Q(tag="") | models.Q(tag__in=tags), active=True
    )
    paths: list[tuple[str, Any]] = [(path.name, path.steps) for path in fitting]
    own = flow.steps(version)
    if own:
        paths.append((str(flow.head_of(version)), own))
    steps = paths_merge(paths)
    if not steps:
        raise Invalid(
            "approval_path_missing",
            f"No approval path fits this {flow.head._meta.verbose_name}: ask an administrator to set one up",
        )
    return steps, tags


def path_save(
    *,
    path_id: int | None,
    by: User,
    name: str,
    kind: ContentType | None,
    tag: str,
    steps: Any,
    active: bool,
    why: str = "",
) -> ApprovalPath:
    """Set an approval path up, or change one. Reviews that are open keep what they were asked with.

    Raises NotAllowed, Invalid for steps that ask nobody, somebody twice or an unknown role, NotFound, Conflict for a
    name in use.
    """
    right_require(by, "change" if path_id else "add", ApprovalPath, what="change approval paths")
    if problem := steps_problem(steps, tuple(ROLE_BY_CODE)):
        raise Invalid("approval_path_invalid", problem)
    with transaction.atomic():
        path = ApprovalPath.objects.select_for_update().filter(pk=path_id).first() if path_id else ApprovalPath()
        if path is None:
            raise NotFound("approval_path_unknown", "There is no such approval path")
        if path_id:
            revision_begin(path)
        path.name, path.kind, path.tag, path.steps = name.strip(), kind, tag.strip(), steps
        path.active, path.updated_at = active, now()
        if ApprovalPath.objects.filter(name=path.name).exclude(pk=path.pk).exists():
            raise Conflict("name_taken", f"There is an approval path “{path.name}” already")
        path.save()
        revision_keep(row=path, by=by, why=why)
        audit_record(
            action=f"governance.path.{'changed' if path_id else 'created'}",
            actor=by,
            subject=path,
            data={"kind": str(kind or ""), "tag": path.tag, "steps": steps, "active": active},
        )
    return path


def version_submit(*, version: models.Model, by: User, note: str = "") -> Review:
    """Ask others to agree to a version. Other versions of its head that wait or were approved become void.

    Raises NotAllowed, Invalid for what keeps it from being published, Conflict when exactly this waits, was
    approved or is live, or when it is not what it was made as.
    """
    flow = _flow(version)
    right_require(by, "change", flow.head_of(version), what=f"hand in this {_word(flow)}")
    with transaction.atomic():
        head = _locked(flow, flow.head_of(version))
        version = _fresh(flow, version, head)
        state = version_state(version)
        if state in (State.IN_REVIEW, State.APPROVED, State.PUBLISHED):
            raise Conflict("version_waits_already", f"{version} is {state.label} already")
        digest = flow.digest(version)
        if digest != getattr(version, "digest", digest):
            raise _tampered(version)
        _refuse(flow, flow.problems(version), f"{version} can't be handed in")
        path, tags = path_for(version)
        head_edited(head=head, by=by, why=f"{version} was handed in instead")
        review = review_request(
            subject=version, digest=digest, path=path, by=by, note=note, authors=flow.authors(version), tags=tags
        )
        _mirror(flow, version, State.IN_REVIEW)
    return review


def head_edited(*, head: models.Model, by: User | None, why: str) -> list[Any]:
    """Void the approvals, open or given, of versions not yet published: what they agreed to is no longer what is
    there (promise 5). Tells those who asked, agreed or wrote. Returns the versions. The caller holds the head's lock.
    """
    flow = _flow(head)
    reviews = list(
        Review.objects.select_for_update()
        .filter(
            content_type=ContentType.objects.get_for_model(flow.version),
            object_id__in=flow.versions(head).order_by().values("pk"),
            state__in=_PENDING,
        )
        .order_by("pk")
    )
    candidates = flow.version._default_manager.in_bulk([review.object_id for review in reviews])
    states = version_states(flow, candidates.values())
    waiting = [review for review in reviews if states[review.object_id] in (State.IN_REVIEW, State.APPROVED)]
    for review in waiting:
        review_end(review=review, by=by, why=why)
        _mirror(flow, candidates[review.object_id], State.VOID)
    return [candidates[review.object_id] for review in waiting]


def submission_withdraw(*, version: models.Model, by: User) -> list[Any]:
    """Take a request for approval back. Returns the versions that are drafts again.

    Raises NotAllowed, Conflict when nothing waits.
    """
    flow = _flow(version)
    right_require(by, "change", flow.head_of(version), what=f"take back this {_word(flow)}")
    with transaction.atomic():
        head = _locked(flow, flow.head_of(version))
        taken = head_edited(head=head, by=by, why="It was taken back")
        if not taken:
            raise Conflict(f"{flow.code}_not_waiting", f"Nothing of {head} waits for approval")
    return taken


def review_end(*, review: Review, by: User | None, why: str) -> None:
    """Make a locked review void, and say so to all whom it concerns."""
    answered = list(review.approvals.values_list("by_id", flat=True))
    review.state, review.closed_at, review.closed_why = Review.State.VOID, now(), why[:200]
    review.save(update_fields=["state", "closed_at", "closed_why"])
    audit_record(action="governance.review.voided", actor=by, subject=review, data={"why": why})
    notices_add(
        users={review.requested_by_id, *review.authors, *answered},
        kind=Notice.Kind.VOID,
        review=review,
        title=f"{review.subject_label}: the approval is void",
        body=f"{why}." if by is None else f"{why}, by {by}.",
        but=by,
    )


def version_publish(*, version: models.Model, by: User) -> Publication:
    """Put an approved version in place of the one before.

    Raises NotAllowed, Invalid for what keeps it from being published, Conflict when it is not approved, or not what
    was approved: the digest is computed again from what is stored, and its tags must be those it was asked with.
    """
    flow = _flow(version)
    with transaction.atomic():
        head = _locked(flow, flow.head_of(version))
        right_require(by, "publish", head, what=f"publish this {_word(flow)}")
        version = _fresh(flow, version, head)
        state = version_state(version)
        if state != State.APPROVED:
            raise Conflict(f"{flow.code}_not_approved", f"{version} is {state.label}, not approved")
        digest = flow.digest(version)
        if digest != getattr(version, "digest", digest):
            raise _tampered(version)
        if not review_approved(subject=version, digest=digest):
            raise Conflict(f"{flow.code}_not_approved", f"{version} was not agreed to as it is: ask for approval anew")
        review = _review(flow, version)
        if sorted(set(flow.tags(version))) != review.tags:
            raise Conflict(
                "tags_changed", f"The tags of {version} changed since it was agreed to: ask for approval anew"
            )
        _refuse(flow, flow.problems(version), f"{version} can't be published")
        ended = _live_end(flow, head, by, f"{version} took its place")
        publication = Publication.objects.create(
            content_type=ContentType.objects.get_for_model(flow.head),
            head_id=head.pk,
            version_id=version.pk,
            digest=digest,
            live_from=ended.live_until if ended is not None and ended.live_until is not None else now(),
            published_by=by,
        )
        _mirror(flow, version, State.PUBLISHED)
        flow.published(head, version, by)
        audit_record(
            action=f"{flow.version._meta.app_label}.version.published",
            actor=by,
            subject=version,
            data={"digest": digest},
        )
        notices_add(
            users={review.requested_by_id, *review.authors},
            kind=Notice.Kind.PUBLISHED,
            review=review,
            title=f"{version} is published",
            body=f"By {by}.",
            but=by,
        )
    return publication


def head_withdraw(*, head: models.Model, by: User, why: str = "") -> Mapping[str, Any]:
    """Take what is live of an object out of service: its approval is void too. Returns what followed.

    Raises NotAllowed, Conflict when nothing of it is live.
    """
    flow = _flow(head)
    with transaction.atomic():
        head = _locked(flow, head)
        right_require(by, "publish", head, what=f"withdraw this {_word(flow)}")
        ended = _live_end(flow, head, by, why or "withdrawn")
        if ended is None:
            raise Conflict(f"{flow.code}_not_published", f"{head} is not published")
        version = flow.version._default_manager.get(pk=ended.version_id)
        for review in Review.objects.select_for_update().filter(
            content_type=ContentType.objects.get_for_model(flow.version), object_id=version.pk, state__in=_PENDING
        ):
            review_end(review=review, by=by, why=f"It was withdrawn: {why}" if why else "It was withdrawn")
        followed = flow.withdrawn(head, version, by) or {}
        audit_record(
            action=f"{flow.version._meta.app_label}.version.withdrawn",
            actor=by,
            subject=version,
            data={**followed, "why": why},
        )
    return followed


def publication_verify(publication: Publication) -> None:
    """See that what is live is, to the letter, what was published. Raises Conflict if not."""
    head = publication.head
    if head is None:
        raise NotFound("head_unknown", "What was published is gone")
    flow = _flow(head)
    version = flow.version._default_manager.filter(pk=publication.version_id).first()
    if version is None:
        raise NotFound("version_unknown", f"The published version of {head} is gone")
    if flow.digest(version) != publication.digest:
        raise _tampered(version)


def _tampered(version: models.Model) -> Conflict:
    return Conflict(
        "version_tampered",
        f"{version} is not what was handed in: its content was changed behind the review. Ask for approval anew",
    )


def _review(flow: Workflow, version: models.Model) -> Review:
    return Review.objects.filter(
        content_type=ContentType.objects.get_for_model(flow.version), object_id=version.pk
    ).latest("pk")


def _live_end(flow: Workflow, head: models.Model, by: User, why: str) -> Publication | None:
    live = (
        Publication.objects.select_for_update()
        .filter(content_type=ContentType.objects.get_for_model(flow.head), head_id=head.pk, live_until=None)
        .first()
    )
    if live is None:
        return None
    live.live_until, live.ended_by, live.why_ended = max(now(), live.live_from), by, why[:400]
    live.save(update_fields=["live_until", "ended_by", "why_ended"])
    old = flow.version._default_manager.filter(pk=live.version_id).first()
    if old is not None:
        _mirror(flow, old, State.RETIRED)
    return live


def review_mirrored(review: Review) -> None:
    """Carry the state of an answered review over to its version's column, where it has one."""
    model = review.content_type.model_class()
    flow = workflow_of(model) if model is not None else None
    if flow is not None and flow.state_field:
        subject = flow.version._default_manager.filter(pk=review.object_id).first()
        if subject is not None:
            _mirror(flow, subject, {"approved": State.APPROVED, "refused": State.REFUSED}[review.state])


def _mirror(flow: Workflow, version: models.Model, state: State) -> None:
    if flow.state_field:
        flow.version._default_manager.filter(pk=version.pk).update(**{flow.state_field: state.value})
        setattr(version, flow.state_field, state.value)
