"""Decisions that are asked for: by place or by playbook, for one person or up to a hundred, by the same reading and the
same engine as a run's.

What is answered is kept before it is given (`Answer`), in one statement. What many ask for at the same moment is
decided together, as the people of a batch are; each gets what they would have got alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from time import monotonic
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as AnyDatabaseError
from django.db import connection

from apps.data.profiles.vault import Vault, vault_complete, vault_of
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.ids import uuid7
from apps.foundation.core.postgres import planned_rows
from apps.foundation.core.stamps import stamps_read

from .engine import SEND, Plan, Verdict
from .generic import (
    PULLED,
    Offer,
    Pinned,
    generic_slots,
    offers_for,
    offers_known,
    offers_remembered,
    pinned,
    slot_said,
    valid_until,
)
from .keeping import Wanted, person_pack, wanted_of
from .sealing import ANSWERS
from .services import Decided, people_decide, verdict_seal, version_plan
from .traces import answer_shown, slots_traced

MOST: Final = 100
"""Answers of one request: people times places."""
_ADD: Final = """
INSERT INTO decisions_answer
  (id, version_id, profile_id, placement, client, outcome, compiled_id, tier, sealed, decided_at)
SELECT new.id, new.version_id, new.profile_id, new.placement, new.client, new.outcome, new.compiled_id, new.tier,
  new.sealed, %(at)s::timestamptz
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[], %(people)s::bigint[], %(placements)s::text[], %(clients)s::text[],
            %(outcomes)s::text[], %(compiled)s::bigint[], %(tiers)s::text[], %(sealed)s::bytea[])
  AS new(id, version_id, profile_id, placement, client, outcome, compiled_id, tier, sealed)
"""
_NAMES: Final = ("ids", "versions", "people", "placements", "clients", "outcomes", "compiled", "tiers", "sealed")
_FEW: Final = 10
"""Answers of a request that is decided together with others: one of many would have them wait."""

Confirm = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: places, or one playbook by its code. profiles: people, none where nobody is known; deadline:
    on the clock of `time.monotonic`, after which nothing is kept any more; None for no end; confirm: called with the
    stamps that were read, before anything is kept or told: whoever asked by what is kept in memory raises there if it
    does not hold any more."""

    placements: tuple[str, ...] = ()
    playbook: str = ""
    profiles: tuple[int, ...] = ()
    language: str = ""
    client: str = ""
    deadline: float | None = None
    confirm: Confirm | None = field(default=None, compare=False)

    @property
    def places(self) -> tuple[str, ...]:
        """Where; one without a name for a playbook by its code."""
        return self.placements or ("",)

    @property
    def size(self) -> int:
        """How many answers it gets."""
        return len(self.places) * max(len(self.profiles), 1)


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


@dataclass(frozen=True, slots=True)
class _Choice:
    """At a place: what was decided of those who are there, their keys, and the stamps that were read."""

    by_person: Mapping[int, _Chosen]
    vault: Vault
    stamps: Mapping[str, str] | None


class TooLate(Exception):
    """Whoever asked does not wait any more."""


def decisions_make(wish: Wish, *, at: datetime | None = None) -> list[AnswerGiven]:
    """Decide what is asked for, keep it, and say what to show; in the order of places, then of people.

    Of several playbooks at a place, the most important that has something for the person answers. Somebody unknown gets
    what everybody may see. Raises Invalid, NotFound for a place or playbook that is not there, or a person; Conflict
    for somebody who was erased; TooLate; and what `wish.confirm` raises.
    """
    [said] = wishes_decide([wish], at=at)
    if isinstance(said, Exception):
        raise said
    return said


def wishes_decide(wishes: Sequence[Wish], *, at: datetime | None = None) -> list[list[AnswerGiven] | Exception]:
    """The same for several who ask at once: one read for all who are asked about with the same playbooks, one statement
    that keeps all. For each wish its answers, or what `decisions_make` would raise. Raises what is nobody's own: then
    nothing is kept of any."""
    moment = at or now()
    said: list[list[AnswerGiven] | Exception] = [
        Invalid("too_many", f"At most {MOST} answers at once: people times places") if one.size > MOST else []
        for one in wishes
    ]
    asked = [one for one, fault in zip(wishes, said, strict=True) if not isinstance(fault, Exception)]
    offers = offers_remembered()
    while True:
        wanted = _wanted(asked, offers)
        try:
            chosen = {some: _choose(some, list(people), moment) for some, people in wanted.items()}
        except ObjectDoesNotExist:  # of a version that was there when this process looked
            if (current := offers_known(stamps_read())) == offers:
                raise
            offers = current
            continue
        read = next((one.stamps for one in chosen.values() if one.stamps is not None), None)
        stamps = stamps_read() if read is None else read
        if (current := offers_known(stamps)) == offers:
            break
        offers = current  # something was published since this process looked
    vault = vault_of(())
    for choice in chosen.values():
        vault.join(choice.vault)
    vault = vault_complete(vault, list({person: None for choice in chosen.values() for person in choice.by_person}))
    rows: list[tuple[Any, ...]] = []
    for place, wish in enumerate(wishes):
        if isinstance(said[place], Exception):
            continue
        try:
            if wish.confirm is not None:
                wish.confirm(stamps)
            said[place], kept = _wish_answered(wish, offers, chosen, vault, moment)
            rows += kept
        except AnyDatabaseError:  # of a connection that all of them share
            raise
        except Exception as error:  # noqa: BLE001  # theirs alone
            said[place] = error
    if rows:
        columns = dict(zip(_NAMES, map(list, zip(*rows, strict=True)), strict=True))
        planned_rows(_ADD, {**columns, "at": moment})
    return said


def offers_warm() -> None:
    """Read what is published, and all that deciding by it needs of its versions, before anybody asks."""
    for offer in offers_known(stamps_read()):
        _ready(offer.version_id, offer.digest)


def is_shared(wish: Wish) -> bool:
    """Whether a wish is decided with those of others at the same moment. Not what takes long for reasons of its own:
    many answers, live sources, a digest's pieces; nor what this process does not know yet."""
    if wish.size > _FEW or not wish.profiles:
        return False
    offers = offers_remembered()
    found = [offers_for(offers, placement=place, playbook=wish.playbook) for place in wish.places]
    return all(found) and all(_quick.get(offer.version_id, False) for some in found for offer in some)


def _wanted(wishes: Iterable[Wish], offers: Sequence[Offer]) -> dict[tuple[Offer, ...], dict[int, None]]:
    """About whom is to be decided, by the offers of a place; each person once."""
    wanted: dict[tuple[Offer, ...], dict[int, None]] = {}
    for wish in wishes:
        found = [offers_for(offers, placement=place, playbook=wish.playbook) for place in wish.places]
        if wish.profiles and all(found):
            for some in found:
                wanted.setdefault(tuple(some), {}).update(dict.fromkeys(wish.profiles))
    return wanted


def _wish_answered(
    wish: Wish, offers: Sequence[Offer], chosen: Mapping[tuple[Offer, ...], _Choice], vault: Vault, at: datetime
) -> tuple[list[AnswerGiven], list[tuple[Any, ...]]]:
    """What is answered to a wish, and the rows that keep it. Raises NotFound, Conflict, TooLate."""
    found = {place: tuple(offers_for(offers, placement=place, playbook=wish.playbook)) for place in wish.places}
    for place in wish.places:
        if not found[place]:
            what = f"shown at {place}" if place else f"called {wish.playbook}"
            raise NotFound("nothing_published", f"Nothing is published that can be asked for and is {what}")
    if not wish.profiles:
        return [generic_answer(found[place][0], wish, place, None) for place in wish.places], []
    for some in found.values():
        if missing := [one for one in wish.profiles if one not in chosen[some].by_person]:
            raise NotFound("profile_unknown", f"There is no person {missing[0]}")
    answers: list[AnswerGiven] = []
    rows: list[tuple[Any, ...]] = []
    for place in wish.places:
        by_person = chosen[found[place]].by_person
        for profile_id in wish.profiles:
            answer, row = _answered(by_person[profile_id], vault, wish, place, profile_id, at)
            answers.append(answer)
            rows.append(row)
    if wish.deadline is not None and monotonic() > wish.deadline:
        raise TooLate
    return answers, rows


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


_quick: Final[dict[int, bool]] = {}
"""Of versions that were asked for before, whether deciding by them asks nobody who may take long. Never read for."""


@lru_cache(maxsize=512)
def _ready(version_id: int, digest: str) -> tuple[Plan, Wanted, Pinned]:
    """What deciding by an offer needs, made once."""
    plan = version_plan(version_id, digest, "", asks_audience=True)
    ready = plan, wanted_of(plan), pinned(version_id)
    _quick[version_id] = not plan.transactional and not plan.collects
    return ready


def _choose(offers: Sequence[Offer], profiles: Sequence[int], at: datetime) -> _Choice:
    """For each person who is there, the first offer that has something for them, else what the first said."""
    chosen: dict[int, _Chosen] = {}
    stamps: Mapping[str, str] | None = None
    vault = vault_of(())
    waiting = list(profiles)
    for offer in offers:
        plan, wanted, version = _ready(offer.version_id, offer.digest)
        decided = _decide(plan, version, waiting, at)
        if stamps is None:
            stamps, vault = decided.stamps, decided.vault
        for profile_id, verdict in decided.verdicts:
            if verdict.outcome == SEND or profile_id not in chosen:
                seen = person_pack(plan, wanted, decided.people[profile_id], verdict.choice)
                chosen[profile_id] = _Chosen(offer, verdict, seen, decided.set_id)
        waiting = [one for one in waiting if one in chosen and chosen[one].verdict.outcome != SEND]
        if not waiting:
            break
    return _Choice(chosen, vault, stamps)


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
) -> tuple[AnswerGiven, tuple[Any, ...]]:
    """What is answered, and the row that keeps it."""
    offer, verdict = chosen.offer, chosen.verdict
    if profile_id not in vault:  # erased meanwhile: nothing is said of them, and nothing kept
        raise Conflict("erased", "This person was erased")
    version = pinned(offer.version_id)
    spec = version.spec
    answer_id = uuid7()
    sealed = verdict_seal(
        vault,
        verdict,
        chosen.seen,
        decision_id=answer_id,
        profile_id=profile_id,
        version=offer.digest,
        set_id=chosen.set_id,
        at=at,
        table=ANSWERS,
    )
    if verdict.outcome == SEND:
        answer = AnswerGiven(placement, offer.playbook, profile_id, tier=verdict.tier)
        answer.language = verdict.inputs["language"]
        slots = verdict.inputs["slots"]
        answer.slots = [slot_said(name, slot, spec, verdict.inputs) for name, slot in slots.items()]
        if verdict.inputs.get("tracked") and verdict.compiled is not None:
            shown = answer_shown(offer.version_id, verdict.inputs)
            slots_traced(answer.slots, shown, answer_id=answer_id, compiled_id=verdict.compiled)
        answer.ttl = _ttl(valid_until(version, slots), at)
    elif spec["channel"] in PULLED and verdict.outcome != "holdout":
        answer = generic_answer(offer, wish, placement, profile_id)
    else:
        answer = AnswerGiven(placement, offer.playbook, profile_id, tier="", ttl=settings.ANSWER_TTL_SECONDS)
    answer.id, answer.outcome = str(answer_id), verdict.outcome
    row = (
        str(answer_id),
        offer.version_id,
        profile_id,
        placement,
        wish.client,
        verdict.outcome,
        verdict.compiled,
        verdict.tier,
        sealed,
    )
    return answer, row


def _ttl(ends: datetime | None, at: datetime) -> int:
    most = timedelta(seconds=settings.ANSWER_TTL_SECONDS)
    return int(min(most, ends - at if ends is not None else most).total_seconds())
