"""Decisions that are asked for: by place or by playbook, for one person or up to a hundred, by the same reading and the
same engine as a run's.

What is answered is kept before it is given (`Answer`), one statement for all of a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from apps.data.profiles.vault import Vault, keys_make, vault_open
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.ids import uuid7

from .engine import SEND, Person, Plan, Verdict
from .generic import PULLED, Offer, Pinned, generic_slots, offers_for, offers_read, pinned, slot_said, valid_until
from .keeping import person_pack, wanted_of
from .sealing import ANSWERS, decision_seal
from .services import Decided, people_decide, verdict_keep, version_plan

MOST: Final = 100
"""Answers of one request: people times places."""
_ADD: Final = """
INSERT INTO decisions_answer
  (id, version_id, profile_id, placement, client, outcome, compiled_id, tier, sealed, decided_at)
VALUES
"""
_ROW: Final = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: places, or one playbook by its code. profiles: people, none where nobody is known; deadline:
    on the clock of `time.monotonic`, after which nothing is kept any more; None for no end."""

    placements: tuple[str, ...] = ()
    playbook: str = ""
    profiles: tuple[int, ...] = ()
    language: str = ""
    client: str = ""
    deadline: float | None = None


@dataclass(slots=True)
class AnswerGiven:
    """One answer. id: of the decision, "" where nothing was decided and everybody gets the same."""

    placement: str
    playbook: str
    profile: int | None
    id: str = ""
    outcome: str = SEND
    tier: str = "static"
    language: str = ""
    ttl: int = 0
    slots: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Of a person at a place: the offer, and what was decided."""

    offer: Offer
    verdict: Verdict
    seen: dict[str, Any]
    set_id: int | None


class TooLate(Exception):
    """Whoever asked does not wait any more."""


def decisions_make(wish: Wish, *, at: datetime | None = None) -> list[AnswerGiven]:
    """Decide what is asked for, keep it, and say what to show; in the order of places, then of people.

    Of several playbooks at a place, the most important that has something for the person answers. Somebody unknown gets
    what everybody may see. Raises Invalid, NotFound for a place or playbook that is not there, or a person; TooLate.
    """
    moment = at or now()
    places = wish.placements or ("",)
    if len(places) * max(len(wish.profiles), 1) > MOST:
        raise Invalid("too_many", f"At most {MOST} answers at once: people times places")
    offers = offers_read()
    answers: list[AnswerGiven] = []
    rows: list[tuple[Any, ...]] = []
    with transaction.atomic():
        vault = _vault(wish.profiles)
        for placement in places:
            found = offers_for(offers, placement=placement, playbook=wish.playbook)
            if not found:
                what = f"shown at {placement}" if placement else f"called {wish.playbook}"
                raise NotFound("nothing_published", f"Nothing is published that can be asked for and is {what}")
            if not wish.profiles:
                answers.append(generic_answer(found[0], wish, placement, None))
                continue
            chosen = _choose(found, wish.profiles, moment)
            if missing := [one for one in wish.profiles if one not in chosen]:
                raise NotFound("profile_unknown", f"There is no person {missing[0]}")
            for profile_id in wish.profiles:
                answer, row = _answered(chosen[profile_id], vault, wish, placement, profile_id, moment)
                answers.append(answer)
                if row:
                    rows.append(row)
        if wish.deadline is not None and monotonic() > wish.deadline:
            raise TooLate
        if rows:
            with connection.cursor() as cursor:
                statement = _ADD + ", ".join([_ROW] * len(rows))
                cursor.execute(statement, [value for row in rows for value in row])
    return answers


def decision_make(
    *, profile_id: int, placement: str = "", playbook: str = "", client: str = "", at: datetime | None = None
) -> AnswerGiven:
    """Decide about one person for one place or playbook: see `decisions_make`."""
    wish = Wish((placement,) if placement else (), playbook, (profile_id,), client=client)
    [answer] = decisions_make(wish, at=at)
    return answer


def generic_answer(offer: Offer, wish: Wish, placement: str, profile_id: int | None) -> AnswerGiven:
    """What everybody may be shown: no decision, so without an id. From memory where it was asked for before."""
    slots = generic_slots(offer, language=wish.language)
    ttl = settings.ANSWER_TTL_SECONDS
    return AnswerGiven(placement, offer.playbook, profile_id, ttl=ttl, slots=list(slots))


def _vault(profiles: Sequence[int]) -> Vault:
    vault = vault_open(profiles)
    if lacking := [one for one in profiles if one not in vault]:
        keys_make(lacking)
        vault = vault_open(profiles)
    return vault


def _choose(offers: Sequence[Offer], profiles: Sequence[int], at: datetime) -> dict[int, _Chosen]:
    """For each person who is there, the first offer that has something for them, else what the first said."""
    chosen: dict[int, _Chosen] = {}
    waiting = list(profiles)
    for offer in offers:
        version = pinned(offer.version_id)
        plan = version_plan(offer.version_id, offer.digest, "", asks_audience=True)
        decided = _decide(plan, version, waiting, at)
        wanted = wanted_of(plan)
        for profile_id, verdict in decided.verdicts:
            if verdict.outcome == SEND or profile_id not in chosen:
                person: Person = decided.people[profile_id]
                seen = person_pack(plan, wanted, person)
                chosen[profile_id] = _Chosen(offer, verdict, seen, decided.set_id)
        waiting = [one for one in waiting if one in chosen and chosen[one].verdict.outcome != SEND]
        if not waiting:
            break
    return chosen


def _decide(plan: Plan, version: Pinned, profiles: Sequence[int], at: datetime) -> Decided:
    with connection.cursor() as cursor:
        return people_decide(
            cursor,
            plan=plan,
            purpose=version.spec["purpose"],
            channel=version.spec["channel"],
            profile_ids=profiles,
            as_of=at,
            at=at,
        )


def _answered(
    chosen: _Chosen, vault: Vault, wish: Wish, placement: str, profile_id: int, at: datetime
) -> tuple[AnswerGiven, tuple[Any, ...] | None]:
    """What is answered, and the row that keeps it."""
    offer, verdict = chosen.offer, chosen.verdict
    if profile_id not in vault:  # erased meanwhile: nothing is said of them, and nothing kept
        raise Conflict("erased", "This person was erased")
    spec = pinned(offer.version_id).spec
    answer_id = uuid7()
    kept = verdict_keep(verdict, chosen.seen, version=offer.digest, set_id=chosen.set_id, at=at)
    sealed = decision_seal(vault, decision_id=answer_id, profile_id=profile_id, kept=kept, table=ANSWERS)
    if verdict.outcome == SEND:
        answer = AnswerGiven(placement, offer.playbook, profile_id, tier=verdict.tier)
        answer.language = verdict.inputs["language"]
        slots = verdict.inputs["slots"]
        answer.slots = [slot_said(name, slot, spec, verdict.inputs) for name, slot in slots.items()]
        answer.ttl = _ttl(valid_until(spec, slots), at)
    elif spec["channel"] in PULLED and verdict.outcome != "holdout":
        answer = generic_answer(offer, wish, placement, profile_id)
    else:
        answer = AnswerGiven(placement, offer.playbook, profile_id, tier="", ttl=settings.ANSWER_TTL_SECONDS)
    answer.id, answer.outcome = str(answer_id), verdict.outcome
    row = (
        answer_id,
        offer.version_id,
        profile_id,
        placement,
        wish.client,
        verdict.outcome,
        verdict.compiled,
        verdict.tier,
        sealed,
        at,
    )
    return answer, row


def _ttl(ends: datetime | None, at: datetime) -> int:
    most = timedelta(seconds=settings.ANSWER_TTL_SECONDS)
    return int(min(most, ends - at if ends is not None else most).total_seconds())
