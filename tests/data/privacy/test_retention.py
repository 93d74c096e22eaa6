"""Retention forgets what is older than its setting, in pieces, and looks into the real stores."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError

from apps.data.events.models import Event, Order
from apps.data.imports.models import Import
from apps.data.privacy import registry, retention
from apps.data.privacy.models import RetentionMark, RightsRequest
from apps.data.privacy.registry import retention_rule, retention_rules
from apps.data.privacy.retention import retention_run, retention_shown
from apps.data.privacy.services import request_open, request_refuse
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: object, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have only one rule, with a function of the test's."""

    def only(forget: Callable[[datetime, int], int]) -> None:
        monkeypatch.setattr(registry, "_rules", {})
        retention_rule("own", "Things", "EVENT_KEEP_DAYS", forget)

    return only


def event(profile_id: int, *, days: int) -> Event:
    at = now() - timedelta(days=days)
    return Event.objects.create(
        profile_id=profile_id, name="Viewed", occurred_at=at, recorded_at=at, message_id=f"m{days}-{profile_id}"
    )


def test_old_events_go_and_young_ones_stay(settings: object) -> None:
    # not on the first of a month: what is older goes with its whole month then, and is not counted
    keep = next(days for days in (30, 35) if (now() - timedelta(days=days)).day > 2)
    settings.EVENT_KEEP_DAYS = keep  # type: ignore[attr-defined]
    profile = make_profile()
    event(profile.pk, days=keep + 1)
    young = event(profile.pk, days=keep - 1)

    forgot = retention_run()

    assert list(Event.objects.all()) == [young]
    assert forgot["events"] == 1
    assert retention_run()["events"] == 0
    mark = RetentionMark.objects.get(pk="events")
    assert (mark.forgot, mark.forgot_last, mark.problem) == (1, 0, "")


def test_a_setting_of_0_keeps(settings: object) -> None:
    settings.EVENT_KEEP_DAYS = 0  # type: ignore[attr-defined]
    event(make_profile().pk, days=4000)

    retention_run()

    assert Event.objects.count() == 1
    assert not RetentionMark.objects.filter(pk="events").exists()
    assert next(kept for kept in retention_shown() if kept.rule.name == "events").days == 0


def test_old_orders_lose_the_person_and_stay(settings: object) -> None:
    settings.ORDER_KEEP_DAYS = 100  # type: ignore[attr-defined]
    order = Order.objects.create(
        source="shop", external_id="1", profile=make_profile(), status="purchase", placed_at=now() - timedelta(days=101)
    )

    retention_run()

    order.refresh_from_db()
    assert order.profile_id is None


def test_files_of_imports_that_ended_long_ago_go_and_those_in_use_stay(settings: object, tmp_path: Path) -> None:
    settings.IMPORT_FILE_KEEP_DAYS = 30  # type: ignore[attr-defined]
    for name in ("uploads/old.csv", "uploads/stopped.csv", "uploads/stray.csv", "imports/old-errors.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("Anna")
        os.utime(path, (0, 0))
    for name, ended in (("old", now() - timedelta(days=31)), ("stopped", None)):
        Import.objects.create(
            kind="profiles", file_name=name, path=str(tmp_path / f"uploads/{name}.csv"), digest=name, source="shop",
            errors_path=str(tmp_path / f"imports/{name}-errors.csv"), finished_at=ended,
            state="done" if ended else "stopped",
        )  # fmt: skip

    assert retention_run()["import_files"] == 3

    assert [path.name for path in tmp_path.rglob("*.csv")] == ["stopped.csv"]


def test_answered_requests_go_but_those_of_erased_people_stay() -> None:
    by = make_user("administrator")
    profile, erased = make_profile(), make_profile()
    for person in (profile, erased):
        asked = request_open(profile_id=person.pk, kind=RightsRequest.Kind.EXPORT, shown_by="passport seen", actor=by)
        request_refuse(request_id=asked.pk, because="asked three times a day", actor=by)
    RightsRequest.objects.update(closed_at=now() - timedelta(days=2000))
    erased.erased_at = now()
    erased.save()
    request_open(profile_id=profile.pk, kind=RightsRequest.Kind.EXPORT, shown_by="passport seen", actor=by)

    assert retention_run()["requests"] == 1

    assert {one.profile_id for one in RightsRequest.objects.all()} == {profile.pk, erased.pk}


def test_it_goes_on_in_pieces_until_nothing_is_left(
    alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 10)
    asked: list[int] = []

    def forget(before: datetime, limit: int) -> int:
        asked.append(limit)
        return 10 if len(asked) < 3 else 4

    alone(forget)

    assert retention_run() == {"own": 24}
    assert asked == [10, 10, 10]
    assert RetentionMark.objects.get().forgot == 24


def test_a_rule_that_fails_is_marked_and_keeps_what_it_did(
    alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 10)
    asked: list[int] = []

    def forget(before: datetime, limit: int) -> int:
        asked.append(limit)
        if len(asked) > 1:
            raise OperationalError("gone")
        return 10

    alone(forget)

    assert retention_run() == {"own": 10}
    mark = RetentionMark.objects.get()
    assert (mark.forgot, mark.problem) == (10, "OperationalError")


def test_every_rule_can_be_carried_out_on_empty_stores() -> None:
    for rule in retention_rules():
        assert rule.forget(now(), 10) == 0, rule.name


def test_two_rules_can_not_share_a_name_so_that_one_of_them_is_forgotten(alone: Callable[..., None]) -> None:
    alone(lambda before, limit: 0)
    with pytest.raises(ValueError, match="Two are called 'own'"):
        retention_rule("own", "Others", "EVENT_KEEP_DAYS", lambda before, limit: 1)
    assert [rule.what for rule in retention_rules()] == ["Things"]
