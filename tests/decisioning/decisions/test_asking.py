"""Decisions that are asked for: kept sealed with their person's key, computed again, and forgotten."""

from datetime import timedelta

import pytest

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consents_grant_new
from apps.data.profiles.models import Profile
from apps.decisioning.decisions.asking import decision_make
from apps.decisioning.decisions.models import Answer
from apps.decisioning.decisions.partitions import answers_forget
from apps.decisioning.decisions.privacy import _answers
from apps.decisioning.decisions.replay import answer_replay
from apps.foundation.core.clock import now
from apps.foundation.core.errors import NotFound
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
