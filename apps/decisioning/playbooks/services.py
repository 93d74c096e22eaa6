"""Playbooks from draft to published version, and their runs."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta
from itertools import chain, islice
from typing import Any, TypedDict, Unpack

from django.db import connection, transaction

from apps.data.consent.models import Purpose, Topic
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.content.models import BlockVersion, Brand, Template, TemplateVersion
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.core.postgres import copy_rows
from apps.foundation.governance.history import revision_begin, revision_keep
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import head_edited, head_withdraw, version_publish, version_submit

from .contracts import PlaybookSpec
from .enrolment import audience_enrol
from .errors import PlaybookInvalid, Problem
from .journeys import journeys_cancel
from .models import Playbook, PlaybookVersion, Run, RunBatch
from .own_time import people_by_moment, run_ends, schedule_zone, wall_of
from .schedules import instants, occasion_of
from .signals import journeys_due, run_batches_ready, run_cancelled, run_started
from .specs import (
    block_versions_pinned,
    messages_compile,
    playbook_problems,
    spec_build,
    template_versions_pinned,
    version_digest,
    version_verify,
)
from .steps import in_one_go

logger = logging.getLogger(__name__)

BATCH = 500
"""People of one batch: small enough to be decided in a second, large enough to read for all at once."""
MAKE_UP = timedelta(hours=1)
"""A missed instant of a schedule is made up within so long."""
_PLAN_LOCK = 7201  # class of the advisory locks taken by `run_plan`
_MOST_SKIPPED = 1000


class PlaybookFields(TypedDict, total=False):
    """What a playbook is made of. slots: see `rules.slots_read`; steps: see `steps.py`; purpose: its code."""

    code: str
    name: str
    description: str
    owner: User
    trigger: str
    mail_kind: str
    schedule: str
    time_zone: str
    own_zone: bool
    event_name: str
    event_where: dict[str, Any] | None
    entry_existing: bool
    again_after_days: int | None
    audience: Audience
    brand: Brand
    template: Template
    slots: dict[str, list[dict[str, Any]]]
    steps: list[dict[str, Any]]
    purpose: str | Purpose
    topic: Topic | None
    channel: str
    budget: str
    kpi: str
    guardrails: list[dict[str, Any]]
    approval_path: list[str]
    quiet_start: time | None
    quiet_end: time | None
    cap_count: int | None
    cap_days: int | None
    placement: str
    priority: int
    send_days: list[str]
    holdout_percent: int
    heeds_tickets: bool
    blocked_items: list[str]
    send_within_hours: int


def _locked(playbook_id: int) -> Playbook:
    """The playbook, locked against other changes until the caller's transaction ends. Raises NotFound."""
    playbook = Playbook.objects.select_for_update(no_key=True).filter(pk=playbook_id).first()
    if playbook is None:
        raise NotFound("playbook_unknown", "There is no such playbook")
    return playbook


def _filled(playbook: Playbook, fields: PlaybookFields) -> Playbook:
    purpose = fields.get("purpose")
    for name, value in fields.items():
        if name not in PlaybookFields.__annotations__:
            raise TypeError(f"a playbook has no field {name!r}")
        if name != "purpose":
            setattr(playbook, name, value)
    if purpose is not None:
        playbook.purpose_id = purpose.pk if isinstance(purpose, Purpose) else purpose
    return playbook


def _checked(playbook: Playbook) -> None:
    needed = ("audience", "brand") if playbook.steps else ("audience", "brand", "template")
    missing = [Problem(name, "This is needed") for name in needed if not _has(playbook, name)]
    if problems := missing or playbook_problems(playbook):
        raise PlaybookInvalid(problems)


def _has(playbook: Playbook, relation: str) -> bool:
    return getattr(playbook, f"{relation}_id") is not None


def playbook_create(*, by: User, **fields: Unpack[PlaybookFields]) -> Playbook:
    """A new playbook, a draft until it is handed in. Its owner is `by` unless told.

    Raises NotAllowed, PlaybookInvalid with everything that is wrong.
    """
    right_require(by, "add", Playbook, what="set up playbooks")
    with transaction.atomic():
        playbook = _filled(Playbook(owner=by, editors=[by.pk]), fields)
        _checked(playbook)
        playbook.save()
        revision_keep(row=playbook, by=by)
        audit_record(action="playbooks.playbook.created", actor=by, subject=playbook)
    return playbook


def playbook_update(
    *,
    playbook_id: int,
    by: User,
    seen_at: datetime | None = None,
    why: str = "",
    **fields: Unpack[PlaybookFields],
) -> list[PlaybookVersion]:
    """Edit a playbook. What is published stays published, as it was agreed to; the edit is a new draft.

    Voids the approval, open or given, of versions not yet published (promise 5), and returns those versions.
    seen_at: the playbook's `updated_at` when the editor opened it; why: for the history.
    Raises NotFound, NotAllowed, PlaybookInvalid, Conflict when somebody else edited it since `seen_at`.
    """
    with transaction.atomic():
        playbook = _locked(playbook_id)
        right_require(by, "change", playbook, what="edit this playbook")
        if seen_at is not None and playbook.updated_at != seen_at:
            raise Conflict("playbook_edited", "Somebody else edited this playbook meanwhile: look at it again first")
        before = _values(playbook)
        _filled(playbook, fields)
        _checked(playbook)
        after = _values(playbook)
        changed = sorted(name for name, value in after.items() if value != before[name])
        if not changed:
            return []
        revision_begin(playbook)
        playbook.updated_at = now()
        playbook.editors = sorted({*playbook.editors, by.pk})
        playbook.save()
        revision_keep(row=playbook, by=by, why=why)
        voided: list[PlaybookVersion] = head_edited(
            head=playbook, by=by, why=f"The playbook was edited: {', '.join(changed)}"
        )
        audit_record(
            action="playbooks.playbook.changed",
            actor=by,
            subject=playbook,
            data={"fields": changed, "voided": [version.number for version in voided]},
        )
    return voided


def _values(playbook: Playbook) -> dict[str, Any]:
    kept = ("id", "editors", "schedule_seen_at", "published", "created_at", "updated_at")
    return {
        field.name: getattr(playbook, field.attname)
        for field in Playbook._meta.concrete_fields
        if field.name not in kept
    }


def playbook_submit(*, playbook_id: int, by: User, note: str = "") -> PlaybookVersion:
    """Hand a playbook in: pin the newest versions of all it uses, compile, and ask for approval.

    An older version that waits or was approved, with other content, is void from then on.
    Nobody who edited the playbook since it was published, or wrote a piece of content that is new in it, may approve.
    Raises NotFound, NotAllowed, PlaybookInvalid, Invalid (what content refuses), Conflict when exactly this waits
    or was approved already.
    """
    with transaction.atomic():
        playbook = _locked(playbook_id)
        right_require(by, "change", playbook, what="hand in this playbook")
        _checked(playbook)
        spec, _ = spec_build(playbook)
        compiled_steps = messages_compile(spec)
        compiled = next(iter(compiled_steps.values()))
        number = (playbook.versions.order_by("-number").values_list("number", flat=True).first() or 0) + 1
        version = PlaybookVersion.objects.create(
            playbook=playbook,
            number=number,
            spec=spec,
            compiled=compiled,
            compiled_steps=compiled_steps if spec.get("steps") else {},
            mail_kind=spec.get("mail_kind", ""),
            digest="",
            created_by=by,
        )
        version.refresh_from_db()  # as JSONB keeps it: what is checked later is what was written down
        version.digest = version_digest(version)
        version.save(update_fields=["digest"])
        waiting = (PlaybookVersion.State.IN_REVIEW, PlaybookVersion.State.APPROVED)
        older = playbook.versions.filter(state__in=waiting, digest=version.digest).exclude(pk=version.pk).first()
        if older is not None:
            raise Conflict("version_waits_already", f"Exactly this was handed in already, as {older}")
        version_submit(version=version, by=by, note=note)
        audit_record(action="playbooks.version.submitted", actor=by, subject=version, data={"digest": version.digest})
    return version


def version_authors(version: PlaybookVersion) -> set[int]:
    """Whose work is new in a version since what is published: of the playbook, and of the content it uses."""
    playbook = version.playbook
    pinned, template = block_versions_pinned(version.spec), template_versions_pinned(version.spec)
    if playbook.published is not None:
        pinned -= block_versions_pinned(playbook.published.spec)
        template -= template_versions_pinned(playbook.published.spec)
    return {
        *playbook.editors,
        *BlockVersion.objects.filter(pk__in=pinned).values_list("created_by_id", flat=True),
        *TemplateVersion.objects.filter(pk__in=template).values_list("created_by_id", flat=True),
    }


def playbook_publish(*, version_id: int, by: User) -> PlaybookVersion:
    """Put an approved version in place of the one before. Its schedule counts from now on.

    Raises NotFound, NotAllowed, Conflict when it is not approved or not what was approved.
    """
    version = PlaybookVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound("version_unknown", "There is no such version")
    version_publish(version=version, by=by)
    version.refresh_from_db()
    return version


def version_published(playbook: Playbook, version: PlaybookVersion, by: User) -> None:
    """What follows when governance publishes a version of a locked playbook, in that transaction."""
    version.published_by, version.published_at = by, now()
    version.save(update_fields=["published_by", "published_at"])
    playbook.published, playbook.schedule_seen_at, playbook.editors = version, version.published_at, []
    playbook.save(update_fields=["published", "schedule_seen_at", "editors"])


def playbook_withdraw(*, playbook_id: int, by: User, why: str = "") -> int:
    """Take a playbook out of service: nothing starts any more; runs that may still send and journeys are cancelled.

    Returns how many runs were cancelled. Raises NotFound, NotAllowed, Conflict when it is not published.
    """
    playbook = Playbook.objects.filter(pk=playbook_id).first()
    if playbook is None:
        raise NotFound("playbook_unknown", "There is no such playbook")
    return int(head_withdraw(head=playbook, by=by, why=why)["runs_cancelled"])


def version_withdrawn(playbook: Playbook, version: PlaybookVersion, by: User) -> dict[str, int]:
    """What follows when governance withdraws what is live of a locked playbook, in that transaction."""
    playbook.published = None
    playbook.save(update_fields=["published"])
    journeys = journeys_cancel(playbook_id=playbook.pk, at=now(), reason="the playbook was withdrawn")
    cancelled = 0
    for run in playbook.runs.exclude(state=Run.State.CANCELLED).select_related("version"):
        if run.state != Run.State.DECIDED or run_deadline(run) > now():
            run_halt(run, by)
            cancelled += 1
    return {"runs_cancelled": cancelled, "journeys_cancelled": journeys}


# --- runs ---


def run_start(
    *,
    playbook_id: int,
    occasion_key: str,
    trigger: str,
    by: User | None = None,
    as_of: datetime | None = None,
    at: datetime | None = None,
    wall: str = "",
) -> Run:
    """Start the run of a playbook for an occasion; the same occasion gives the same run (see `Run.created`).

    by: who starts it, None for a schedule or the operator; as_of: the moment whose facts count, `at` unless told;
    at: the moment of the start, now unless given; wall: the day and time on each person's own wall (`own_time.py`).
    The audience is put down and decided by workers, or begins its journeys: see `run_plan`.
    Raises NotFound, NotAllowed, Invalid for a wrong key or moment, Conflict `playbook_not_published` or when what
    is published is not what was approved.
    """
    key = occasion_key.strip()
    if not key or len(key) > 120 or not key.isprintable():
        raise Invalid("occasion_key", "Name the occasion in 1 to 120 characters: the same name never sends twice")
    if as_of is not None and (as_of.tzinfo is None or as_of > now()):
        raise Invalid("as_of", "The moment must have a time zone and lie in the past")
    with transaction.atomic():
        playbook = _locked(playbook_id)
        if by is not None:
            right_require(by, "run", playbook, what="start runs of this playbook")
        there = playbook.runs.filter(occasion_key=key, step="").first()
        if there is not None:
            return there
        version = playbook.published
        if version is None or version.state != PlaybookVersion.State.PUBLISHED:
            raise Conflict("playbook_not_published", f"{playbook} is not published: it can't run")
        if version.mail_kind:
            raise Conflict("system_mail", f"{playbook} is system mail: it goes out by itself, to whoever asked for it")
        version_verify(version)
        started_at = at or now()
        run = Run.objects.create(
            playbook=playbook,
            version=version,
            occasion_key=key,
            trigger=trigger,
            as_of=as_of or started_at,
            started_by=by,
            created_at=started_at,
            wall=wall,
            send_until=run_ends(wall, version.spec["send_within_hours"]) if wall else None,
        )
        audit_record(action="playbooks.run.started", actor=by, subject=run, data={"version": version.number})
        run_started.send(Run, run_id=run.pk)
    run.created = True
    return run


def run_plan(*, run_id: int) -> int:
    """Put the audience of a run down as batches of profile ids. Returns how many people, 0 when it was done before.

    All in one transaction, so that after a crash nothing is there and it is done again; an advisory lock keeps two
    workers from doing it at once without making a cancellation wait.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_PLAN_LOCK, run_id % 2**31])
        run = Run.objects.select_related("version").filter(pk=run_id, state=Run.State.PLANNING).first()
        if run is None or cursor.fetchone() != (True,):
            return 0
        spec: PlaybookSpec = run.version.spec
        if not in_one_go(spec):
            return _journeys_begin(run)
        people = batches = 0
        ids = audience_ids(rule=rule_parse(spec["audience_rule"]), as_of=run.as_of, batch=BATCH)
        while chunk := list(islice(ids, 200)):  # COPY holds what it is given in memory
            people += sum(map(len, chunk))
            batches += copy_rows(
                cursor,
                RunBatch._meta.db_table,
                ["run_id", "number", "profile_ids", "as_of", "not_before"],
                _batch_rows(run_id, batches, _batches(run, spec, chunk)),
            )
        planned = Run.objects.filter(pk=run_id, state=Run.State.PLANNING).update(
            people=people,
            state=Run.State.DECIDING if batches else Run.State.DECIDED,
            decided_at=None if batches else now(),
        )
        if not planned:  # cancelled meanwhile
            transaction.set_rollback(True)
            return 0
        transaction.on_commit(lambda: _batches_tell(run_id))
    return people


def _journeys_begin(run: Run) -> int:
    """Begin a journey for everybody in the audience of a run, inside the transaction that plans it."""
    begun = audience_enrol(
        version=run.version, key=run.occasion_key, trigger=run.trigger, as_of=run.as_of, at=run.created_at
    )
    planned = Run.objects.filter(pk=run.pk, state=Run.State.PLANNING).update(
        people=begun, state=Run.State.DECIDED, decided_at=now()
    )
    if not planned:  # cancelled meanwhile
        transaction.set_rollback(True)
        return 0
    transaction.on_commit(lambda: journeys_due.send(Run))
    transaction.on_commit(lambda: live_publish(f"run-{run.pk}"))
    return begun


def _batches(run: Run, spec: PlaybookSpec, chunk: list[list[int]]) -> Iterator[tuple[list[int], datetime | None]]:
    """The people of each batch; the moment before which none of them is decided about, and whose facts count."""
    if not run.wall:
        yield from ((ids, None) for ids in chunk)
        return
    people = list(chain.from_iterable(chunk))
    for moment, due in people_by_moment(people, wall=run.wall, zone=spec["time_zone"]).items():
        yield from ((due[first : first + BATCH], moment) for first in range(0, len(due), BATCH))


def _batch_rows(
    run_id: int, first: int, batches: Iterable[tuple[list[int], datetime | None]]
) -> Iterator[tuple[int, int, str, datetime | None, datetime | None]]:
    for number, (ids, moment) in enumerate(batches, first):
        yield run_id, number, "{" + ",".join(map(str, ids)) + "}", moment, moment


def _batches_tell(run_id: int) -> None:
    live_publish(f"run-{run_id}")
    run_batches_ready.send(Run, run_id=run_id)


def run_finish(*, run_id: int) -> bool:
    """Mark a run decided once no batch of it is open. Returns whether this call did.

    Call it behind the commit of what decided a batch: whoever commits last finds none open.
    """
    # Asked without the lock first: a worker that waits for it behind each of another's batches decides one at a time.
    if RunBatch.objects.filter(run_id=run_id, decided_at=None).exists():
        return False
    with transaction.atomic():
        # Locked first, and only then looked at: who adds batches to a run holds this lock too.
        run = Run.objects.select_for_update(no_key=True).filter(pk=run_id, state=Run.State.DECIDING).first()
        if run is None or run.batches.filter(decided_at=None).exists():
            return False
        Run.objects.filter(pk=run_id).update(state=Run.State.DECIDED, decided_at=now())
    return True


def run_deadline(run: Run) -> datetime:
    """The moment after which nothing of a run goes out. Its version is read too."""
    if run.send_until is not None:
        return run.send_until
    return run.created_at + timedelta(hours=run.version.spec["send_within_hours"])


def run_cancel(*, run_id: int, by: User) -> Run:
    """Stop a run: nothing more of it is decided or handed over. Raises NotFound, NotAllowed.

    The run of an occasion that people follow through steps takes their journeys and the runs of its steps with it.
    """
    with transaction.atomic():
        run = Run.objects.select_related("version").filter(pk=run_id).first()
        if run is None:
            raise NotFound("run_unknown", "There is no such run")
        right_require(by, "stop", run.playbook, what="stop this run")
        if run.state != Run.State.CANCELLED:
            run_halt(run, by)
        if not run.step and not in_one_go(run.version.spec):
            journeys_cancel(
                playbook_id=run.playbook_id, occasion_key=run.occasion_key, at=now(), reason="its run was cancelled"
            )
            for other in Run.objects.filter(playbook=run.playbook_id, occasion_key=run.occasion_key).exclude(step=""):
                run_halt(other, by)
    return run


def run_halt(run: Run, by: User | None) -> None:
    """Cancel a run inside the caller's transaction; by: who wants it, None for the installation itself."""
    if not Run.objects.filter(pk=run.pk).exclude(state=Run.State.CANCELLED).update(state=Run.State.CANCELLED):
        return
    run.state = Run.State.CANCELLED
    run_cancelled.send(Run, run_id=run.pk)
    audit_record(action="playbooks.run.cancelled", actor=by, subject=run)
    transaction.on_commit(lambda: live_publish(f"run-{run.pk}"))


def runs_start_due(*, at: datetime) -> list[int]:
    """Start what schedules ask for up to `at`. Returns the ids of the runs that were started.

    The latest instant that nobody dealt with is started if it is not older than an hour; those before it were
    missed, and are skipped and audited. Safe to call at once from several places, and as often as wanted.
    """
    started: list[int] = []
    scheduled = Playbook.objects.filter(published__spec__trigger=Playbook.Trigger.SCHEDULE).order_by("pk")
    for playbook_id in scheduled.values_list("pk", flat=True):
        try:
            run = _start_due(playbook_id, at)
        except DomainError as error:  # one playbook that can't run must not stop the others
            logger.error("the schedule of playbook %s could not start it: %s", playbook_id, error.code)
            _instants_give_up(playbook_id, at, error)
            continue
        if run is not None and run.created:
            started.append(run.pk)
    return started


def _start_due(playbook_id: int, at: datetime) -> Run | None:
    with transaction.atomic():
        playbook = Playbook.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=playbook_id).first()
        if playbook is None or playbook.published is None:
            return None
        spec: PlaybookSpec = playbook.published.spec
        seen = playbook.schedule_seen_at or playbook.published.published_at or at
        due: list[datetime] = []
        for instant in instants(spec["schedule"], schedule_zone(spec), after=seen):
            if instant > at or len(due) > _MOST_SKIPPED:
                break
            due.append(instant)
        if not due:
            return None
        playbook.schedule_seen_at = due[-1]
        playbook.save(update_fields=["schedule_seen_at"])
        wanted = due.pop() if at - due[-1] <= MAKE_UP else None
        if due:
            skipped = {"count": len(due), "first": occasion_of(due[0]), "last": occasion_of(due[-1])}
            logger.warning("playbook %s missed %s instants of its schedule", playbook_id, len(due))
            audit_record(action="playbooks.schedule.skipped", actor=None, subject=playbook, data=skipped)
        if wanted is None:
            return None
        wall = wall_of(wanted) if spec.get("own_zone") else ""
        return run_start(
            playbook_id=playbook_id,
            occasion_key=wall or occasion_of(wanted),
            trigger=Playbook.Trigger.SCHEDULE,
            at=at,
            wall=wall,
        )


def _instants_give_up(playbook_id: int, at: datetime, error: DomainError) -> None:
    """Audit, once, that a schedule's instant could not start, and go on with the next."""
    with transaction.atomic():
        playbook = _locked(playbook_id)
        playbook.schedule_seen_at = at
        playbook.save(update_fields=["schedule_seen_at"])
        audit_record(action="playbooks.schedule.failed", actor=None, subject=playbook, data={"error": error.code})
