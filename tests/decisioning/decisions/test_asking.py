"""Decisions that are asked for: kept sealed with their person's key, computed again, and forgotten."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from random import Random
from time import monotonic
from typing import Any

import pytest

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consents_grant_new
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions.asking import (
    AnswerGiven,
    TooLate,
    Wish,
    decision_make,
    decisions_make,
    wishes_decide,
)
from apps.decisioning.decisions.models import Answer
from apps.decisioning.decisions.partitions import answers_forget
from apps.decisioning.decisions.privacy import _answers
from apps.decisioning.decisions.replay import answer_replay
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotFound
from tests.factories import make_profile, make_published

pytestmark = pytest.mark.django_db


def _person(country: str) -> Profile:
    person = make_profile(country=country, language="de")
    consents_grant_new(
        grants=[(person.pk, now())],
        purpose="marketing",
        channel=Channel.WEB,
        method=ConsentRecord.Method.API,
        source="test",
        evidence="the shop",
    )
    return person


def test_an_answer_is_kept_told_to_its_person_and_forgotten() -> None:
    make_published(trigger="api", channel="web", placement="home-hero")
    person = _person("DE")
    answer = decision_make(profile_id=person.pk, placement="home-hero", client="shop")
    row = Answer.objects.get()
    assert (str(row.pk), row.outcome, row.client) == (answer.id, "send", "shop")
    assert b"Versand" not in bytes(row.sealed)
    assert answer_replay(row.pk).state == "same"
    [told] = _answers(person.pk)
    assert (told["when"], told["language"]) == (row.decided_at, "de")
    assert answers_forget(now() - timedelta(days=1), 10) == 0
    assert answers_forget(now() + timedelta(days=1), 10) == 1
    with pytest.raises(NotFound):
        answer_replay(row.pk)


def test_a_row_that_was_moved_to_another_person_does_not_open() -> None:
    make_published(trigger="api", channel="web", placement="home-hero")
    one, other = _person("DE"), _person("FR")
    mine = decision_make(profile_id=one.pk, placement="home-hero")
    theirs = decision_make(profile_id=other.pk, placement="home-hero")
    Answer.objects.filter(pk=mine.id).update(sealed=Answer.objects.get(pk=theirs.id).sealed)
    assert answer_replay(mine.id).state == "failed"


def _said(one: AnswerGiven) -> dict[str, Any]:
    """An answer without what is its own."""
    return {name: value for name, value in asdict(one).items() if name != "id"}


def _alone(wish: Wish, at: datetime) -> list[AnswerGiven] | DomainError:
    try:
        return decisions_make(wish, at=at)
    except DomainError as error:
        return error


@pytest.mark.parametrize("seed", range(3))
def test_wishes_that_are_decided_together_get_what_each_would_alone(seed: int) -> None:
    draw = Random(seed)
    places = ["home-hero", "sidebar"]
    for place in (*places, "home-hero"):
        make_published(trigger="api", channel="web", placement=place, priority=draw.randint(1, 9), holdout_percent=40)
    mailed = make_published(trigger="api", channel="email")
    people = [_person(draw.choice(["DE", "FR", "AT"])) for _ in range(12)]
    people += [make_profile(country="DE", consent=("marketing",)) for _ in range(4)]
    ids = [one.pk for one in people]
    erased = ids[3]
    key_destroy(erased)
    wishes = []
    for _ in range(25):
        asked = tuple(draw.sample([*ids, 2**60], draw.randint(0, 3)))
        where = tuple(draw.sample([*places, "nowhere"], draw.randint(1, 2)))
        client = draw.choice(["shop", "app"])
        if asked and draw.random() < 0.3:
            wishes.append(Wish(playbook=mailed.code, profiles=asked, client=client))
        else:
            wishes.append(Wish(where, profiles=asked, language=draw.choice(["de-AT", ""]), client=client))
    at = now()
    together = wishes_decide(wishes, at=at)
    kept = {str(row.pk): (row.client, row.profile_id, row.placement, row.outcome) for row in Answer.objects.all()}
    told: dict[str, tuple[str, int | None, str, str]] = {}
    for wish, answers in zip(wishes, together, strict=True):
        alone = _alone(wish, at)
        if isinstance(alone, DomainError):
            assert isinstance(answers, DomainError)
            assert (type(answers), answers.code, str(answers)) == (type(alone), alone.code, str(alone))
        else:
            assert not isinstance(answers, Exception)
            assert list(map(_said, answers)) == list(map(_said, alone))
            told |= {one.id: (wish.client, one.profile, one.placement, one.outcome) for one in answers if one.id}
    assert kept == told  # each answer is kept once, as its own client's; of what was refused nothing
    assert len({one[3] for one in told.values()}) > 1  # how many are held out hangs on the numbers that people have
    assert {answer_replay(pk).state for pk in told} == {"same"}
    assert any(isinstance(one, Conflict) for one in together)
    assert any(isinstance(one, NotFound) for one in together)


def test_what_one_asks_in_vain_or_too_late_keeps_nothing_and_the_others_have_theirs() -> None:
    make_published(trigger="api", channel="web", placement="home-hero")
    person = _person("DE")

    def refuse(stamps: Mapping[str, str]) -> None:
        assert stamps
        raise PermissionError

    good = Wish(("home-hero",), profiles=(person.pk,), client="shop")
    late, refused = replace(good, deadline=monotonic() - 1), replace(good, confirm=refuse)
    many = replace(good, profiles=tuple(range(1, 102)))
    said = wishes_decide([late, good, refused, many, good])
    assert [type(one) for one in said] == [TooLate, list, PermissionError, Invalid, list]
    ids = [one.id for some in said if not isinstance(some, Exception) for one in some]
    assert len(set(ids)) == 2  # the same person, asked about twice: each their own answer
    assert {str(row.pk) for row in Answer.objects.all()} == set(ids)
