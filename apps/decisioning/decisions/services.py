"""Deciding for a batch of people: read once for all, decide each by the engine, write them by COPY."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.consent.contracts import GateAnswer
from apps.data.consent.models import Purpose
from apps.data.consent.preferences import languages_chosen, quiet_read, zones_read
from apps.data.consent.selectors import TRACKING, gate_read, granted_read, withdrawn_read
from apps.data.features.selectors import features_read
from apps.data.profiles.attributes import values_read
from apps.data.profiles.vault import Vault, keys_make, vault_open
from apps.decisioning.audiences.contracts import PROFILE_COLUMNS
from apps.decisioning.audiences.selectors import facts_load
from apps.decisioning.content.choosing import COLLECTED, PERSONALISATION
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.engine import QUIET_HOURS
from apps.decisioning.playbooks.models import PlaybookVersion, Run, RunBatch
from apps.decisioning.playbooks.services import run_finish
from apps.decisioning.playbooks.specs import version_digest
from apps.decisioning.playbooks.steps import message_spec
from apps.decisioning.recommendations.contracts import ItemCard, PersonTaste
from apps.decisioning.recommendations.selectors import latest_set, recommendations_for
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from apps.foundation.core.ids import uuid7
from apps.foundation.core.live import live_publish
from apps.foundation.core.postgres import copy_rows
from apps.foundation.core.wall_clock import quiet_both_until

from .digests import digest_terms, pieces_keep, pieces_settle
from .engine import (
    DIGEST,
    DIGEST_EMPTY,
    NO_CONSENT,
    SEND,
    Person,
    Plan,
    Verdict,
    decide,
    plan_make,
    withheld_because,
)
from .models import Decision
from .registry import message_counters
from .sealing import Kept, decision_seal
from .signals import decisions_made
from .weighing import Weighed, pieces_weigh

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
    """What `people_decide` found: verdicts of people who still exist by ascending id, the recommendation set used."""

    verdicts: list[tuple[int, Verdict]]
    set_id: int | None


@lru_cache(maxsize=64)
def _plan(version_id: int, digest: str, step: str) -> Plan:
    """The plan of one message of a version, made once in each process. Raises Conflict if it is not what its digest
    says."""
    version = PlaybookVersion.objects.get(pk=version_id)
    if version_digest(version) != digest:
        raise Conflict("version_tampered", f"{version} is not what was approved; nothing of it goes out")
    return plan_load(message_spec(version.spec, step), version.compiled_steps.get(step, version.compiled))


def plan_load(spec: PlaybookSpec, compiled: Mapping[str, int]) -> Plan:
    """The plan of one message of a spec (see `steps.message_spec`) with its compiled templates by language.

    Raises Invalid for a rule that can't be read.
    """
    tokens = dict(CompiledTemplate.objects.filter(pk__in=compiled.values()).values_list("language", "tokens"))
    return plan_make(spec, compiled, {language: tokens.get(language, []) for language in compiled})


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
        verdicts: list[tuple[int, Verdict]] = []
        set_id: int | None = None
        plan = _plan(occasion.version_id, occasion.digest, occasion.step)
        if withheld:
            verdicts = [
                (profile_id, Verdict(withheld, None, "", {}, {})) for profile_id in _still_there(cursor, people)
            ]
        else:
            now_on, verdicts = _quiet_sort(cursor, occasion, people, decided_at)
            decided = people_decide(
                cursor,
                plan=plan,
                purpose=occasion.purpose,
                channel=occasion.channel,
                profile_ids=now_on,
                as_of=occasion.as_of,
                at=decided_at,
            )
            if len(decided.verdicts) < len(now_on):
                logger.warning("run %s: %s people are gone", occasion.run_id, len(now_on) - len(decided.verdicts))
            set_id = decided.set_id
            verdicts += decided.verdicts
        ids = [profile_id for profile_id, _ in verdicts]
        keys_make(ids)
        vault = vault_open(ids)
        rows = [
            _row(vault, occasion.run_id, profile_id, verdict, set_id, decided_at) for profile_id, verdict in verdicts
        ]
        copy_rows(cursor, Decision._meta.db_table, _COLUMNS, rows)
        _digests_follow(plan, rows, dict(verdicts), deadline=occasion.deadline, at=decided_at)
        cursor.execute("UPDATE playbooks_runbatch SET decided_at = %s WHERE id = %s", [decided_at, batch_id])
        first_id = min((row[0] for row in rows), default=None)
        transaction.on_commit(lambda: _decisions_tell(occasion.run_id, first_id))
    run_finish(run_id=occasion.run_id)
    return len(rows)


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
) -> tuple[list[int], list[tuple[int, Verdict]]]:
    """Who can be decided about now, and the verdicts of those whose quiet hours end too late.

    Quiet hours are the playbook's, and those that the person chose. The others go into batches for when theirs end, in
    the same transaction.
    """
    plan = _plan(occasion.version_id, occasion.digest, occasion.step)
    own = quiet_read(profile_ids=people) if Purpose.objects.get(pk=occasion.purpose).needs_consent else {}
    if plan.quiet is None and not own:
        return list(people), []
    zones = zones_read(profile_ids=people)
    awake: list[int] = []
    late: list[tuple[int, Verdict]] = []
    waiting: dict[datetime, list[int]] = {}
    for profile_id in people:
        of_playbook = plan.quiet, zones.get(profile_id, plan.zone)
        end = quiet_both_until(of_playbook, own.get(profile_id, (None, plan.zone)), at=at)
        if end is None:
            awake.append(profile_id)
        elif end <= occasion.deadline:
            waiting.setdefault(end, []).append(profile_id)
        else:
            reasons = {"quiet": {"until": end.isoformat(), "deadline": occasion.deadline.isoformat()}}
            late.append((profile_id, Verdict(QUIET_HOURS, None, "", {}, reasons)))
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
    return awake, late


def _decisions_tell(run_id: int, first_id: Any) -> None:
    live_publish(f"run-{run_id}")
    if first_id is not None:
        decisions_made.send(Decision, run_id=run_id, first_id=first_id)


def _row(
    vault: Vault, run_id: int, profile_id: int, verdict: Verdict, set_id: int | None, decided_at: datetime
) -> tuple[Any, ...]:
    decision_id = uuid7()
    sealed = b""
    if profile_id in vault:
        reasons = verdict.reasons
        if verdict.outcome == SEND and set_id is not None:
            reasons = {**reasons, "set": set_id}
        kept = Kept(verdict.inputs, reasons)
        sealed = decision_seal(vault, decision_id=decision_id, profile_id=profile_id, kept=kept)
    elif verdict.outcome == SEND:  # erased while it was decided about them
        verdict = Verdict(NO_CONSENT, None, "", {}, {})
    return (
        decision_id,
        run_id,
        profile_id,
        verdict.outcome,
        verdict.compiled,
        verdict.tier,
        sealed,
        decided_at,
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
) -> Decided:
    """Decide for people, and write nothing: runs and dry runs alike.

    hidden: attributes that the message is made without, because whoever looks at it may not see them.
    as_of: the moment whose facts count; at: now, from which caps count back. Consent is read as it is.
    The hot path: a constant number of reads whatever the number of people, dicts and tuples in between.
    """
    values = _profiles_read(profile_ids, plan, hidden)
    ids = sorted(values)
    gate = gate_read(
        profile_ids=ids,
        purpose=purpose,
        channel=channel,
        needs_consent=Purpose.objects.values_list("needs_consent", flat=True).get(pk=purpose),
        topic=plan.topic,
        at=at,
    )
    reasons = {profile_id: answer.reason if not answer.allowed else "" for profile_id, answer in gate.items()}
    may = [profile_id for profile_id in ids if reasons.get(profile_id) == ""]
    messages: dict[int, int] = {}
    if plan.cap is not None and may:
        since = at - timedelta(days=plan.cap["days"])
        for counter in message_counters:
            for profile_id, count in counter(profile_ids=may, purpose=purpose, since=since).items():
                messages[profile_id] = messages.get(profile_id, 0) + count
    people = {
        profile_id: Person(gate=reasons.get(profile_id), messages=messages.get(profile_id, 0)) for profile_id in ids
    }
    rest = [profile_id for profile_id in may if not withheld_because(plan, people[profile_id])[0]]
    facts = facts_load(rules=plan.rules, profile_ids=rest, as_of=as_of) if plan.rules and rest else {}
    frequencies = _collected_for(plan, purpose, channel, gate)
    weighed = pieces_weigh(cursor, profile_ids=rest, at=at, most=plan.most_items) if plan.collects and rest else {}
    impersonal: set[int] = set()
    if plan.personal and rest:
        impersonal = withdrawn_read(profile_ids=rest, purpose=PERSONALISATION, channel=channel)
    tracked = granted_read(profile_ids=rest, purpose=TRACKING, channel=channel, at=at) if rest else frozenset()
    cards, set_id = _cards_read(plan, rest, values, as_of, impersonal)
    for profile_id in rest:
        people[profile_id] = Person(
            gate="",
            messages=messages.get(profile_id, 0),
            language=values[profile_id]["language"],
            values=values[profile_id],
            facts=facts.get(profile_id),
            cards={**cards.get(profile_id, {}), **_cards_of(weighed.get(profile_id))},
            impersonal=profile_id in impersonal,
            tracked=profile_id in tracked,
            frequency=frequencies.get(profile_id, ""),
            collected=weighed[profile_id].told() if profile_id in weighed else {},
        )
    return Decided(
        verdicts=[(profile_id, decide(plan, people[profile_id], at)) for profile_id in ids],
        set_id=set_id,
    )


def _collected_for(plan: Plan, purpose: str, channel: str, gate: Mapping[int, GateAnswer]) -> dict[int, str]:
    """Who wants such a message in a digest, with how often. Nobody without a published digest; system mail never is."""
    wanted = {profile_id: answer.frequency for profile_id, answer in gate.items() if answer.frequency != "each"}
    if not wanted or plan.system:
        return {}
    terms = digest_terms()
    return wanted if terms is not None and (terms.purpose, terms.channel) == (purpose, channel) else {}


def _cards_of(weighed: Weighed | None) -> dict[str, list[Any]]:
    return {} if weighed is None or not weighed.cards else {COLLECTED: weighed.cards}


def _profiles_read(profile_ids: Sequence[int], plan: Plan, hidden: Collection[str]) -> dict[int, dict[str, Any]]:
    """Country, language and the values that the message prints, by profile id; sensitive ones opened."""
    tokens = {name for names in plan.tokens.values() for name in names}
    columns = [name for name in PROFILE_COLUMNS if name in tokens | {"country", "language"}]
    free = sorted(tokens - set(PROFILE_COLUMNS))
    found = values_read(profile_ids=profile_ids, names=free, columns=columns)
    for name in hidden:
        for values in found.values():
            if name in values:
                values[name] = None
    for profile_id, language in languages_chosen(profile_ids=list(found)).items():
        found[profile_id]["language"] = language
    return found


def _cards_read(
    plan: Plan,
    profile_ids: Sequence[int],
    values: dict[int, dict[str, Any]],
    as_of: datetime,
    impersonal: set[int],
) -> tuple[dict[int, dict[str, list[ItemCard]]], int | None]:
    """The lists that the tiers ask for, by profile id, and the set they come from; none without a set.

    impersonal: of whom nothing that they did is looked at; they have what everybody has.
    """
    if not plan.sources or not profile_ids or (newest := latest_set()) is None:
        return {}, None
    wanted = ["recent_items", "top_category"] if "category" in plan.sources else ["recent_items"]
    features: dict[int, dict[str, Any]] = {
        profile_id: dict(known)
        for profile_id, known in features_read(
            profile_ids=[profile_id for profile_id in profile_ids if profile_id not in impersonal],
            names=wanted,
            as_of=as_of,
        ).items()
    }
    people = {
        profile_id: PersonTaste(
            country=values[profile_id]["country"],
            top_category=features.get(profile_id, {}).get("top_category") or "",
            recent_items=tuple(features.get(profile_id, {}).get("recent_items") or ()),
        )
        for profile_id in profile_ids
    }
    cards = recommendations_for(set_id=newest.pk, people=people, sources=plan.sources, count=plan.most_items)
    return cards, newest.pk


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
