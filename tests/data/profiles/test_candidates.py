"""Who may be one person: what is certain is merged, what is likely waits, and an answer is remembered."""

import random

import pytest
from pytest_django import Settings

from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.candidates import (
    Pair,
    candidate_accept,
    candidate_reject,
    candidates_find,
    candidates_put,
    verified_merge,
)
from apps.data.profiles.matching import keys_of, model_fit, pairs_of, score
from apps.data.profiles.merging import family_of, profiles_unmerge, survivor_of
from apps.data.profiles.models import Identifier, Merge, MergeCandidate, Profile
from apps.foundation.core.errors import Conflict, NotAllowed
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db
State = MergeCandidate.State
_FIRST = ["anna", "bruno", "clara", "david", "emil", "franka", "georg", "helga", "ida", "jakob"]
_LAST = ["wagner", "huber", "gruber", "pichler", "steiner", "moser", "leitner", "berger", "fuchs", "eder"]


def twins(
    address: str = "same@example.com", *, verified: bool = True, first: str = "", second: str = ""
) -> list[Profile]:
    people = [make_profile(email=None, first_name=first), make_profile(email=None, first_name=second)]
    for profile in people:
        identifier_put(profile_id=profile.pk, kind="email", value=address, verified=verified)
    return people


def test_the_same_verified_address_is_one_person() -> None:
    one, other = twins(first="Anna", second="Anna")
    unverified = twins("other@example.com", verified=False)
    assert verified_merge() == 1
    assert (survivor_of(other.pk), Merge.objects.get().why) == (one.pk, Merge.Why.VERIFIED)
    assert [family_of(profile.pk) for profile in unverified] == [[profile.pk] for profile in unverified]
    assert verified_merge() == 0


def test_a_shared_address_does_not_chain_people_together() -> None:
    family = twins("family@example.com", first="Anna", second="Bruno")
    crowd = [*twins("office@example.com"), make_profile(email=None)]
    identifier_put(profile_id=crowd[2].pk, kind="email", value="office@example.com", verified=True)
    customers = twins("customer@example.com")
    for number, profile in enumerate(customers):
        identifier_put(profile_id=profile.pk, kind="external_id", value=f"shop:{number}")
    devices = [make_profile(email=None), make_profile(email=None)]
    for profile in devices:
        identifier_put(profile_id=profile.pk, kind="device", value="d1", verified=True)

    assert verified_merge() == 0
    waits = {(one.first_id, one.second_id) for one in MergeCandidate.objects.filter(state=State.OPEN)}
    assert {(family[0].pk, family[1].pk), (customers[0].pk, customers[1].pk)} <= waits
    assert {pair for pair in waits if pair[0] in {one.pk for one in crowd}} == {
        (crowd[0].pk, crowd[1].pk), (crowd[0].pk, crowd[2].pk), (crowd[1].pk, crowd[2].pk),
    }  # fmt: skip
    assert not Merge.objects.exists()
    said = MergeCandidate.objects.get(first=customers[0]).reasons[-1][0]
    assert said == "each has a number of its own at shop"


def test_what_a_trusted_client_says_is_merged_and_what_another_says_waits() -> None:
    people = [make_profile() for _ in range(4)]
    candidates_put([Pair(people[0].pk, people[1].pk, "alias", sure=True), Pair(people[3].pk, people[2].pk, "alias")])
    assert verified_merge() == 1
    assert survivor_of(people[1].pk) == people[0].pk
    assert [(one.first_id, one.second_id) for one in MergeCandidate.objects.filter(state=State.OPEN)] == [
        (people[2].pk, people[3].pk)
    ]


def test_an_answer_is_remembered_and_an_undone_merge_does_not_come_back() -> None:
    director, editor = make_user("administrator"), make_user("local_editor")
    one, other = twins(first="Anna", second="Bruno")
    verified_merge()
    candidate = MergeCandidate.objects.get()
    with pytest.raises(NotAllowed):
        candidate_accept(candidate_id=candidate.pk, actor=editor)
    merge = candidate_accept(candidate_id=candidate.pk, actor=director, kept_id=other.pk)
    assert (merge.kept_id, merge.why) == (other.pk, Merge.Why.REVIEWED)
    with pytest.raises(Conflict):
        candidate_reject(candidate_id=candidate.pk, actor=director)

    profiles_unmerge(merge_id=merge.pk, actor=director)
    Profile.objects.filter(pk=other.pk).update(first_name="Anna")
    assert verified_merge() == 0
    assert MergeCandidate.objects.get().state == State.REJECTED
    assert Identifier.objects.filter(profile=one).count() == 1


def test_the_alike_are_put_before_staff_with_reasons_and_only_the_certain_are_merged(settings: Settings) -> None:
    chance = random.Random(7)  # people made up
    for number in range(60):
        make_profile(
            email=f"person{number}@example.com",
            first_name=chance.choice(_FIRST),
            last_name=chance.choice(_LAST),
            attributes={"birth_date": f"19{chance.randint(40, 99)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}"},
        )
    pairs = []
    for number, profile in enumerate(Profile.objects.order_by("pk")[:12]):
        copy = make_profile(
            email=f"person{number}@other.example", first_name=profile.first_name, last_name=profile.last_name + "x",
            attributes=profile.attributes,
        )  # fmt: skip
        pairs.append((profile.pk, copy.pk))
    settings.MERGE_PROBABILITY = 2

    found = candidates_find()

    assert (found.people, found.merged, Merge.objects.count()) == (72, 0, 0)
    waits = MergeCandidate.objects.filter(state=State.OPEN)
    assert found.waiting == waits.count()
    likeliest = waits.order_by("-score")[:12]
    assert {(one.first_id, one.second_id) for one in likeliest} == set(pairs)
    assert "same birth date" in [words for words, _ in likeliest[0].reasons]

    settings.MERGE_PROBABILITY = 0.5
    assert candidates_find().merged == 12
    assert {(one.kept_id, one.absorbed_id) for one in Merge.objects.all()} == set(pairs)


def test_a_key_of_many_brings_nobody_together_and_a_rare_name_says_more() -> None:
    people = {number: {"first_name": (_FIRST[number % 5],), "device": ("kiosk",)} for number in range(80)}
    assert pairs_of(people, most=50) == set()
    people = {
        number: {"first_name": (_FIRST[number % 10],), "last_name": ("huber" if number < 90 else f"rare{number // 2}",)}
        for number in range(100)
    }
    model = model_fit(people, pairs_of(people, most=50), chance_pairs=2_000)
    common, rare = (
        score(model, people[0], people[10]),
        score(model, people[90], {**people[91], "first_name": ("anna",)}),
    )
    assert dict(rare.reasons)["same last name"] > dict(common.reasons)["same last name"]
    assert keys_of({}) == set()
