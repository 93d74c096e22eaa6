"""Pairs of profiles that may be one person: found, merged where it is certain, and put before staff where it is not.

Certain is: both have the same verified address and nothing speaks against it, or a client that is trusted with customer
numbers says so, or the model (`matching.py`) does with at least `MERGE_PROBABILITY`. Who has a number each at one shop
is never merged without a look. A value that many share brings nobody together, and a device alone merges nobody.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import connection, transaction
from rapidfuzz.distance import JaroWinkler

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotFound

from .addresses import value_open
from .attributes import values_read
from .matching import Score, Values, model_fit, pairs_of, score
from .merging import profiles_merge
from .models import ONE_PERSONS, Identifier, Merge, MergeCandidate, Profile
from .normalize import name_fold
from .vault import vault_open

logger = logging.getLogger(__name__)

State, Why, Kind = MergeCandidate.State, MergeCandidate.Why, Identifier.Kind

_KNOWN_AS: Final = {
    "birth_date": ("birth_date", "birthday", "date_of_birth", "dob"),
    "city": ("city", "town", "suburb"),
    "postcode": ("postcode", "postal_code", "zip"),
    "street": ("street", "address", "address_1"),
    "ip": ("ip",),
}
"""Attributes that people are compared by, by what they may be called."""
_ANCHORS: Final = (Kind.EMAIL, Kind.PHONE)
"""Kinds whose verified values say who somebody is, though two may share one. Numbers can't be shared at all."""
_COLUMNS: Final = ("first_name", "last_name")
_BATCH: Final = 1_000
KEY_MOST: Final = 50
"""A name, address or device that more people share brings nobody together."""
_QUEUE: Final = 3
"""The queue holds at most so many times the pairs that the model expects."""
_LEAST: Final = 0.001
_VERIFIED: Final = """
SELECT kind, array_agg(DISTINCT held.profile_id ORDER BY held.profile_id)
FROM profiles_identifier AS held JOIN profiles_profile AS person ON person.id = held.profile_id
WHERE held.kind = ANY(%s) AND held.verified AND person.merged_into_id IS NULL AND person.erased_at IS NULL
  AND person.restricted_at IS NULL
GROUP BY held.kind, held.digest HAVING count(DISTINCT held.profile_id) > 1
LIMIT %s
"""
_PUT: Final = """
INSERT INTO profiles_mergecandidate AS known (first_id, second_id, why, sure, score, reasons, state, found_at)
SELECT least(one, other), greatest(one, other), why, sure, score, reasons::jsonb, 'open', %(at)s
FROM unnest(%(ones)s::bigint[], %(others)s::bigint[], %(why)s::text[], %(sure)s::bool[], %(scores)s::float8[],
            %(reasons)s::text[]) AS found(one, other, why, sure, score, reasons)
WHERE one <> other ORDER BY 1, 2
ON CONFLICT (first_id, second_id) DO UPDATE SET score = coalesce(excluded.score, known.score),
    reasons = CASE WHEN excluded.why = 'score' AND known.why <> 'score' THEN known.reasons ELSE excluded.reasons END,
    why = CASE WHEN excluded.why = 'score' THEN known.why ELSE excluded.why END,
    sure = known.sure OR excluded.sure
  WHERE known.state = 'open'
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look came to: people compared, pairs looked at, pairs merged, pairs that wait for staff."""

    people: int
    pairs: int
    merged: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair to be put down. reasons: words, each with its weight."""

    one: int
    other: int
    why: str
    sure: bool = False
    score: float | None = None
    reasons: Sequence[tuple[str, float]] = ()


def candidates_put(pairs: Sequence[Pair]) -> None:
    """Put pairs down, in the caller's transaction. Who was told to be two, or is one already, stays so."""
    if not pairs:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT,
            {
                "at": now(),
                "ones": [pair.one for pair in pairs],
                "others": [pair.other for pair in pairs],
                "why": [pair.why for pair in pairs],
                "sure": [pair.sure for pair in pairs],
                "scores": [pair.score for pair in pairs],
                "reasons": [orjson.dumps([list(reason) for reason in pair.reasons]).decode() for pair in pairs],
            },
        )


# --- certain by identifiers ---


def verified_merge(*, most: int = 1_000) -> int:
    """Merge who has the same verified address, and who a trusted client says is one. Returns how many were merged.

    An address that more than two have, and one whose holders have different names or two numbers of one shop, is a
    family's or a shop's: staff look at it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_VERIFIED, [[str(kind) for kind in _ANCHORS], most])
        shared = cursor.fetchall()
    pairs = []
    for kind, holders in shared:
        words = f"same verified {Kind(kind).label}"
        pairs += [
            Pair(one, other, Why.VERIFIED, sure=len(holders) == 2, reasons=[(words, 0.0)])
            for one, other in islice(_pairs(holders), KEY_MOST)
        ]
    with transaction.atomic():
        candidates_put(pairs)
    waiting = MergeCandidate.objects.filter(state=State.OPEN, sure=True).order_by("pk")[:most]
    return sum(_merge_if_sure(candidate) for candidate in waiting)


def _pairs(holders: Sequence[int]) -> Iterable[tuple[int, int]]:
    return ((one, other) for place, one in enumerate(holders) for other in holders[place + 1 :])


def _merge_if_sure(candidate: MergeCandidate) -> bool:
    """Merge a pair, or say why staff must look at it."""
    against = objection(candidate.first_id, candidate.second_id, names=candidate.why != Why.ALIAS)
    if against:
        reasons = [*candidate.reasons, [against, 0.0]]
        MergeCandidate.objects.filter(pk=candidate.pk, state=State.OPEN).update(sure=False, reasons=reasons)
        return False
    why = Merge.Why.ALIAS if candidate.why == Why.ALIAS else Merge.Why.VERIFIED
    if candidate.why == Why.SCORE:
        why = Merge.Why.SCORE
    return _merge(candidate, why, None) is not None


def objection(one: int, other: int, *, names: bool = True) -> str:
    """Why two must not be merged without a look, "" where nothing speaks against it."""
    scopes = [_scopes(one), _scopes(other)]
    if both := scopes[0] & scopes[1]:
        return f"each has a number of its own at {', '.join(sorted(both))}"
    told = dict(Profile.objects.filter(pk__in=[one, other]).values_list("pk", "first_name"))
    first, second = (name_fold(told.get(number, "")) for number in (one, other))
    if names and first and second and JaroWinkler.similarity(first, second) < 0.8 and first[0] != second[0]:
        return "different first names"
    return ""


def _scopes(profile_id: int) -> set[str]:
    """Where somebody has a number that is theirs alone."""
    rows = Identifier.objects.filter(profile_id=profile_id, kind__in=ONE_PERSONS)
    vault, found = vault_open([profile_id]), set()
    for kind, digest, sealed in rows.values_list("kind", "digest", "sealed"):
        value = value_open(vault, profile_id, kind, bytes(digest), bytes(sealed)) or ""
        found.add(value.partition(":")[0] if kind == Kind.EXTERNAL else "the loyalty programme")
    return found - {""}


def _merge(candidate: MergeCandidate, why: Merge.Why, actor: User | None) -> Merge | None:
    """Merge a pair into who is known for longer. None where they can't be; the candidate is settled then."""
    reasons = [str(words) for words, _ in candidate.reasons]
    try:
        with transaction.atomic():
            merge = profiles_merge(
                kept_id=candidate.first_id, absorbed_id=candidate.second_id, why=why, reasons=reasons, actor=actor
            )
            _settle(candidate, State.MERGED, actor)
    except Conflict as error:
        if actor is not None:
            raise
        logger.info("candidate %s was not merged: %s", candidate.pk, error.code)
        MergeCandidate.objects.filter(pk=candidate.pk).update(sure=False)
        return None
    return merge


def _settle(candidate: MergeCandidate, state: str, actor: User | None) -> None:
    MergeCandidate.objects.filter(pk=candidate.pk).update(state=state, settled_at=now(), settled_by=actor)


# --- alike ---


def candidates_find(*, seed: int = 0) -> Found:
    """Compare people, put the likely pairs down, and merge those above `MERGE_PROBABILITY`.

    Of more than `MATCHING_PEOPLE` those that changed last: they are compared in memory. Raises MasterKeyMissing.
    """
    people = people_values()
    pairs = pairs_of(people, most=KEY_MOST)
    if not pairs:
        return Found(len(people), 0, 0, _waiting())
    model = model_fit(people, pairs, seed=seed)
    scored = sorted(
        ((score(model, people[one], people[other]), one, other) for one, other in pairs),
        key=lambda found: -found[0].weight,
    )
    expected = model.prior * len(people) * (len(people) - 1) / 2
    likely = [one for one in scored[: max(20, int(_QUEUE * expected))] if one[0].probability >= _LEAST]
    for start in range(0, len(likely), _BATCH):
        with transaction.atomic():
            candidates_put([_pair(*one) for one in likely[start : start + _BATCH]])
    sure = MergeCandidate.objects.filter(state=State.OPEN, why=Why.SCORE, sure=True).order_by("-score", "pk")
    merged = sum(_merge_if_sure(candidate) for candidate in list(sure))
    return Found(len(people), len(pairs), merged, _waiting())


def _pair(found: Score, one: int, other: int) -> Pair:
    sure = found.probability >= settings.MERGE_PROBABILITY
    return Pair(one, other, Why.SCORE, sure=sure, score=found.probability, reasons=found.reasons)


def _waiting() -> int:
    return MergeCandidate.objects.filter(state=State.OPEN).count()


def people_values() -> dict[int, Values]:
    """What people are compared by, normalized; addresses opened, devices by their digests."""
    alive = Profile.objects.filter(merged_into=None, erased_at=None, restricted_at=None)
    ids = list(alive.order_by("-updated_at", "-pk").values_list("pk", flat=True)[: settings.MATCHING_PEOPLE])
    names = [name for known in _KNOWN_AS.values() for name in known]
    found: dict[int, Values] = {}
    for start in range(0, len(ids), _BATCH):
        some = ids[start : start + _BATCH]
        told = values_read(profile_ids=some, names=names, columns=_COLUMNS)
        reached = _reached(some)
        for profile_id, values in told.items():
            found[profile_id] = values_of(values, reached.get(profile_id, {}))
    return found


def values_of(told: Mapping[str, Any], reached: Mapping[str, Collection[str]]) -> Values:
    """What people are compared by, of one. told: columns and attributes; reached: addresses and devices."""
    found: dict[str, Collection[str]] = {name: tuple(values) for name, values in reached.items() if values}
    for name in _COLUMNS:
        if text := name_fold(str(told.get(name) or "")):
            found[name] = (text,)
    for name, known in _KNOWN_AS.items():
        text = next((str(told[one]) for one in known if told.get(one) not in (None, "")), "")
        text = "".join(c for c in text if c.isdigit()) if name == "birth_date" else name_fold(text)
        if text:
            found[name] = (text,)
    return found


def _reached(profile_ids: Sequence[int]) -> dict[int, dict[str, list[str]]]:
    vault = vault_open(profile_ids)
    found: defaultdict[int, dict[str, list[str]]] = defaultdict(dict)
    kinds = (*_ANCHORS, Kind.DEVICE, Kind.COOKIE, Kind.PUSH)
    rows = Identifier.objects.filter(profile_id__in=profile_ids, kind__in=kinds).order_by("pk")
    for profile_id, kind, digest, sealed in rows.values_list("profile_id", "kind", "digest", "sealed"):
        if kind in _ANCHORS:
            value = value_open(vault, profile_id, kind, bytes(digest), bytes(sealed))
        else:
            kind, value = "device", bytes(digest).hex()
        if value is not None:
            found[profile_id].setdefault(kind, []).append(value)
    return found


# --- staff ---


def candidate_accept(*, candidate_id: int, actor: User, kept_id: int | None = None) -> Merge:
    """Merge a pair that waits. kept_id: who is kept, the one known for longer unless given.

    Raises NotAllowed, NotFound, Conflict.
    """
    right_require(actor, "add", Merge, what="merge profiles")
    candidate = _open(candidate_id)
    if kept_id not in (None, candidate.first_id):
        candidate.first_id, candidate.second_id = candidate.second_id, candidate.first_id
    merge = _merge(candidate, Merge.Why.REVIEWED, actor)
    if merge is None:
        raise Conflict("candidate_settled", "They can't be merged any more")
    return merge


def candidate_reject(*, candidate_id: int, actor: User) -> None:
    """Remember that a pair is two people: it never comes up again. Raises NotAllowed, NotFound, Conflict."""
    right_require(actor, "add", Merge, what="merge profiles")
    _settle(_open(candidate_id), State.REJECTED, actor)


def _open(candidate_id: int) -> MergeCandidate:
    candidate = MergeCandidate.objects.filter(pk=candidate_id).first()
    if candidate is None:
        raise NotFound("candidate_unknown", "There is no such pair")
    if candidate.state != State.OPEN:
        raise Conflict("candidate_settled", "Somebody answered this pair already")
    return candidate
