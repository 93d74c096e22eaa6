"""Writes about consent. Each locks the gate of the person first, then appends to the ledger, then the projection.

What holds is the record with the newest `occurred_at`, of equals the one recorded last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from psycopg2.extras import Json

from apps.data.profiles.addresses import digest_holders
from apps.data.profiles.merging import survivor_of
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put
from apps.foundation.core.postgres import bytes_text, ids_text
from apps.foundation.core.signing import address_digests

from .chain import chain_extend_soon, records_wait
from .contracts import Circumstances, Origin
from .ledger import SEALED, moments_said, seal_of, seals_of
from .models import Action, ConsentPending, ConsentRecord, ConsentState, Purpose, Suppression
from .origins import origin_keep
from .signals import consent_changed

_PLAIN: Final = Circumstances()
_PORTION: Final = 500
"""Addresses that are suppressed in one transaction."""
_GIVEN: Final = {"profile_id": "given.profile_id", "occurred_at": "given.at"}
_GRANT_NEW: Final = f"""
WITH new AS (
  INSERT INTO consent_consentrecord ({", ".join(SEALED)}, seal)
  SELECT {", ".join(_GIVEN.get(name, f"%({name})s") for name in SEALED)}, given.seal
  FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(seals)s::bytea[]) AS given(profile_id, at, seal)
  -- one look-up for each: as a join it would go by figures of how many there are of a purpose
  WHERE (SELECT true FROM consent_consentstate AS state
         WHERE state.profile_id = given.profile_id
           AND state.purpose_id = %(purpose_id)s AND state.channel = %(channel)s) IS NULL
  RETURNING id, profile_id, occurred_at)
INSERT INTO consent_consentstate (profile_id, purpose_id, channel, granted, record_id, changed_at)
SELECT profile_id, %(purpose_id)s, %(channel)s, true, id, occurred_at FROM new
RETURNING profile_id, record_id
"""  # noqa: S608  # names of our own

# a scalar subquery is not made a join, which for a batch of an import would read all people
_GATES_NOBODYS: Final = """
SELECT made.id FROM unnest(%s::bigint[]) AS made(id)
WHERE (SELECT true FROM profiles_profile AS person WHERE person.id = made.id) IS NULL LIMIT 1
"""
_GATES_LOCK: Final = 7302  # class of the advisory lock between gates and what holds for everybody (texts, traps)


def gate_lock(*, profile_ids: Sequence[int], begun: int = 0) -> list[int]:
    """Lock the gates of these people until the caller's transaction ends, in the order of their ids; and keep what
    holds for everybody as it is (`gates_hold`).

    Call it once in a transaction, before reading what it guards (`selectors.gate_read`): statements after it
    see every opt-out that committed before, and no opt-out commits until the transaction has ended.

    begun: the version of a gate that was not there: 1 for whoever changes what holds for all these people. Returns
    whose was not there. Raises IntegrityError for a profile that there is not: profiles are never removed, so whoever
    has a gate needs no constraint that looks them up again.
    """
    ids = ids_text(sorted(set(profile_ids)))
    with connection.cursor() as cursor:
        cursor.execute(  # two statements, one round trip: batches pass here
            "SELECT pg_advisory_xact_lock_shared(%s, 0);"
            " INSERT INTO consent_gate (profile_id, version)"
            " SELECT id, %s FROM unnest(%s::bigint[]) AS person(id)"
            " WHERE NOT EXISTS (SELECT FROM consent_gate WHERE profile_id = person.id)"
            " ORDER BY id ON CONFLICT DO NOTHING RETURNING profile_id",
            [_GATES_LOCK, begun, ids],
        )
        made = [row[0] for row in cursor.fetchall()]
        if made:
            cursor.execute(_GATES_NOBODYS, [ids_text(made)])
            if nobody := cursor.fetchone():
                raise IntegrityError(f"there is no profile {nobody[0]}")
        if there := sorted(set(profile_ids).difference(made)):  # whoever wants one that was made here waits already
            cursor.execute(
                "SELECT profile_id FROM consent_gate WHERE profile_id = ANY(%s::bigint[]) ORDER BY profile_id"
                " FOR UPDATE",
                [ids_text(there)],
            )
    return made


def gate_lock_person(*, profile_id: int) -> int:
    """Lock the gate of whom a profile is now, and return that one's id: one that was merged is somebody else.

    A merge locks both gates, so it committed before this did, or waits.
    """
    person = survivor_of(profile_id)
    while True:
        gate_lock(profile_ids=[person])
        now_is = survivor_of(profile_id)
        if now_is == person:
            return person
        person = now_is


def gates_hold() -> None:
    """Wait until no gate is locked, and let none be locked until the caller's transaction has ended.

    For what holds for everybody at once, such as the text that they must have agreed to, or a domain of traps: so that
    no message enters `sending` by what held before. Before any gate of the transaction's own.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_GATES_LOCK])


def purposes_hold(purposes: Sequence[str]) -> None:
    """Have these purposes there until the caller's transaction has ended, for records that it writes: what a constraint
    would do for each record. Raises Invalid for one that there is not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT code FROM consent_purpose WHERE code = ANY(%s) ORDER BY code FOR KEY SHARE", [list(purposes)]
        )
        if unknown := set(purposes).difference(row[0] for row in cursor.fetchall()):
            raise Invalid("purpose_unknown", f"There is no purpose {', '.join(sorted(unknown))}")


def consent_grant(
    *,
    profile_id: int,
    purpose: str,
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    evidence: str = "",
    actor: User | None = None,
    occurred_at: datetime | None = None,
    circumstances: Circumstances = _PLAIN,
    origin: Origin | None = None,
    origin_digest: bytes = b"",
) -> bool:
    """Record that a person agreed. False when that held already: nothing is recorded then.

    Who agrees to another text than the one on record agrees anew. origin_digest: of an origin that is kept already.
    """
    choice = _Choice(
        Action.GRANT,
        channel,
        method,
        source,
        evidence,
        actor,
        occurred_at or now(),
        circumstances,
        origin,
        origin_digest,
    )
    return _record([purpose], profile_id, choice) > 0


def consent_withdraw(
    *,
    profile_id: int,
    purpose: str,
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    evidence: str = "",
    actor: User | None = None,
    occurred_at: datetime | None = None,
    circumstances: Circumstances = _PLAIN,
    origin: Origin | None = None,
    itself: bool = False,
) -> bool:
    """Record that a person does not agree, also where nothing was on record. False when that held already.

    Once this has committed, no message of the purpose on the channel enters `sending` for the person. itself: of this
    profile even if it was merged, for taking a merge apart.
    """
    choice = _Choice(
        Action.WITHDRAW, channel, method, source, evidence, actor, occurred_at or now(), circumstances, origin
    )
    return _record([purpose], profile_id, choice, itself=itself) > 0


def consent_withdraw_all(
    *,
    profile_id: int,
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    actor: User | None = None,
    circumstances: Circumstances = _PLAIN,
    origin: Origin | None = None,
) -> int:
    """Withdraw every purpose that needs consent, on one channel. Returns how many changed."""
    purposes = list(Purpose.objects.filter(needs_consent=True).values_list("code", flat=True))
    choice = _Choice(Action.WITHDRAW, channel, method, source, "", actor, now(), circumstances, origin)
    return _record(purposes, profile_id, choice)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is to be recorded, for one person or many."""

    action: Action
    channel: str
    method: ConsentRecord.Method
    source: str
    evidence: str
    actor: User | None
    occurred_at: datetime
    circumstances: Circumstances
    origin: Origin | None = None
    origin_digest: bytes = b""

    def holds_by(self, state: ConsentState) -> bool:
        """Whether it is on record already. Another text, agreed to, is another choice."""
        if state.granted != (self.action == Action.GRANT):
            return False
        shown = self.circumstances.wording_digest
        return not (state.granted and shown and shown != state.record.wording_digest)

    def sealed(self, *, profile_id: int, purpose: str, occurred_at: datetime, recorded_at: datetime) -> dict[str, Any]:
        """The values of a record, with its seal."""
        values = {
            "profile_id": profile_id,
            "purpose_id": purpose,
            "channel": str(self.channel),
            "action": str(self.action),
            "method": str(self.method),
            "source": self.source,
            "evidence": self.evidence,
            "actor_id": self.actor.pk if self.actor else None,
            "occurred_at": occurred_at,
            "recorded_at": recorded_at,
            "origin_digest": self.origin_digest,
            **{name.name: getattr(self.circumstances, name.name) for name in fields(Circumstances)},
        }
        return {**values, "seal": seal_of(settings.LEDGER_KEY, values)}


def _record(purposes: Sequence[str], profile_id: int, choice: _Choice, *, itself: bool = False) -> int:
    if choice.occurred_at > now() + timedelta(minutes=5):
        raise Invalid("consent_in_future", "A choice can't lie in the future: check the date and its time zone")
    granted = choice.action == Action.GRANT
    news: list[dict[str, Any]] = []
    with transaction.atomic():
        if itself:
            gate_lock(profile_ids=[profile_id])
        else:
            profile_id = gate_lock_person(profile_id=profile_id)
        purposes_hold(purposes)
        for purpose in purposes:
            state = (
                ConsentState.objects.filter(profile_id=profile_id, purpose_id=purpose, channel=choice.channel)
                .select_related("record")
                .first()
            )
            if state is not None and (choice.holds_by(state) or state.changed_at > choice.occurred_at):
                continue
            if choice.origin is not None:  # kept once, and only for what is recorded
                digest = origin_keep(profile_id=profile_id, origin=choice.origin)
                choice = replace(choice, origin=None, origin_digest=digest)
            record = ConsentRecord.objects.create(
                **choice.sealed(
                    profile_id=profile_id, purpose=purpose, occurred_at=choice.occurred_at, recorded_at=now()
                )
            )
            ConsentPending.objects.create(record=record)
            ConsentState.objects.update_or_create(
                profile_id=profile_id,
                purpose_id=purpose,
                channel=choice.channel,
                defaults={"granted": granted, "record": record, "changed_at": choice.occurred_at},
            )
            news.append(_news(record.pk, profile_id, purpose, choice, choice.occurred_at))
        if news:
            gate_turn([profile_id])
            outbox_put("consent.changed", news)
            transaction.on_commit(partial(_tell, profile_id))
            transaction.on_commit(chain_extend_soon)
    return len(news)


def _news(record_id: int, profile_id: int, purpose: str, choice: _Choice, occurred_at: datetime) -> dict[str, Any]:
    """A change as the world outside is told of it. `record` grows with each change of a person: it is the version
    that stands in the feed of changes too."""
    return {
        "record": record_id,
        "version": record_id,
        "profile": profile_id,
        "purpose": purpose,
        "channel": str(choice.channel),
        "granted": choice.action == Action.GRANT,
        "occurred_at": occurred_at.isoformat(),
    }


def records_follow(profile_id: int, records: Sequence[ConsentRecord]) -> None:
    """What follows from lines that were written to the ledger by somebody else than this module, under the gate."""
    if not records:
        return
    told = ConsentState.objects.filter(profile_id=profile_id)
    holds = {(state.purpose_id, state.channel): state.granted for state in told}
    outbox_put(
        "consent.changed",
        [
            {
                "record": one.pk,
                "version": one.pk,
                "profile": profile_id,
                "purpose": one.purpose_id,
                "channel": one.channel,
                "granted": holds.get((one.purpose_id, one.channel), False),
                "occurred_at": one.recorded_at.isoformat(),
            }
            for one in records
        ],
    )
    transaction.on_commit(partial(_tell, profile_id))
    transaction.on_commit(chain_extend_soon)


def gate_turn(profile_ids: Sequence[int]) -> None:
    """Count a change of what holds for these people, whose gates the caller has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE consent_gate SET version = version + 1 WHERE profile_id = ANY(%s::bigint[])",
            [ids_text(profile_ids)],
        )


def _tell(profile_id: int) -> None:
    consent_changed.send_robust(ConsentRecord, profile_id=profile_id)
    live_publish(f"profile-{profile_id}")


@dataclass(frozen=True, slots=True)
class GrantsReady:
    """Grants of a purpose to many people, sealed. people: when each agreed; times: of each, in the form of
    `moments_said`."""

    people: Mapping[int, datetime]
    times: Sequence[str]
    seals: Sequence[bytes]
    purpose: str
    choice: _Choice
    record: Mapping[str, Any]


class _GrantNews(Sequence[dict[str, Any]]):
    """News of grants, each made when somebody looks at it: mostly nobody wants to hear of an import."""

    def __init__(self, ready: GrantsReady, recorded: Sequence[tuple[int, int]]) -> None:
        self._ready, self._recorded = ready, recorded

    def __len__(self) -> int:
        return len(self._recorded)

    def __getitem__(self, place: Any) -> Any:
        profile_id, record = self._recorded[place]
        ready = self._ready
        return _news(record, profile_id, ready.purpose, ready.choice, ready.people[profile_id].astimezone(UTC))


def grants_prepare(
    *,
    grants: Sequence[tuple[int, datetime]],
    purpose: str,
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    evidence: str,
    actor: User | None = None,
    circumstances: Circumstances = _PLAIN,
) -> GrantsReady:
    """Seal what `consents_grant_new` records, for `grants_record`. Asks no database, so that it goes on while another
    transaction is under way. Raises Invalid without evidence (who vouches, and how they know)."""
    if not evidence.strip():
        raise Invalid("evidence_missing", "Say who vouches for these grants, and how they know")
    at = now()
    first = {profile_id: min(occurred_at, at) for profile_id, occurred_at in sorted(grants, reverse=True)}
    choice = _Choice(Action.GRANT, channel, method, source, evidence, actor, at, circumstances)
    # set-wise: a file brings grants by the hundred thousand
    record = choice.sealed(profile_id=0, purpose=purpose, occurred_at=at, recorded_at=at)
    times = moments_said(first.values())
    seals = seals_of(settings.LEDGER_KEY, record, zip(first, times, strict=True))
    return GrantsReady(first, times, seals, purpose, choice, record)


def grants_record(
    ready: GrantsReady,
    *,
    note: Callable[[Sequence[tuple[int, bytes]]], object] = records_wait,
    link: Callable[[], object] = chain_extend_soon,
) -> int:
    """Record grants that were prepared: only for those with nothing on record. Returns how many were recorded.

    note: in their transaction, has the records linked, each with its seal; link: called after the commit, links what
    waits.
    """
    choice = ready.choice
    confirmation = choice.circumstances.confirmation
    with transaction.atomic():
        made = set(gate_lock(profile_ids=list(ready.people), begun=1))
        purposes_hold([ready.purpose])
        with connection.cursor() as cursor:
            values: dict[str, Any] = {
                **ready.record,
                "ids": ids_text(ready.people),
                "times": f"{{{','.join(ready.times)}}}",
                "seals": bytes_text(ready.seals),
                "confirmation": None if confirmation is None else Json(confirmation),
            }
            cursor.execute(_GRANT_NEW, values)
            changed = cursor.fetchall()
        # a gate that was not there had nothing behind it, so that each of these is granted
        if turned := [profile_id for profile_id, _ in changed if profile_id not in made]:
            gate_turn(turned)
        if changed:
            outbox_put("consent.changed", _GrantNews(ready, changed))
            told = [f"profile-{profile_id}" for profile_id, _ in changed]
            transaction.on_commit(lambda: live_publish(*told))
            seals = dict(zip(ready.people, ready.seals, strict=True))
            note(sorted((record, seals[profile_id]) for profile_id, record in changed))
            transaction.on_commit(link)
    return len(changed)


def consents_grant_new(
    *,
    grants: Sequence[tuple[int, datetime]],
    purpose: str,
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    evidence: str,
    actor: User | None = None,
    circumstances: Circumstances = _PLAIN,
) -> int:
    """Record grants for many people at once, each `(profile id, when)`: only for those with nothing on record.

    Promise 6 of the design: a withdrawal is never lifted so. Returns how many were recorded.
    Raises Invalid without evidence (who vouches, and how they know). Give some thousands at a time.
    """
    return grants_record(
        grants_prepare(
            grants=grants,
            purpose=purpose,
            channel=channel,
            method=method,
            source=source,
            evidence=evidence,
            actor=actor,
            circumstances=circumstances,
        )
    )


def suppression_add(
    *, kind: str, value: str, reason: Suppression.Reason, note: str = "", actor: User | None = None
) -> bool:
    """Suppress an address (normalized), whoever holds it. False when it was suppressed already.

    Locks the gates of all who hold it, so no message to it enters `sending` once this has committed. Of a domain of
    traps it is not known who has an address there: it holds all gates.
    """
    return _suppress(kind, address_digests(kind, value), reason, note, actor)


def suppressions_add(
    *,
    kind: str,
    values: Iterable[str],
    reason: Suppression.Reason,
    note: str = "",
    actor: User | None = None,
) -> int:
    """The same of many addresses of a kind, in portions that are transactions of their own.

    Returns how many were not suppressed before.
    """
    added = 0
    wanted = sorted(set(values))
    for place in range(0, len(wanted), _PORTION):
        digests = {value: address_digests(kind, value) for value in wanted[place : place + _PORTION]}
        every = [digest for held in digests.values() for digest in held]
        with transaction.atomic():
            if kind == Suppression.DOMAIN:
                gates_hold()
            holders = digest_holders(kind=kind, digests=every)
            gate_lock(profile_ids=holders)
            known = {
                bytes(one) for one in Suppression.objects.filter(digest__in=every).values_list("digest", flat=True)
            }
            fresh = [held for held in digests.values() if not known.intersection(held)]
            Suppression.objects.bulk_create(
                [
                    Suppression(digest=digest, carried=number > 0, kind=kind, reason=reason, note=note, actor=actor)
                    for held in fresh
                    for number, digest in enumerate(held)
                ],
                ignore_conflicts=True,
            )
            gate_turn(holders)
            if holders:
                outbox_put("suppression.added", [{"reason": str(reason), "kind": kind, "profiles": holders}])
            for profile_id in holders:
                transaction.on_commit(partial(_tell, profile_id))
        added += len(fresh)
    return added


def suppression_add_digest(*, kind: str, digest: bytes, reason: Suppression.Reason, note: str = "") -> bool:
    """The same of an address that is known by its digest alone, such as the one that a message went to."""
    return _suppress(kind, [digest], reason, note, None)


def _suppress(kind: str, digests: Sequence[bytes], reason: Suppression.Reason, note: str, actor: User | None) -> bool:
    newest, *older = digests
    said = {"kind": kind, "reason": reason, "note": note, "actor": actor}
    with transaction.atomic():
        if kind == Suppression.DOMAIN:
            gates_hold()
        holders = digest_holders(kind=kind, digests=digests)
        gate_lock(profile_ids=holders)
        known = Suppression.objects.filter(digest__in=digests).exists()
        _, made = Suppression.objects.get_or_create(digest=newest, defaults=said)
        for digest in older:  # for identifiers that are not brought over to the newest version yet
            Suppression.objects.update_or_create(
                digest=digest, defaults={"carried": True}, create_defaults={**said, "carried": True}
            )
        created = made and not known
        if created:
            gate_turn(holders)
            outbox_put("suppression.added", [{"reason": str(reason), "kind": kind, "profiles": holders}])
            for profile_id in holders:
                transaction.on_commit(partial(_tell, profile_id))
    return created
