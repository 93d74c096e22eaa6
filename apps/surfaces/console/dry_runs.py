"""Dry runs: a playbook decided for its audience by the functions that real runs use, with nothing written or sent.

The audience is drawn into batches; workers decide a batch, make its messages, count, and keep the counts in the
batch's row in one transaction. So a worker that is killed has counted nothing, and whoever comes next goes on. The
order is that of the lot: what is counted so far stands for everybody.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.consent.links import trial_links
from apps.data.consent.models import Channel, Purpose
from apps.data.consent.preferences import zones_read
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_draw, facts_load
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.trials import CLIPPED_OVER
from apps.decisioning.decisions.engine import SEND, Plan, Verdict
from apps.decisioning.decisions.services import people_decide, plan_load
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.engine import QUIET_HOURS, TOO_LATE, Known, Standing, Terms, move
from apps.decisioning.playbooks.journeys import journey_terms
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.pinning import playbook_pin
from apps.decisioning.playbooks.specs import version_digest
from apps.decisioning.playbooks.steps import in_one_go, message_spec, message_steps, step_title
from apps.delivery.sending.contracts import LetterTerms, Made
from apps.delivery.sending.rendering import message_make
from apps.delivery.sending.selectors import pace_lately
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, NotAllowed, NotFound, PermanentError
from apps.foundation.core.live import live_publish
from apps.foundation.core.postgres import copy_rows
from apps.foundation.governance.services import audit_record

from .counting import RENDER_FAILED, SAMPLES, Kind, Tally, kind_of, kinds_merge, kinds_to_json, samples_choose
from .models import DryRun, DryRunBatch, DryRunSample
from .signals import dry_run_moves

logger = logging.getLogger(__name__)

State = DryRun.State

BATCH: Final = 500
"""People of one batch, as in a run."""
QUIET: Final = timedelta(seconds=20)
"""A dry run on which nothing happened for so long is woken again."""
_SHARED_FROM = 4  # batches from which a second worker helps; more would leave too few to real runs
_MOST_LOOKS = 500  # at one person: above all steps that a playbook may have, with a wait for quiet hours at each
_PREPARE_LOCK = 7208  # class of the advisory locks under which audiences are drawn
_MOVING = (State.PREPARING, State.DECIDING)


def dry_run_start(*, playbook_id: int, by: User, version_id: int | None = None) -> DryRun:
    """Begin a dry run of a version, or of the playbook as it would be handed in now; workers do it.

    One at a time for a playbook: where one of the same content is under way, that one is returned; one of other
    content is stopped. Raises NotFound, NotAllowed, PlaybookInvalid, Invalid (what content refuses), Conflict when the
    version is not what was handed in.
    """
    if not by.has_perms(["console.make_dryrun", "playbooks.view_playbook"]):
        raise NotAllowed("not_allowed", "You may not make dry runs: ask an editor or a publisher")
    playbook = Playbook.objects.filter(pk=playbook_id).first()
    if playbook is None:
        raise NotFound("playbook_unknown", "There is no such playbook")
    dry_run = DryRun(playbook=playbook, made_by=by, as_of=now(), **content_pinned(playbook, version_id))
    with transaction.atomic():
        moving = DryRun.objects.select_for_update(no_key=True).filter(playbook=playbook, state__in=_MOVING).first()
        if moving is not None and moving.digest == dry_run.digest:
            return moving
        if moving is not None:
            DryRun.objects.filter(pk=moving.pk).update(state=State.STOPPED, moved_at=now())
        try:
            with transaction.atomic():
                dry_run.save(force_insert=True)
        except IntegrityError:  # somebody else began one at the same moment
            return DryRun.objects.get(playbook=playbook, state__in=_MOVING)
        audit_record(action="console.dryrun.started", actor=by, subject=dry_run, data={"digest": dry_run.digest})
        transaction.on_commit(lambda: dry_run_moves.send(DryRun, dry_run_id=dry_run.pk))
    return dry_run


def content_pinned(playbook: Playbook, version_id: int | None) -> dict[str, Any]:
    """What is looked at, with the fields of a DryRun: a version, or the playbook as it would be handed in now.

    Raises as `dry_run_start`.
    """
    if version_id is None:
        pinned = playbook_pin(playbook)
        return {
            "version": None,
            "spec": pinned.spec,
            "compiled": pinned.compiled,
            "compiled_steps": pinned.compiled_steps,
            "digest": pinned.digest,
        }
    version = PlaybookVersion.objects.filter(pk=version_id, playbook=playbook).first()
    if version is None:
        raise NotFound("version_unknown", "There is no such version")
    if version_digest(version) != version.digest:
        raise Conflict("version_tampered", f"{version} is not what was handed in: it can't be looked at")
    return {
        "version": version,
        "spec": version.spec,
        "compiled": version.compiled,
        "compiled_steps": version.compiled_steps,
        "digest": version.digest,
    }


def dry_run_stop(*, dry_run_id: UUID, by: User) -> None:
    """Stop a dry run; what was counted stays, and it can go on later. Raises NotAllowed."""
    _may_steer(by)
    if DryRun.objects.filter(pk=dry_run_id, state__in=_MOVING).update(state=State.STOPPED, moved_at=now()):
        _tell(dry_run_id)


def dry_run_go_on(*, dry_run_id: UUID, by: User) -> None:
    """Let a stopped dry run go on where it was. Raises NotAllowed, Conflict when it can't."""
    _may_steer(by)
    try:
        with transaction.atomic():
            dry_run = DryRun.objects.select_for_update(no_key=True).filter(pk=dry_run_id, state=State.STOPPED).first()
            if dry_run is None:
                raise Conflict("dry_run_not_stopped", "This dry run is not stopped")
            drawn = dry_run.batches.exists()
            if dry_run.counted and not drawn:
                raise Conflict("dry_run_too_old", "It was stopped too long ago to go on: make a new one")
            dry_run.state = State.DECIDING if drawn else State.PREPARING
            dry_run.moved_at = now()
            dry_run.save(update_fields=["state", "moved_at"])
            transaction.on_commit(lambda: dry_run_moves.send(DryRun, dry_run_id=dry_run_id))
    except IntegrityError:
        raise Conflict("dry_run_under_way", "Another dry run of this playbook is under way: wait for it") from None
    _tell(dry_run_id)


def _may_steer(by: User) -> None:
    if not by.has_perm("console.make_dryrun"):
        raise NotAllowed("not_allowed", "You may not steer dry runs: ask an editor or a publisher")


def dry_run_go(*, dry_run_id: UUID) -> int:
    """Do what is open of a dry run, as long as there is any that nobody else has. Returns how many people.

    Several workers at once share the work. A fault ends it as failed; a database that is away leaves it for the sweep.
    """
    people = 0
    try:
        _prepare(dry_run_id)
        while True:
            done = batch_count(dry_run_id=dry_run_id)
            if done is None:
                break
            people += done
        _finish(dry_run_id)
    except DomainError as error:
        _fail(dry_run_id, error.message)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        logger.exception("dry run %s failed", dry_run_id)
        _fail(dry_run_id, f"An error of the program ({type(error).__name__}): tell whoever looks after it")
    return people


def _fail(dry_run_id: UUID, problem: str) -> None:
    DryRun.objects.filter(pk=dry_run_id, state__in=_MOVING).update(
        state=State.FAILED, problem=problem[:300], moved_at=now(), finished_at=now()
    )
    _tell(dry_run_id)


def _tell(dry_run_id: UUID) -> None:
    live_publish(f"dry-run-{dry_run_id}")


def _prepare(dry_run_id: UUID) -> None:
    """Draw the audience into batches, in one transaction: after a crash nothing is there and it is done again."""
    with transaction.atomic(), connection.cursor() as cursor:
        # An advisory lock, so that stopping it need not wait.
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_PREPARE_LOCK, dry_run_id.int % 2**31])
        if cursor.fetchone() != (True,):
            return
        dry_run = DryRun.objects.filter(pk=dry_run_id, state=State.PREPARING).first()
        if dry_run is None:
            return
        spec: PlaybookSpec = dry_run.spec
        people, ids = audience_draw(
            rule=rule_parse(spec["audience_rule"]), as_of=dry_run.as_of, size=settings.DRY_RUN_PEOPLE
        )
        nothing: dict[str, Any] = {}
        rows = (
            (dry_run_id, number, "{" + ",".join(map(str, ids[start : start + BATCH])) + "}", nothing, "{}")
            for number, start in enumerate(range(0, len(ids), BATCH))
        )
        copy_rows(cursor, DryRunBatch._meta.db_table, ["dry_run_id", "number", "profile_ids", "kinds", "getting"], rows)
        drawn = DryRun.objects.filter(pk=dry_run_id, state=State.PREPARING).update(
            state=State.DECIDING, people=people, counted=len(ids), moved_at=now()
        )
        if not drawn:  # stopped meanwhile
            transaction.set_rollback(True)
        elif len(ids) > _SHARED_FROM * BATCH:
            transaction.on_commit(lambda: dry_run_moves.send(DryRun, dry_run_id=dry_run_id))
        transaction.on_commit(lambda: _tell(dry_run_id))


def batch_count(*, dry_run_id: UUID) -> int | None:
    """Decide and count one open batch of a dry run. Returns how many people; None when there is nothing to do."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT batch.id, batch.profile_ids FROM console_dryrunbatch AS batch"
            " JOIN console_dryrun AS dry_run ON dry_run.id = batch.dry_run_id AND dry_run.state = 'deciding'"
            " WHERE batch.dry_run_id = %s AND batch.result IS NULL"
            " ORDER BY batch.number LIMIT 1 FOR UPDATE OF batch SKIP LOCKED",
            [dry_run_id],
        )
        found = cursor.fetchone()
        if found is None:
            return None
        batch_id, profile_ids = found
        dry_run = DryRun.objects.get(pk=dry_run_id)
        tally, kinds, getting = _people_count(cursor, dry_run, profile_ids)
        DryRunBatch.objects.filter(pk=batch_id).update(
            result=tally.to_json(), kinds=kinds_to_json(kinds), getting=getting if dry_run.exact else []
        )
    DryRun.objects.filter(pk=dry_run_id).update(moved_at=now())
    _tell(dry_run_id)
    return len(profile_ids)


def _people_count(
    cursor: CursorWrapper, dry_run: DryRun, profile_ids: list[int]
) -> tuple[Tally, dict[Kind, list[int]], list[int]]:
    """Decide for people, make their messages, and count. Messages are made in memory and forgotten."""
    tally, kinds, getting = Tally(people=len(profile_ids)), dict[Kind, list[int]](), list[int]()
    messages = list(messages_of(dry_run))
    began = perf_counter()
    reached, kept_back = _people_walk(cursor, dry_run, profile_ids, tally)

    def kind_count(kind: Kind, profile_id: int) -> None:
        tally.kind_add(kind)
        ids = kinds.setdefault(kind, [])
        if len(ids) < SAMPLES:
            ids.append(profile_id)

    for step, profile_id, reason in kept_back:
        kind_count(Kind(step, reason), profile_id)
    for message in messages:
        spec, people = message.spec, reached.get(message.step, [])
        decided = people_decide(
            cursor,
            plan=message.plan,
            purpose=spec["purpose"],
            channel=spec["channel"],
            profile_ids=people,
            as_of=dry_run.as_of,
            at=now(),
        )
        going = [profile_id for profile_id, verdict in decided.verdicts if verdict.outcome == SEND]
        addresses = addresses_read(profile_ids=going, kind=ADDRESS_KIND.get(Channel(spec["channel"]), ""))
        tally.gone += len(people) - len(decided.verdicts)
        for profile_id, verdict in decided.verdicts:
            failed = ""
            if verdict.outcome == SEND:
                made, failed = message.make(verdict, addresses.get(profile_id, ""))
                if made is not None:
                    getting.append(profile_id)
                    tally.size_add(
                        message=len(made.content),
                        html=len(made.rendered.html.encode()),
                        clipped_over=CLIPPED_OVER,
                    )
            kind_count(kind_of(message.step, verdict, failed=failed), profile_id)
    tally.seconds = perf_counter() - began
    return tally, kinds, getting


def _people_walk(
    cursor: CursorWrapper, dry_run: DryRun, profile_ids: list[int], tally: Tally
) -> tuple[dict[str, list[int]], list[tuple[str, int, str]]]:
    """Who comes to which message, and who is kept back there and why, if all goes on as it is known to be now.

    The engine that follows real people takes their steps, with a clock that runs ahead to each next look. What people
    do meanwhile can't be foreseen, so nobody leaves by an event.
    """
    spec: PlaybookSpec = dry_run.spec
    if not spec.get("steps"):
        return {"": profile_ids}, []
    terms = journey_terms(spec)
    rules = terms.program.rules
    facts = facts_load(rules=rules, profile_ids=profile_ids, as_of=dry_run.as_of) if rules else {}
    zones = zones_read(profile_ids=profile_ids)
    reached: dict[str, list[int]] = {}
    kept_back: list[tuple[str, int, str]] = []
    for profile_id in profile_ids:
        known = Known(zone=zones.get(profile_id, terms.zone), facts=facts.get(profile_id))
        for step, what in walk(terms, known, at=dry_run.as_of):
            if what == "message":
                reached.setdefault(step, []).append(profile_id)
            elif what in ("then", "else", "left"):
                tally.way_add(step, what)
            elif what in (QUIET_HOURS, TOO_LATE):
                kept_back.append((step, profile_id, what))
    return reached, kept_back


def walk(terms: Terms, known: Known, *, at: datetime) -> list[tuple[str, str]]:
    """All that happens to somebody who begins at a moment, as `playbooks.engine.move` logs it: [step, what]."""
    standing, log = Standing(terms.program.first, at), list[tuple[str, str]]()
    for _ in range(_MOST_LOOKS):
        moved = move(terms, standing, known, at=at)
        log.extend(moved.log)
        if moved.due_at is None:
            break
        standing, at = Standing(moved.step, moved.reached_at), moved.due_at
    return log


class MessageOf:
    """One message of what is looked at, ready to be decided and made. Its links lead to a page that changes nothing."""

    def __init__(self, step: str, spec: PlaybookSpec, compiled: dict[str, int], *, test_id: UUID) -> None:
        self.step, self.spec = step, spec
        self.plan: Plan = plan_load(spec, compiled)
        self._id = test_id
        self._links = trial_links(test_id=test_id)
        self._terms = letter_terms(spec)

    def make(self, verdict: Verdict, address: str) -> tuple[Made | None, str]:
        """The message of somebody who gets one, or why it can't be made."""
        try:
            made = message_make(
                message_id=self._id,
                compiled_id=verdict.compiled,
                inputs=verdict.inputs,
                links=self._links,
                terms=self._terms,
                address=address or "nobody@invalid",
                dated_at=now(),
            )
        except PermanentError as error:
            return None, error.code
        except RenderError:
            return None, RENDER_FAILED
        return made, ""


def letter_terms(spec: PlaybookSpec) -> LetterTerms:
    """From whom the messages of a spec come."""
    brand = spec["brand"]
    needs_consent = Purpose.objects.values_list("needs_consent", flat=True).get(pk=spec["purpose"])
    return LetterTerms(
        from_name=brand["from_name"],
        from_email=brand["from_email"],
        reply_to=brand["reply_to"],
        list_label=spec["purpose"] if needs_consent else "",
    )


def messages_of(dry_run: DryRun) -> Iterator[MessageOf]:
    """The messages that are looked at, in their order."""
    for step, _title, spec in step_specs(dry_run.spec):
        yield MessageOf(step, spec, dry_run.compiled_steps.get(step, dry_run.compiled), test_id=dry_run.pk)


def step_specs(spec: PlaybookSpec) -> list[tuple[str, str, PlaybookSpec]]:
    """The messages of a spec: step ("" where there is but one message), title, and the spec of that message."""
    if not spec.get("steps"):
        return [("", "", spec)]
    return [(step, step_title(spec, step), message_spec(spec, step)) for step in message_steps(spec)]


def _finish(dry_run_id: UUID) -> None:
    """Sum up once no batch is open, choose the samples, and let go of all other ids."""
    with transaction.atomic():
        dry_run = DryRun.objects.select_for_update(no_key=True).filter(pk=dry_run_id, state=State.DECIDING).first()
        if dry_run is None or dry_run.batches.filter(result=None).exists():
            return
        tally = dry_run_tally(dry_run)
        tally.doubled = _addresses_shared(dry_run)
        kinds = kinds_merge(dry_run.batches.order_by("number").values_list("kinds", flat=True))
        chosen = samples_choose(kinds, tally.kinds)
        there = set(Profile.objects.filter(pk__in=[one for _, one in chosen]).values_list("pk", flat=True))
        DryRunSample.objects.bulk_create(
            DryRunSample(dry_run=dry_run, position=position, profile_id=profile_id, kind=kind.to_json())
            for position, (kind, profile_id) in enumerate([one for one in chosen if one[1] in there], 1)
        )
        dry_run.batches.all().delete()
        pace = pace_lately()
        dry_run.result, dry_run.pace = tally.to_json(), asdict(pace) if pace else None
        dry_run.state, dry_run.finished_at, dry_run.moved_at = State.DONE, now(), now()
        dry_run.save(update_fields=["result", "pace", "state", "finished_at", "moved_at"])
        transaction.on_commit(lambda: _tell(dry_run_id))


# As delivery does it when it takes decisions up: who comes first to an address gets the message.
_SHARED = """
SELECT COALESCE(sum(people - 1), 0)
FROM (SELECT count(*) AS people
      FROM console_dryrunbatch AS batch, unnest(batch.getting) AS person
      JOIN profiles_identifier AS address ON address.profile_id = person AND address.kind = %s AND address.main
      WHERE batch.dry_run_id = %s GROUP BY address.digest) AS by_address
"""


def _addresses_shared(dry_run: DryRun) -> int:
    """Of those who would get a message, how many share the address of another: a run withholds theirs.

    Only of an audience that is counted whole: in a sample, most of those who share one are not there.
    """
    if not dry_run.exact or not in_one_go(dry_run.spec):
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_SHARED, [ADDRESS_KIND.get(Channel(dry_run.spec["channel"]), ""), dry_run.pk])
        return int(cursor.fetchone()[0])


def dry_run_tally(dry_run: DryRun) -> Tally:
    """What was counted so far."""
    if dry_run.result:
        return Tally.from_json(dry_run.result)
    results = dry_run.batches.exclude(result=None).values_list("result", flat=True)
    return Tally.total(Tally.from_json(result or {}) for result in results)


def dry_runs_dropped() -> list[UUID]:
    """Dry runs that should move and on which nothing happened for a while."""
    return list(DryRun.objects.filter(state__in=_MOVING, moved_at__lt=now() - QUIET).values_list("pk", flat=True))


def dry_runs_forget() -> int:
    """Let go of the ids that old dry runs hold; what stopped ones counted becomes their result. Returns the rows."""
    old = now() - timedelta(hours=settings.DRY_RUN_KEEP_HOURS)
    gone, _ = DryRunSample.objects.filter(dry_run__finished_at__lt=old).delete()
    ended = DryRun.objects.filter(state__in=[State.STOPPED, State.FAILED], moved_at__lt=old, batches__isnull=False)
    for dry_run in ended.distinct():
        tally = dry_run_tally(dry_run)
        with transaction.atomic():
            DryRun.objects.filter(pk=dry_run.pk).update(result=tally.to_json())
            gone += dry_run.batches.all().delete()[0]
    return gone
