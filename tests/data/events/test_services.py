"""Recording events: once for each sender's id, and told to those who wait for them."""

from datetime import UTC, datetime

import pytest

from apps.data.events import registry
from apps.data.events.contracts import RecordedEvent
from apps.data.events.models import Event
from apps.data.events.services import event_record
from apps.data.events.signals import events_recorded
from apps.foundation.core.errors import Invalid
from tests.factories import make_profile

AT = datetime(2025, 3, 3, 9, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_the_same_id_is_recorded_once_and_told_once() -> None:
    told: list[list[str]] = []

    def note(names: list[str], **kwargs: object) -> None:
        told.append(names)

    person = make_profile()
    events_recorded.connect(note)
    try:
        first = event_record(profile_id=person.pk, name="Cart Updated", message_id="m", occurred_at=AT)
        again = event_record(profile_id=person.pk, name="Other", message_id="m", occurred_at=AT)
    finally:
        events_recorded.disconnect(note)
    assert (first, again, told) == (True, False, [["Cart Updated"]])
    assert Event.objects.get().name == "Cart Updated"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 121},
        {"message_id": ""},
        {"occurred_at": datetime(2025, 1, 1)},  # noqa: DTZ001  # naive on purpose
        {"recorded_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_what_is_no_event_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        event_record(**{"profile_id": None, "name": "A", "message_id": "1", "occurred_at": AT, **wrong})  # type: ignore[arg-type]
    assert Event.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_recorded_event_passes_the_steps_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[RecordedEvent] = []
    after: list[RecordedEvent] = []

    def fails(events: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(registry, "batch_steps", [inside.extend])
    monkeypatch.setattr(registry, "after_commit", [fails, after.extend])
    person = make_profile()
    for _ in range(2):
        event_record(
            profile_id=person.pk, name="A", message_id="m", occurred_at=AT, properties={"x": 1}, recorded_at=AT
        )
    assert inside == after == [RecordedEvent(person.pk, "A", AT, AT, "m", {"x": 1})]


@pytest.mark.django_db(transaction=True)
def test_a_step_that_fails_leaves_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(events: object) -> None:
        raise RuntimeError

    after: list[RecordedEvent] = []
    monkeypatch.setattr(registry, "batch_steps", [fails])
    monkeypatch.setattr(registry, "after_commit", [after.extend])
    with pytest.raises(RuntimeError):
        event_record(profile_id=None, name="A", message_id="m", occurred_at=AT)
    assert (Event.objects.count(), after) == (0, [])
