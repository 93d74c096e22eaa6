"""Who entered a watched audience and who left: each told once, and playbooks begin by it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.data.events.models import Event
from apps.data.features.models import EventTally
from apps.data.profiles.merging import profiles_merge, profiles_unmerge
from apps.data.profiles.models import Merge, Profile
from apps.decisioning.audiences.models import Audience, AudienceMember
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_count
from apps.decisioning.audiences.services import audience_create, audience_update
from apps.decisioning.audiences.watching import ENTERED, EXITED, Look, audience_look, audiences_look
from apps.decisioning.playbooks.models import Journey, Playbook
from apps.decisioning.playbooks.triggers import triggers_look
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from tests.factories import make_profile, make_published, make_user

pytestmark = pytest.mark.django_db

_GERMANS = {"attribute": "country", "is": "DE"}


def watched(rule: Any, **fields: Any) -> Audience:
    return audience_create(name="Germans", rule=rule, owner=make_user("publisher"), watched=True, **fields)


def told() -> list[tuple[str, int | None, str]]:
    events = Event.objects.filter(name__in=[ENTERED, EXITED]).order_by("occurred_at", "id")
    return [(event.name, event.profile_id, event.properties["audience"]) for event in events]


def moved(profile: Profile, country: str) -> None:
    Profile.objects.filter(pk=profile.pk).update(country=country)


def test_entries_and_exits_are_told_once_and_the_first_look_tells_nothing() -> None:
    there, comes, goes = (make_profile(country=country) for country in ("DE", "FR", "DE"))
    audience = watched(_GERMANS)
    at = now()

    assert audience_look(audience_id=audience.pk, at=at) == Look(first=True)
    moved(comes, "DE")
    moved(goes, "FR")
    assert audience_look(audience_id=audience.pk, at=at + timedelta(minutes=5)) == Look(1, 1)
    assert audience_look(audience_id=audience.pk, at=at + timedelta(minutes=10)) == Look()

    assert told() == [(ENTERED, comes.pk, "germans"), (EXITED, goes.pk, "germans")]
    assert set(AudienceMember.objects.values_list("profile_id", flat=True)) == {there.pk, comes.pk}
    assert EventTally.objects.count() == 2
    entered = rule_parse({"event": ENTERED, "at_least": 1, "within_days": 1})
    assert audience_count(rule=entered, as_of=at + timedelta(hours=1)) == 1
    moved(comes, "FR")
    audience_look(audience_id=audience.pk, at=at + timedelta(minutes=15))
    moved(comes, "DE")
    audience_look(audience_id=audience.pk, at=at + timedelta(minutes=20))
    assert [name for name, who, _ in told() if who == comes.pk] == [ENTERED, EXITED, ENTERED]


def test_a_look_that_is_undone_told_nothing_and_the_next_tells_all() -> None:
    audience = watched(_GERMANS)
    audience_look(audience_id=audience.pk, at=now())
    comes = make_profile(country="DE")

    with transaction.atomic():
        audience_look(audience_id=audience.pk, at=now())
        transaction.set_rollback(True)
    assert told() == []
    audience_look(audience_id=audience.pk, at=now())

    assert told() == [(ENTERED, comes.pk, "germans")]


def test_who_may_only_be_kept_is_told_of_neither_coming_nor_going() -> None:
    restricted, erased = make_profile(country="DE"), make_profile(country="DE")
    audience = watched(_GERMANS)
    audience_look(audience_id=audience.pk, at=now())
    Profile.objects.filter(pk=restricted.pk).update(restricted_at=now())
    Profile.objects.filter(pk=erased.pk).update(erased_at=now(), country="")

    assert audience_look(audience_id=audience.pk, at=now()) == Look()

    assert told() == []
    assert not AudienceMember.objects.exists()


def test_a_merge_is_neither_an_entry_nor_an_exit() -> None:
    audience = watched(_GERMANS)
    kept, absorbed, other = make_profile(country="DE"), make_profile(country="DE"), make_profile(country="FR")
    audience_look(audience_id=audience.pk, at=now())

    merge = profiles_merge(kept_id=kept.pk, absorbed_id=absorbed.pk, why=Merge.Why.STAFF)
    assert audience_look(audience_id=audience.pk, at=now()) == Look()
    profiles_unmerge(merge_id=merge.pk, actor=make_user("administrator"))
    assert audience_look(audience_id=audience.pk, at=now()) == Look()
    profiles_merge(kept_id=kept.pk, absorbed_id=other.pk, why=Merge.Why.STAFF)

    assert audience_look(audience_id=audience.pk, at=now()) == Look()
    assert told() == []


def test_another_rule_begins_anew_also_one_that_is_named_and_an_end_forgets() -> None:
    owner = make_user("publisher")
    inner = audience_create(name="Inner", rule=_GERMANS, owner=owner)
    outer = audience_create(name="Outer", rule={"audience": "inner"}, owner=owner, watched=True)
    make_profile(country="FR")
    make_profile(country="DE")
    audience_look(audience_id=outer.pk, at=now())

    french = {"attribute": "country", "is": "FR"}
    audience_update(audience_id=inner.pk, name="Inner", rule=french, by=owner)
    assert audience_look(audience_id=outer.pk, at=now()) == Look(first=True)
    assert AudienceMember.objects.count() == 1
    audience_update(audience_id=outer.pk, name="Outer", rule={"audience": "inner"}, by=owner, watched=False)

    assert not AudienceMember.objects.exists()
    assert audience_look(audience_id=outer.pk, at=now()) == Look()
    assert told() == []


def test_looks_come_when_due_and_one_that_fails_stops_no_other() -> None:
    owner = make_user("publisher")
    broken = audience_create(name="Broken", rule=_GERMANS, owner=owner, watched=True)
    whole = audience_create(name="Whole", rule=_GERMANS, owner=owner, watched=True)
    Audience.objects.filter(pk=broken.pk).update(rule={"audience": "nobodys"})
    with pytest.raises(Invalid, match="There is no audience"):
        audience_look(audience_id=broken.pk, at=now())
    at = datetime(2026, 5, 4, 12, tzinfo=UTC)

    assert audiences_look(at=at) == 0
    make_profile(country="DE")
    assert audiences_look(at=at + timedelta(minutes=1)) == 0
    assert audiences_look(at=at + timedelta(minutes=5)) == 1

    whole.refresh_from_db()
    assert whole.looked_at == at + timedelta(minutes=5)


def test_a_playbook_begins_for_who_enters() -> None:
    playbook = make_published(
        trigger=Playbook.Trigger.EVENT, event_name=ENTERED, event_where={"attribute": "audience", "is": "germans"}
    )
    audience = watched(_GERMANS)
    audience_look(audience_id=audience.pk, at=now())
    comes = make_profile(country="DE")

    audience_look(audience_id=audience.pk, at=now())
    triggers_look(at=now() + timedelta(seconds=1))
    triggers_look(at=now() + timedelta(seconds=20))

    assert list(Journey.objects.values_list("playbook_id", "profile_id")) == [(playbook.pk, comes.pk)]
