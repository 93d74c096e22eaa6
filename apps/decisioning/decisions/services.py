"""Deciding for a batch of people: read once for all, decide each by the engine, write them by COPY."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.consent.models import Purpose
from apps.data.consent.preferences import quiet_read, zones_read
from apps.data.profiles.vault import Vault, vault_complete, vault_of
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.models import PlaybookVersion, Preparation, Run, RunBatch
from apps.decisioning.playbooks.services import run_finish
from apps.decisioning.playbooks.specs import version_digest
from apps.decisioning.playbooks.steps import message_spec
from apps.foundation.core.caches import caches_tell
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from apps.foundation.core.ids import uuid7
from apps.foundation.core.live import live_publish
from apps.foundation.core.postgres import copy_rows

from .choices import choice_keep, choice_make
from .contracts import Choice
from .digests import pieces_keep, pieces_settle
from .engine import (
    DIGEST,
    DIGEST_EMPTY,
    NO_CONSENT,
    SEND,
    Asleep,
    Person,
    Plan,
    Verdict,
    awake,
    chosen_again,
    decide,
    plan_make,
)
from .keeping import MARK, QUIET, WITHHELD, answer_mark, asleep_pack, person_pack, wanted_of
from .limits import item_digest
from .models import Decision, ItemShown
from .reading import people_read
from .sealing import TABLE, Kept, choice_seal, decision_seal
from .signals import decisions_made

logger = logging.getLogger(__name__)

_COLUMNS = ["id", "run_id", "profile_id", "outcome", "compiled_id", "tier", "sealed", "decided_at"]

_NUMBER_LOCK = 7204  # class of the advisory locks under which batches get numbers

_CLAIM = """
SELECT batch.id, batch.profile_ids, batch.withheld
FROM playbooks_runbatch AS batch
WHERE batch.id = %s AND batch.decided_at IS NULL AND (batch.not_before IS NULL OR batch.not_before <= %s)
FOR UPDATE SKIP LOCKED
"""
# A cancellation changes the run's row and so waits for batches that are being decided; none begins after it.
_RUN = """
SELECT run.id, COALESCE(batch.as_of, run.as_of), run.version_id, version.digest, version.spec->>'purpose',
       version.spec->>'channel', run.step,
       COALESCE(run.send_until, run.created_at + (version.spec->>'send_within_hours')::int * interval '1 hour')
FROM playbooks_runbatch AS batch
JOIN playbooks_run AS run ON run.id = batch.run_id
JOIN playbooks_playbookversion AS version ON version.id = run.version_id
WHERE batch.id = %s AND run.state = 'deciding'
FOR SHARE OF run
"""

_DECIDED = "UPDATE playbooks_runbatch SET decided_at = %s, chosen = %s, ready = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class _Occasion:
    """The run that a batch belongs to."""

    run_id: int
    as_of: datetime
    version_id: int
    digest: str
    purpose: str
    channel: str
    step: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """What `people_decide` found: verdicts of people who still exist by ascending id, the recommendation set used, what
    they were decided with, their keys, and the stamps that were read (see `reading.Reading`). ready: of how many people
    the choice was there already (`choices.py`)."""

    verdicts: list[tuple[int, Verdict]]
    set_id: int | None
    people: Mapping[int, Person]
    vault: Vault
    stamps: Mapping[str, str] | None = None
    ready: int = 0


class _Made(NamedTuple):
    """A verdict about a person, and what was looked at, as it is kept."""

    profile_id: int
    verdict: Verdict
    seen: dict[str, Any]


@lru_cache(maxsize=64)
def version_plan(version_id: int, digest: str, step: str, *, asks_audience: bool = False) -> Plan:
    """The plan of one message of a version, made once in each process. Raises Conflict if it is not what its digest
    says."""
    version = PlaybookVersion.objects.get(pk=version_id)
    if version_digest(version) != digest:
        raise Conflict("version_tampered", f"{version} is not what was approved; nothing of it goes out")
    compiled = version.compiled_steps.get(step, version.compiled)
    plan = plan_load(message_spec(version.spec, step), compiled, asks_audience=asks_audience)
    return replace(plan, mark=f"{version_id} {digest} {step} {asks_audience} {sorted(plan.compiled.items())}")


def plan_load(spec: PlaybookSpec, compiled: Mapping[str, int], *, asks_audience: bool = False) -> Plan:
    """The plan of one message of a spec (see `steps.message_spec`) with its compiled templates by language.

    asks_audience: whether each person is asked for, as no snapshot was made. Raises Invalid for a rule that can't be
    read.
    """
    tokens = dict(CompiledTemplate.objects.filter(pk__in=compiled.values()).values_list("language", "tokens"))
    return plan_make(
        spec,
        compiled,
        {language: tokens.get(language, []) for language in compiled},
        holdout_all=settings.HOLDOUT_PERCENT,
        asks_audience=asks_audience,
    )


def batch_decide(*, batch_id: int, at: datetime | None = None) -> int | None:
    """Decide for the people of a batch and mark it decided, in one transaction. Returns how many.

    Who is in quiet hours that end in time is put into a batch of its own for then; if they end too late, the decision
    is `quiet_hours`. at: the moment, now unless given.
    None when there is nothing to do: another worker has it, it is decided, not due, or its run was cancelled. Killed
    in the middle, nothing is there and it is done again; done twice, nothing changes.
    Raises Conflict when the version is not what was approved.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        decided_at = at or now()
        cursor.execute(_CLAIM, [batch_id, decided_at])
        batch = cursor.fetchone()
        if batch is None:
            return None
        cursor.execute(_RUN, [batch_id])
        found = cursor.fetchone()
        if found is None:
            return None
        occasion = _Occasion(*found)
        _, people, withheld = batch
        set_id: int | None = None
        ready = 0
        keys = vault_of(())
        plan = version_plan(occasion.version_id, occasion.digest, occasion.step)
        if withheld:
            made = [
                _Made(profile_id, Verdict(withheld, None, "", {}, {}), {WITHHELD: withheld})
                for profile_id in _still_there(cursor, people)
            ]
        else:
            now_on, made = _quiet_sort(cursor, occasion, people, decided_at)
            decided = people_decide(
                cursor,
                plan=plan,
                purpose=occasion.purpose,
                channel=occasion.channel,
                profile_ids=now_on,
                as_of=occasion.as_of,
                at=decided_at,
                prepared=_prepared(occasion.version_id, occasion.step),
            )
            if len(decided.verdicts) < len(now_on):
                logger.warning("run %s: %s people are gone", occasion.run_id, len(now_on) - len(decided.verdicts))
            set_id, wanted, keys, ready = decided.set_id, wanted_of(plan), decided.vault, decided.ready
            made += [
                _Made(profile_id, verdict, person_pack(plan, wanted, decided.people[profile_id], verdict.choice))
                for profile_id, verdict in decided.verdicts
            ]
        vault = vault_complete(keys, [one.profile_id for one in made])
        rows = [_row(vault, occasion, one, set_id, decided_at) for one in made]
        copy_rows(cursor, Decision._meta.db_table, _COLUMNS, rows)
        _items_note(cursor, rows, made, decided_at)
        verdicts = {one.profile_id: one.verdict for one in made}
        _digests_follow(plan, rows, verdicts, deadline=occasion.deadline, at=decided_at)
        chosen = sum(one.verdict.outcome == SEND for one in made)
        cursor.execute(_DECIDED, [decided_at, chosen, ready, batch_id])
        ids = [row[0] for row in rows]
        transaction.on_commit(lambda: _decisions_tell(occasion.run_id, ids))
    run_finish(run_id=occasion.run_id)
    caches_tell()
    return len(rows)


def _items_note(cursor: CursorWrapper, rows: Sequence[tuple[Any, ...]], made: Sequence[_Made], at: datetime) -> None:
    """Put down which items are shown, where there is a limit of how often."""
    if settings.ITEM_LIMIT is None:
        return
    shown = [
        (row[0], row[2], item_digest(sku), at)
        for row, one in zip(rows, made, strict=True)
        if row[3] == SEND
        for sku in {item["sku"] for slot in one.verdict.inputs["slots"].values() for item in slot.get("items", ())}
        if sku
    ]
    copy_rows(cursor, ItemShown._meta.db_table, ["decision_id", "profile_id", "item", "shown_at"], shown)


def _digests_follow(
    plan: Plan, rows: Sequence[tuple[Any, ...]], verdicts: Mapping[int, Verdict], *, deadline: datetime, at: datetime
) -> None:
    """What was kept for digests becomes pieces; what a digest weighed is settled. In the decisions' transaction."""
    if plan.collects:
        weighed = {
            row[2]: (row[0], row[3], verdicts[row[2]].reasons.get("digest") if row[3] in (SEND, DIGEST_EMPTY) else None)
            for row in rows
        }
        pieces_settle(weighed, at=at)
    else:
        pieces_keep([(row[0], row[2]) for row in rows if row[3] == DIGEST], deadline=deadline, at=at)


def _still_there(cursor: CursorWrapper, profile_ids: Sequence[int]) -> list[int]:
    cursor.execute("SELECT id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id", [list(profile_ids)])
    return [row[0] for row in cursor.fetchall()]


def _quiet_sort(
    cursor: CursorWrapper, occasion: _Occasion, people: Sequence[int], at: datetime
) -> tuple[list[int], list[_Made]]:
    """Who can be decided about now, and the verdicts of those whose quiet hours end too late.

    Quiet hours are the playbook's, and those that the person chose. The others go into batches for when theirs end, in
    the same transaction.
    """
    plan = version_plan(occasion.version_id, occasion.digest, occasion.step)
    own = quiet_read(profile_ids=people) if Purpose.objects.get(pk=occasion.purpose).needs_consent else {}
    if plan.quiet is None and not plan.days and not own:
        return list(people), []
    zones = zones_read(profile_ids=people)
    ready: list[int] = []
    late: list[_Made] = []
    waiting: dict[datetime, list[int]] = {}
    for profile_id in people:
        asleep = Asleep(
            (plan.quiet, zones.get(profile_id, plan.zone)), own.get(profile_id, (None, plan.zone)), plan.days
        )
        end, verdict = awake(asleep, at=at, deadline=occasion.deadline)
        if verdict is not None:
            late.append(_Made(profile_id, verdict, {QUIET: asleep_pack(asleep, occasion.deadline)}))
        elif end is not None:
            waiting.setdefault(end, []).append(profile_id)
        else:
            ready.append(profile_id)
    if waiting:
        # Two workers that put people off at once must not take the same number.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_NUMBER_LOCK, occasion.run_id % 2**31])
        cursor.execute("SELECT max(number) FROM playbooks_runbatch WHERE run_id = %s", [occasion.run_id])
        highest = cursor.fetchone()[0]
        RunBatch.objects.bulk_create(
            RunBatch(
                run_id=occasion.run_id,
                number=highest + place,
                profile_ids=ids,
                as_of=occasion.as_of,
                not_before=end,
            )
            for place, (end, ids) in enumerate(sorted(waiting.items()), 1)
        )
    return ready, late


def _decisions_tell(run_id: int, ids: Sequence[UUID]) -> None:
    live_publish(f"run-{run_id}")
    if ids:
        decisions_made.send(Decision, run_id=run_id, first_id=min(ids), last_id=max(ids))


def _row(vault: Vault, occasion: _Occasion, made: _Made, set_id: int | None, decided_at: datetime) -> tuple[Any, ...]:
    decision_id, profile_id, verdict = uuid7(), made.profile_id, made.verdict
    sealed = b""
    if profile_id in vault:
        sealed = verdict_seal(
            vault,
            verdict,
            made.seen,
            decision_id=decision_id,
            profile_id=profile_id,
            version=occasion.digest,
            set_id=set_id,
            at=decided_at,
        )
    elif verdict.outcome == SEND:  # erased before they were read
        verdict = Verdict(NO_CONSENT, None, "", {}, {})
    return (
        decision_id,
        occasion.run_id,
        profile_id,
        verdict.outcome,
        verdict.compiled,
        verdict.tier,
        sealed,
        decided_at,
    )


def verdict_seal(
    vault: Vault,
    verdict: Verdict,
    seen: dict[str, Any],
    *,
    decision_id: UUID,
    profile_id: int,
    version: str,
    set_id: int | None,
    at: datetime,
    table: str = TABLE,
) -> bytes:
    """What a decision keeps, sealed: its answer, what was looked at (`keeping.person_pack`), and the mark that binds
    the two. Raises Erased."""
    mark = answer_mark(seen, verdict, version=version, at=at)
    reasons = verdict.reasons
    if set_id is not None and verdict.outcome == SEND:
        reasons = {**reasons, "set": set_id}
    kept = Kept(verdict.inputs, reasons, {**seen, MARK: mark})
    if verdict.choice is None:
        return decision_seal(vault, decision_id=decision_id, profile_id=profile_id, kept=kept, table=table)
    return choice_seal(
        vault, decision_id=decision_id, profile_id=profile_id, kept=kept, choice=verdict.choice, table=table
    )


def people_decide(
    cursor: CursorWrapper,
    *,
    plan: Plan,
    purpose: str,
    channel: str,
    profile_ids: Sequence[int],
    as_of: datetime,
    at: datetime,
    hidden: Collection[str] = (),
    prepared: bool = False,
) -> Decided:
    """Decide for people, and write nothing: runs, dry runs and whoever asks for one person alike.

    hidden: attributes that the message is made without, because whoever looks at it may not see them.
    as_of: the moment whose facts count; at: now, from which caps count back. Consent is read as it is. prepared:
    whether choices were made ahead, so that Redis is asked for them.
    """
    read = people_read(
        cursor,
        plan=plan,
        purpose=purpose,
        channel=channel,
        profile_ids=profile_ids,
        as_of=as_of,
        at=at,
        hidden=hidden,
        prepared=prepared,
    )
    verdicts: list[tuple[int, Verdict]] = []
    made: dict[bytes, Choice] = {}
    wanted = wanted_of(plan)
    ready = 0
    for profile_id, person in read.people.items():
        choice = person.choice or made.get(person.alike)
        if choice is not None:
            ready += 1
            verdict = chosen_again(plan, person, choice)
        else:
            verdict = decide(plan, person, at)
            if person.alike:
                choice = made[person.alike] = choice_make(plan, wanted, person, verdict, read.set_id)
                choice_keep(person.alike, read.stamps or {}, choice)
                verdict = replace(verdict, choice=choice)
        verdicts.append((profile_id, verdict))
    return Decided(verdicts, read.set_id, read.people, read.vault, read.stamps, ready)


def _prepared(version_id: int, step: str) -> bool:
    """Whether choices of a message of a version were made ahead that may still be in Redis."""
    since = now() - timedelta(seconds=settings.PRECOMPUTED_SECONDS)
    made = Preparation.objects.filter(version_id=version_id, step=step, choices__gt=0, ended_at__gt=since)
    return made.exists()


def run_decide(*, run_id: int, at: datetime | None = None) -> int:
    """Decide the open batches of a run, as long as there are any that nobody else has. Returns how many people.

    Several workers at once share the work. at: the moment, now unless given; batches that wait for later are left.
    """
    people = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM playbooks_runbatch WHERE run_id = %s AND decided_at IS NULL"
                " AND (not_before IS NULL OR not_before <= %s) ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED",
                [run_id, at or now()],
            )
            batch = cursor.fetchone()
        if batch is None:
            break
        done = batch_decide(batch_id=batch[0], at=at)
        if done is None and not Run.objects.filter(pk=run_id, state=Run.State.DECIDING).exists():
            break
        people += done or 0
    run_finish(run_id=run_id)
    return people
