"""The way of events: accepted into the stream, written down once, in whatever state they come."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.events import registry
from apps.data.events.accepting import body_accept
from apps.data.events.consuming import Consumer
from apps.data.events.contracts import EventSource, RecordedEvent
from apps.data.events.duplicates import message_digest
from apps.data.events.errors import StreamDown, StreamFull
from apps.data.events.models import DeadLetter, Event, EventSchema, MessageSeen, UnknownName, Visitor
from apps.data.events.selectors import way_look
from apps.data.events.stream import STREAM, WAITING, stream_look
from apps.data.profiles.addresses import holders_of, identifier_put
from apps.data.profiles.attributes import attributes_read
from apps.data.profiles.models import AttributeSeen, Identifier, Profile
from apps.data.profiles.services import attribute_define
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from tests.factories import identifiers_of, known_by, make_profile, make_purposes, make_user
from tests.storage import found_in_tables

from .conftest import WEB, Send, Take

PAYLOADS = Path(settings.BASE_DIR).parent / "shared" / "data" / "segment_spec_payloads.jsonl"


def track(name: str = "Product Viewed", **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, **fields}


@pytest.mark.django_db
def test_an_event_goes_from_a_body_to_its_person(send: Send, take: Take) -> None:
    person = known_by_number("u-1")

    sent = send(track("PDP_Visit", userId="u-1", messageId="m-1", properties={"sku": "TEA-1", "price": 4.5}))
    came = take()

    event = Event.objects.get()
    assert (sent, came.events, came.duplicates, came.dead) == (1, 1, 0, 0)
    assert (event.profile_id, event.name, event.properties) == (
        person,
        "Product Viewed",
        {"sku": "TEA-1", "price": 4.5},
    )
    assert (event.source, event.message_id, event.faults, event.schema_version) == ("api:web", "m-1", None, 1)


def known_by_number(number: str) -> int:
    person = make_profile(email=None)
    identifier_put(profile_id=person.pk, kind="external_id", value=f"shop:{number}")
    return person.pk


@pytest.mark.django_db
def test_nothing_in_the_stream_can_be_read(send: Send, take: Take, stream: "redis.Redis") -> None:
    send(track(userId="zephyrine-7", properties={"note": "zephyrine@example.com"}))

    kept = repr(stream.xrange(STREAM))
    assert "zephyrine" not in kept
    assert "Product" not in kept
    assert take().events == 1


@pytest.mark.django_db
def test_what_is_settled_is_gone_from_the_stream(send: Send, take: Take, stream: "redis.Redis") -> None:
    send(track(), track())
    assert (stream.xlen(STREAM), stream.hget(WAITING, "events"), stream_look().events) == (1, b"2", 2)

    take()

    assert (stream.xlen(STREAM), stream.exists(WAITING), stream_look().events) == (0, 0, 0)


@pytest.mark.django_db
def test_the_same_message_is_one_event_of_its_source(send: Send, take: Take) -> None:
    other = EventSource("api:app", "shop")
    send(track(messageId="m"), track("Other", messageId="m"))
    first = take()
    send(track(messageId="m"))
    send(track(messageId="m"), source=other)
    second = take()

    assert (first.events, first.duplicates, second.events, second.duplicates) == (1, 1, 1, 1)
    assert sorted(Event.objects.values_list("source", "name")) == [
        ("api:app", "Product Viewed"), ("api:web", "Product Viewed"),
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_message_of_yesterday_is_known_and_one_of_eight_days_ago_is_not(send: Send, take: Take) -> None:
    send(track(messageId="yesterday"), track(messageId="long ago"))
    take()
    today = MessageSeen.objects.first()
    assert today is not None
    for name, days in (("yesterday", 7), ("long ago", 8)):
        MessageSeen.objects.filter(digest=message_digest("api:web", name)).update(day=today.day - timedelta(days=days))

    send(track(messageId="yesterday"), track(messageId="long ago"))
    came = take()

    assert (came.events, came.duplicates) == (1, 1)


@pytest.mark.django_db
def test_an_event_without_an_id_is_written_once_though_its_entry_is_read_twice(
    send: Send, take: Take, stream: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that dies between its commit and its word to Redis: the entry is handed out again."""
    send(track(), track())
    with monkeypatch.context() as patch:
        patch.setattr("apps.data.events.consuming.entries_settle", lambda entries: 0)
        assert take().events == 2

    heir = Consumer(seconds=0.0, claim_seconds=0.0, name="heir")
    came = heir.turn()

    assert (came.events, came.duplicates, Event.objects.count(), stream.xlen(STREAM)) == (0, 2, 2, 0)


@pytest.mark.django_db
def test_moments_that_cant_be_are_marked_and_late_ones_kept(send: Send, take: Take) -> None:
    send(
        track("late", timestamp="2020-02-03T04:05:06Z"),
        track("future", timestamp="2999-01-01T00:00:00Z"),
        track("none", timestamp="yesterday"),
        track("seconds", timestamp=1580702706),
    )
    take()

    found = {one.name: one for one in Event.objects.all()}
    assert found["late"].occurred_at == found["seconds"].occurred_at == datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert found["late"].faults is None
    for name, says in (("future", "future"), ("none", "moment is none")):
        assert abs(found[name].occurred_at - found[name].recorded_at) < timedelta(minutes=1)
        assert says in str(found[name].faults)


@pytest.mark.django_db
def test_a_wrong_clock_is_set_right_by_when_it_says_that_it_sent(send: Send, take: Take) -> None:
    at = now()
    clock = at - timedelta(hours=3)
    send(track(timestamp=(clock - timedelta(minutes=1)).isoformat()), sentAt=clock.isoformat())
    take()

    happened = Event.objects.get().occurred_at
    assert abs(happened - (at - timedelta(minutes=1))) < timedelta(seconds=30)


@pytest.mark.django_db
def test_what_no_schema_knows_is_kept_and_counted(send: Send, take: Take) -> None:
    send(track("Kettle Boiled"), track("Kettle Boiled"), track(properties={"sku": "A", "mood": "calm"}))
    take()

    assert Event.objects.filter(name="Kettle Boiled").count() == 2
    assert sorted(UnknownName.objects.values_list("source", "name", "property", "count")) == [
        ("api:web", "Kettle Boiled", "", 2), ("api:web", "Product Viewed", "mood", 1),
    ]  # fmt: skip


@pytest.mark.django_db
def test_names_that_a_source_makes_up_dont_fill_the_table(
    send: Send, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.data.events.recording._UNKNOWN_MOST", 2)
    send(track("a"), track("b"))
    take()
    send(track("a"), track("c"), track("d"))
    take()

    assert sorted(UnknownName.objects.values_list("name", "count")) == [("(others)", 2), ("a", 2), ("b", 1)]


@pytest.mark.django_db
def test_what_does_not_fit_its_schema_is_kept_with_its_faults_or_set_aside(send: Send, take: Take) -> None:
    EventSchema.objects.filter(name="Order Completed").update(on_fault="set_aside")
    send(
        track(properties={"price": "cheap"}, messageId="kept"),
        track("Order Completed", properties={"revenue": "much"}, userId="u-9", messageId="aside"),
    )
    came = take()

    assert (came.events, came.dead) == (1, 1)
    assert Event.objects.get().faults == ["price: does not fit “type”"]
    letter = DeadLetter.objects.get()
    assert (letter.name, letter.message_id, letter.reason) == ("Order Completed", "aside", "does_not_fit")
    assert letter.problem == "revenue: does not fit “type”"
    assert b"much" not in bytes(letter.sealed)


@pytest.mark.django_db
def test_what_cant_be_read_is_set_aside_and_the_rest_written(send: Send, take: Take) -> None:
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"a": deep}
    send({"All": True, "Salesforce": False}, track(" "), track("x" * 121), track(properties=deep), track("good"))
    came = take()

    assert (came.events, came.dead) == (1, 4)
    assert sorted(DeadLetter.objects.values_list("reason", flat=True)) == ["no_call", "no_name", "no_name", "too_deep"]


@pytest.mark.django_db
def test_what_is_too_large_or_no_object_costs_itself_alone(send: Send, take: Take) -> None:
    send(track(properties={"note": "a" * 40_000}), track("good"), ["no object"])
    came = take()

    assert (came.events, came.dead) == (1, 2)
    assert sorted(DeadLetter.objects.values_list("reason", flat=True)) == ["no_object", "too_large"]


@pytest.mark.django_db
def test_one_event_that_cant_be_written_does_not_hold_up_the_others(
    send: Send, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[RecordedEvent] = []

    def step(events: Any) -> None:
        if any(event.properties.get("sku") == "POISON" for event in events):
            raise ValueError("no")
        written.extend(events)

    monkeypatch.setattr(registry, "batch_steps", [step])
    skus = ["A", "B", "POISON", "C", "D", "POISON", "E"]
    send(*(track(properties={"sku": sku}) for sku in skus))
    came = take()

    kept = [sku for sku in skus if sku != "POISON"]
    assert (came.events, came.dead) == (5, 2)
    assert sorted(event.properties["sku"] for event in written[-5:]) == kept
    assert sorted(Event.objects.values_list("properties__sku", flat=True)) == kept
    assert {one.reason for one in DeadLetter.objects.all()} == {"not_written"}


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["a\tb\nc\\d\re", "nul\0here", "\\u0000", "“é” 🫖", "\\N", ""])
def test_texts_arrive_as_they_were_sent(send: Send, take: Take, text: str) -> None:
    send(track("Said" + text.replace("\0", ""), properties={"words": text, text: [text]}))
    take()

    event = Event.objects.get()
    plain = text.replace("\0", "")
    assert (event.name, event.properties) == (f"Said{plain}".strip(), {"words": plain, plain: [plain]})


@pytest.mark.django_db
def test_a_full_stream_pushes_back_and_takes_again_when_there_is_room(send: Send, take: Take, settings: Any) -> None:
    settings.EVENT_STREAM_LIMIT = 3
    send(track(), track())
    with pytest.raises(StreamFull):
        send(track(), track())
    assert stream_look().events == 2
    take()
    assert send(track(), track()) == 2

    settings.EVENT_STREAM_BYTES = 10
    with pytest.raises(StreamFull):
        send(track())


@pytest.mark.django_db
def test_without_redis_nothing_is_taken(settings: Any) -> None:
    settings.EVENT_REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(StreamDown):
        body_accept(source=WEB, shape="segment", body=b'{"type":"track","event":"a"}')


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "json_invalid"),
        (b'{"batch": []}', "batch_empty"),
        (b'{"batch": [1]}', "events_invalid"),
        (b"[" + b"{}," * 1000 + b"{}]", "batch_too_large"),
        (b'{"batch": [{"event": "' + b"a" * 40_000 + b'"}]}', "events_invalid"),
        (b'"' + b"a" * 1_000_001 + b'"', "body_too_large"),
    ],
)
def test_what_cant_be_taken_at_all_is_refused(stream: "redis.Redis", body: bytes, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        body_accept(source=WEB, shape="segment", body=body)
    assert refused.value.code == code
    assert stream.xlen(STREAM) == 0


# --- who they are ---


@pytest.mark.django_db
def test_a_number_that_nobody_has_becomes_a_profile_once(send: Send, take: Take) -> None:
    send(track(userId="new", messageId="1"), track(userId="new", messageId="2"), track(userId=42, messageId="3"))
    take()
    send(track(userId="new", messageId="4"))
    take()

    person = known_by("external_id", "shop:new")
    assert person.source == "api:web"
    assert Event.objects.filter(profile=person).count() == 3
    assert Event.objects.filter(profile=known_by("external_id", "shop:42")).count() == 1


@pytest.mark.django_db
def test_identify_tells_the_profile_and_leaves_no_address_in_the_event(send: Send, take: Take) -> None:
    traits = {
        "email": "Zephyrine@Example.com", "phone": "+436601234567", "firstName": "Zephyrine", "plan": "pro",
        "address": {"country": "Austria", "street": "Hidden Lane"}, "logins": 5,
    }  # fmt: skip
    send({"type": "identify", "userId": "z", "traits": traits})
    take()

    person = known_by("external_id", "shop:z")
    assert (person.first_name, person.country, person.attributes) == ("Zephyrine", "AT", {"plan": "pro", "logins": 5})
    assert [one[:2] for one in identifiers_of(person)] == [
        ("email", "zephyrine@example.com"), ("external_id", "shop:z"), ("phone", "+436601234567"),
    ]  # fmt: skip
    event = Event.objects.get()
    assert event.name == "User Identified"
    assert "ephyrine" not in json.dumps(event.properties)
    assert event.properties == {"traits": sorted(traits)}


@pytest.mark.django_db
@pytest.mark.parametrize("trusted", [frozenset(), frozenset({"email"})])
def test_an_address_is_verified_only_from_a_source_trusted_for_it(
    send: Send, take: Take, trusted: frozenset[str]
) -> None:
    send({"type": "identify", "userId": "t", "traits": {"email": "t@example.com"}},
         source=EventSource("api:crm", "shop", trusted))  # fmt: skip
    take()

    assert Identifier.objects.get(kind="email").verified == bool(trusted)


@pytest.mark.django_db
def test_what_a_device_did_becomes_its_persons_when_they_are_identified(
    send: Send, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[RecordedEvent] = []
    monkeypatch.setattr(registry, "join_steps", [joined.extend])
    send(track(anonymousId="dev-1", messageId="before"))
    take()
    assert Event.objects.get().profile_id is None
    assert b"dev-1" not in bytes(Event.objects.get().anonymous or b"")

    send({"type": "identify", "userId": "d", "anonymousId": "dev-1", "messageId": "who"})
    send(track(anonymousId="dev-1", messageId="after"))
    take()

    person = known_by("external_id", "shop:d")
    assert set(Event.objects.values_list("message_id", "profile_id")) == {
        ("before", person.pk), ("who", person.pk), ("after", person.pk),
    }  # fmt: skip
    assert [(one.message_id, one.profile_id) for one in joined] == [("before", person.pk)]


@pytest.mark.django_db
def test_a_device_of_two_is_nobodys(send: Send, take: Take) -> None:
    send({"type": "identify", "userId": "one", "anonymousId": "kiosk"})
    take()
    send({"type": "identify", "userId": "two", "anonymousId": "kiosk"})
    take()
    send(track(anonymousId="kiosk", messageId="later"))
    send({"type": "identify", "userId": "one", "anonymousId": "kiosk"})
    take()

    assert Visitor.objects.get().profile_id is None
    assert Event.objects.get(message_id="later").profile_id is None


@pytest.mark.django_db
def test_alias_of_somebody_who_is_named_in_the_same_batch(send: Send, take: Take) -> None:
    send(
        {"type": "alias", "previousId": "b", "userId": "c"}, {"type": "alias", "previousId": "a", "userId": "b"},
        track(userId="a"), track(userId="c"), {"type": "alias", "previousId": "c", "userId": "a"},
    )  # fmt: skip
    take()

    assert {known_by("external_id", f"shop:{number}").pk for number in "abc"} == {Profile.objects.get().pk}
    assert set(Event.objects.values_list("profile_id", flat=True)) == {Profile.objects.get().pk}


@pytest.mark.django_db
def test_alias_gives_a_second_number_or_a_device_and_never_merges(send: Send, take: Take) -> None:
    person = known_by_number("old")
    send({"type": "alias", "previousId": "old", "userId": "new"})
    send(track(anonymousId="tab", messageId="t"))
    send({"type": "alias", "previousId": "tab", "userId": "new"})
    other = known_by_number("other")
    send({"type": "alias", "previousId": "other", "userId": "new", "messageId": "both"})
    take()

    assert holders_of(kind="external_id", value="shop:new") == [person]
    assert holders_of(kind="external_id", value="shop:other") == [other]
    assert Event.objects.get(message_id="t").profile_id == person
    assert Event.objects.get(message_id="both").faults == ["it is somebody else's second id already"]


@pytest.mark.django_db
def test_who_is_restricted_or_withdrew_the_purpose_gets_no_event(send: Send, take: Take) -> None:
    make_purposes()
    restricted, withdrew = known_by_number("r"), known_by_number("w")
    Profile.objects.filter(pk=restricted).update(restricted_at=now())
    consent_withdraw(
        profile_id=withdrew, purpose="personalisation", channel="email", method=ConsentRecord.Method.API, source="test"
    )
    send(
        track(userId="r", anonymousId="x", messageId="r"),
        track(userId="w", anonymousId="y", messageId="w"),
        track("Order Completed", userId="w", messageId="bought"),
        {"type": "identify", "userId": "r", "traits": {"firstName": "No"}},
    )
    take()

    found = {one.message_id: (one.profile_id, one.anonymous) for one in Event.objects.all()}
    assert (found["r"], found["w"]) == ((None, None), (None, None))
    assert found["bought"][0] == withdrew
    assert Profile.objects.get(pk=restricted).first_name == ""


@pytest.mark.django_db
@pytest.mark.skipif(not PAYLOADS.is_file(), reason="../shared/data is not here")
def test_every_call_of_the_specification_is_taken(send: Send, take: Take) -> None:
    calls = []
    for number, line in enumerate(PAYLOADS.read_text().splitlines()):
        told = json.loads(line)
        if told["kind"] == "message":
            calls.append({**told["payload"], "messageId": f"spec-{number}"})
        elif told["method"] == "track":
            calls.append(
                {"type": "track", "event": told["event"], "properties": told["properties"], "anonymousId": "b"}
            )
        else:
            *user, traits = told["args"]
            calls.append(
                {"type": "identify", "userId": user[0] if user else None, "traits": traits, "anonymousId": "b"}
            )

    assert send(*calls) == len(calls) == 66
    came = take()

    assert (came.events, came.duplicates) == (65, 0)
    assert [one.reason for one in DeadLetter.objects.all()] == ["no_call"]  # {"All": true, …} tells of nothing


@pytest.mark.django_db
def test_a_trait_that_is_defined_is_read_by_its_type_and_sealed_where_it_is_sensitive(send: Send, take: Take) -> None:
    by = make_user("administrator")
    attribute_define(name="age", kind="number", by=by)
    attribute_define(name="illness", sensitive=True, by=by)
    attribute_define(name="codes", kind="texts", by=by)

    send({"type": "identify", "userId": "k", "traits": {"age": "41", "illness": "kanarienfieber", "codes": ["a", "b"],
                                                        "hat": "big"}})  # fmt: skip
    take()
    person = known_by("external_id", "shop:k")
    assert person.attributes == {"age": 41, "codes": ["a", "b"], "hat": "big"}
    assert attributes_read(profile_id=person.pk)["illness"] == "kanarienfieber"
    assert found_in_tables("kanarienfieber") == {}
    assert set(AttributeSeen.objects.values_list("name", flat=True)) == {"age", "illness", "codes", "hat"}

    # what does not fit is a fault of the event, without the value, and what fits is taken
    send({"type": "identify", "userId": "k", "traits": {"age": "kanarienfieber", "illness": "flu"}})
    take()
    assert attributes_read(profile_id=person.pk) == {
        "age": 41, "illness": "flu", "codes": ["a", "b"], "hat": "big",
    }  # fmt: skip
    assert found_in_tables("kanarienfieber") == {}


@pytest.mark.django_db
def test_a_consumer_is_seen_also_while_nothing_comes(stream: "redis.Redis") -> None:
    assert way_look().standing == "unattended"
    Consumer(seconds=0.0).turn()
    assert way_look().standing == "well"
