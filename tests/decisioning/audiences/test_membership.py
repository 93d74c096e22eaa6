"""Audiences within audiences: what a name stands for, and what is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.decisioning.audiences.membership import rule_pinned
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import audience_ids, facts_load, rule_admit
from apps.decisioning.audiences.services import audience_create, audience_update
from apps.decisioning.playbooks.services import playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Invalid
from tests.factories import make_playbook, make_profile, make_user

pytestmark = pytest.mark.django_db

_NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
_GERMANS = {"attribute": "country", "is": "DE"}


def make_audience(name: str, rule: Any, owner: User | None = None) -> Audience:
    return audience_create(name=name, rule=rule, owner=owner or make_user("publisher"))


def test_a_name_stands_for_the_rule_of_now_and_the_answer_names_the_audience() -> None:
    owner = make_user("publisher")
    germans = make_audience("Our Germans", _GERMANS, owner)
    others = make_audience("Others", {"audience": "our-germans", "is": False}, owner)
    german, french = make_profile(country="DE"), make_profile(country="FR")
    rule = rule_parse(others.rule)

    assert list(audience_ids(rule=rule, as_of=_NOON)) == [[french.pk]]
    facts = facts_load(rules=[rule], profile_ids=[german.pk, french.pk], as_of=_NOON)
    answer = rule_matches(rule, facts[german.pk])
    assert answer.because == [
        {"field": "audience our-germans", "is": True, "wanted": "not in the audience our-germans", "holds": False}
    ]
    assert rule_matches(rule, facts[french.pk]).matched

    audience_update(audience_id=germans.pk, name="Renamed", rule={"attribute": "country", "is": "FR"}, by=owner)
    assert Audience.objects.get(pk=germans.pk).code == "our-germans"
    assert list(audience_ids(rule=rule, as_of=_NOON)) == [[german.pk]]


def test_codes_are_made_of_names_and_are_nobody_elses() -> None:
    owner = make_user("publisher")
    names = ["Zoë & friends", "zoe friends", "Все", "!"]
    assert [make_audience(name, {"all": []}, owner).code for name in names] == [
        "zoe-friends",
        "zoe-friends-2",
        "audience",
        "audience-2",
    ]


def test_no_audience_is_a_part_of_itself_by_whatever_way() -> None:
    owner = make_user("publisher")
    one = make_audience("One", _GERMANS, owner)
    make_audience("Two", {"not": {"audience": "one"}}, owner)
    make_audience("Three", {"any": [{"audience": "two"}, _GERMANS]}, owner)

    for rule, way in (
        ({"audience": "one"}, "one → one"),
        ({"all": [{"audience": "three", "is": False}]}, "one → three → two → one"),
    ):
        with pytest.raises(Invalid) as fault:
            audience_update(audience_id=one.pk, name="One", rule=rule, by=owner)
        assert fault.value.message == f"An audience can't be a part of itself: {way}"
    assert Audience.objects.get(pk=one.pk).rule == _GERMANS


def test_what_is_not_there_is_refused_and_so_is_what_grows_too_large_in_its_place() -> None:
    owner = make_user("publisher")
    with pytest.raises(Invalid, match='There is no audience "nobodys"'):
        rule_admit({"audience": "nobodys"})
    small = make_audience("Small", _GERMANS, owner)
    make_audience("Twice", {"any": [{"audience": "small"}, {"not": {"audience": "small"}}]}, owner)

    with pytest.raises(Invalid) as fault:
        audience_update(audience_id=small.pk, name="Small", rule={"any": [_GERMANS] * 120}, by=owner)

    assert fault.value.message == 'The audience "twice", which names this one, consists of 244 rules: 200 may be'
    rule: Any = {"audience": "twice"}
    for _ in range(8):
        rule = {"not": rule}
    with pytest.raises(Invalid, match="has 11 levels: 10 may be"):
        rule_admit(rule)


def test_what_is_approved_is_the_rule_that_a_name_stood_for() -> None:
    playbook = make_playbook()
    owner = playbook.owner
    inner = make_audience("Inner", _GERMANS, make_user("publisher"))
    playbook.audience.rule = {"all": [{"audience": "inner"}, {"orders": {"at_least": 1}}]}
    playbook.audience.save()

    version = playbook_submit(playbook_id=playbook.pk, by=owner)

    pinned = {"all": [_GERMANS, {"orders": {"at_least": 1}}]}
    assert version.spec["audience_rule"] == pinned
    Audience.objects.filter(pk=inner.pk).update(rule={"all": []})
    version.refresh_from_db()
    assert version.spec["audience_rule"] == pinned
    assert rule_pinned(_GERMANS) is _GERMANS
