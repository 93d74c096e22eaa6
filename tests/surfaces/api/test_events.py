"""Events in the API's own form: durable when answered, told one by one, pushed back when too much waits."""

import gzip
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection

from apps.data.events.consuming import Consumer
from apps.data.events.models import Event
from apps.data.events.recording import schemas
from apps.data.events.stream import STREAM, group_ensure, stream_look
from apps.foundation.accounts.api_clients import client_update
from apps.foundation.accounts.api_keys import keys_forget
from tests.factories import known_by, make_profile, make_user

from .makers import Asker, make_asker, problem

pytestmark = pytest.mark.django_db
VIEWED = {"id": "e-1", "name": "Product Viewed", "user_id": "17850", "properties": {"sku": "TEA-1"}}


@pytest.fixture(autouse=True)
def stream(clean_redis: "redis.Redis") -> "redis.Redis":
    """An empty stream, with somebody to write down what is in it."""
    keys_forget()
    group_ensure()
    schemas.forget()
    return clean_redis


def take() -> Any:
    return Consumer(seconds=0.0).turn()


def test_what_is_taken_is_in_the_stream_and_then_an_event(stream: "redis.Redis") -> None:
    asker = make_asker("events:write")
    person = make_profile()

    answer = asker.post("events", {**VIEWED, "user_id": None, "profile_id": person.pk})
    assert (answer.status_code, answer.json()) == (
        202,
        {"results": [{"index": 0, "status": 202}], "done": 1, "failed": 0},
    )
    assert stream.xlen(STREAM) == 1
    assert "q=600000;w=60" in answer["RateLimit-Policy"]
    take()

    event = Event.objects.get()
    assert (event.profile_id, event.name, event.source, event.message_id) == (
        person.pk, "Product Viewed", asker.client_source, "e-1",
    )  # fmt: skip


def test_events_that_are_wrong_are_told_by_their_place_and_the_others_taken() -> None:
    asker = make_asker("events:write")
    wrong = {"name": "", "when": "now", "occurred_at": "soon"}

    said = asker.post("events", {"events": [VIEWED, wrong, 7, {**VIEWED, "id": "e-2"}]}).json()
    assert [one["status"] for one in said["results"]] == [202, 422, 422, 202]
    assert (said["done"], said["failed"]) == (2, 2)
    assert sorted(one["pointer"] for one in said["results"][1]["problem"]["errors"]) == [
        "#/name", "#/occurred_at", "#/when",
    ]  # fmt: skip
    take()

    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["e-1", "e-2"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"events": [{"name": ""}]}, {}, 422, "events_invalid"),
        ({"events": []}, {}, 422, "batch_empty"),
        ([VIEWED] * 1001, {}, 413, "batch_too_large"),
        (b"{", {}, 422, "json_invalid"),
        (VIEWED, {"Content-Type": "text/plain"}, 415, "media_type_wrong"),
        (VIEWED, {"Content_Encoding": "br"}, 415, "encoding_unknown"),
        (VIEWED, {"Content_Encoding": "gzip"}, 400, "gzip_wrong"),
        (gzip.compress(b"{}", mtime=0)[:-9], {"Content_Encoding": "gzip"}, 400, "gzip_wrong"),
        (gzip.compress(b" " * 2_000_000, mtime=0), {"Content_Encoding": "gzip"}, 413, "body_too_large"),
    ],
)
def test_what_cant_be_taken_leaves_nothing(
    stream: "redis.Redis", body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    asker = make_asker("events:write")

    problem(asker.post("events", body, **headers), status, code)
    assert stream.xlen(STREAM) == 0


def test_what_is_packed_is_unpacked() -> None:
    asker = make_asker("events:write")

    answer = asker.post("events", gzip.compress(orjson.dumps({"events": [VIEWED]})), Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["done"], take().events) == (202, 1, 1)


def test_too_much_is_pushed_back_with_when_to_come_again(settings: Any) -> None:
    asker = make_asker("events:write")
    settings.EVENT_STREAM_LIMIT = 1
    asker.post("events", VIEWED)

    answer = asker.post("events", {**VIEWED, "id": "e-2"})
    problem(answer, 503, "stream_full")
    assert int(answer["Retry-After"]) >= 1
    take()
    assert asker.post("events", {**VIEWED, "id": "e-2"}).status_code == 202


def test_without_redis_nothing_is_accepted(settings: Any) -> None:
    asker = make_asker("events:write")
    settings.EVENT_REDIS_URL = "redis://127.0.0.1:1/0"

    answer = asker.post("events", VIEWED)
    problem(answer, 503, "stream_down")
    assert int(answer["Retry-After"]) >= 1


def test_clients_of_one_shop_mean_the_same_person_by_a_number() -> None:
    web, app = make_asker("events:write"), make_asker("events:write")
    by = make_user("administrator")
    client_update(
        client_id=app.client.pk, by=by, name="App", scopes=["events:write"], per_minute=None, owner=by, active=True,
        reach={"customer_numbers": [web.client.code], "trusted_identifiers": ["external_id"]},
    )  # fmt: skip

    web.post("events", VIEWED)
    app.post("events", VIEWED)
    take()

    person = known_by("external_id", f"{web.client.code}:17850")
    assert sorted(Event.objects.values_list("profile_id", "source")) == sorted(
        (person.pk, one.client_source) for one in (web, app)
    )


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/api/v1/events", 202, lambda ids: {"events": [{**VIEWED, "id": one} for one in ids]}),
        ("/api/v1/events", 202, lambda ids: [{**VIEWED, "id": one} for one in ids]),
        ("/v1/batch", 200, lambda ids: {"batch": [{"event": "a", "userId": "u", "messageId": one} for one in ids]}),
        ("/v1/import", 200, lambda ids: {"batch": [{"event": "a", "userId": "u", "messageId": one} for one in ids]}),
    ],
)
def test_a_limit_counts_the_events_of_a_batch(
    stream: "redis.Redis", path: str, status: int, body: Callable[[Sequence[str]], Any]
) -> None:
    asker = make_asker("events:write", per_minute=10)

    first = asker.ask("POST", path, body(list("abcdef")))
    assert (first.status_code, first["RateLimit"].split(";")[1]) == (status, "r=4")
    refused = asker.ask("POST", path, body(list("ghijk")))
    said = problem(refused, 429, "too_many_requests")
    assert "counts as 5, and 3 of the 10" in said["detail"]  # itself it counted as one
    assert refused["RateLimit-Policy"] == '"events:write";q=10;w=60'
    assert refused["RateLimit"].split(";")[1] == "r=3"
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert asker.ask("POST", path, body(list("ghi"))).status_code == status
    assert asker.ask("POST", path, body(["j"])).status_code == 429
    assert (take().events, Event.objects.count()) == (9, 9)


@pytest.mark.parametrize(("path", "name"), [("/api/v1/events", "events"), ("/v1/batch", "batch")])
def test_what_no_minute_has_room_for_is_not_to_be_sent_again(stream: "redis.Redis", path: str, name: str) -> None:
    asker = make_asker("events:write", per_minute=3)
    told = {"name": "a", "event": "a", "userId": "u"} if name == "batch" else VIEWED

    answer = asker.ask("POST", path, {name: [told] * 4})
    problem(answer, 413, "more_than_a_minute")
    assert "Retry-After" not in answer
    assert stream.xlen(STREAM) == 0


def test_events_that_are_wrong_count_too() -> None:
    asker = make_asker("events:write", per_minute=10)

    assert asker.post("events", {"events": [VIEWED, {"name": ""}, 7]})["RateLimit"].split(";")[1] == "r=7"
    assert asker.post("events", {"events": [{"name": ""}] * 4}).status_code == 422
    assert asker.post("events", VIEWED)["RateLimit"].split(";")[1] == "r=2"


@pytest.mark.django_db(transaction=True)
def test_batches_at_once_come_to_the_limit_and_not_beyond(stream: "redis.Redis") -> None:
    asker = make_asker(kind="event_source", per_minute=100)
    told = [{"event": "a", "userId": "u"}] * 10
    with ThreadPoolExecutor(6) as threads:

        def send(_: int) -> int:
            try:
                return int(as_segment(asker, "batch", {"batch": told}).status_code)
            finally:
                connection.close()

        statuses = list(threads.map(send, range(24)))

    accepted = statuses.count(200)
    assert statuses.count(429) == 24 - accepted
    # Each that was refused counted as one, so that the tenth may not have fitted any more; an eleventh never does.
    assert 9 <= accepted <= 10
    assert stream_look().events == accepted * 10


# --- as Segment's libraries send them: test_segment.py has the libraries themselves ---


def as_segment(asker: Asker, call: str, body: Any, **headers: str) -> Any:
    return asker.ask("POST", f"/v1/{call}", body, **headers)


@pytest.mark.parametrize(
    ("call", "body", "name"),
    [
        ("track", {"event": "Tea Drunk", "userId": "s-1"}, "Tea Drunk"),
        ("identify", {"userId": "s-1", "traits": {"plan": "pro"}}, "User Identified"),
        ("page", {"userId": "s-1", "name": "Home"}, "Page Viewed"),
        ("screen", {"userId": "s-1", "name": "Basket"}, "Screen Viewed"),
        ("group", {"userId": "s-1", "groupId": "g"}, "Group Joined"),
        ("alias", {"userId": "s-1", "previousId": "old"}, "User Aliased"),
        ("batch", {"batch": [{"type": "track", "event": "Tea Drunk", "userId": "s-1"}]}, "Tea Drunk"),
    ],
)
def test_each_call_is_answered_as_segment_does(call: str, body: dict[str, Any], name: str) -> None:
    asker = make_asker(kind="event_source")

    answer = as_segment(asker, call, body)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    take()

    event = Event.objects.get()
    person = known_by("external_id", f"{asker.client.code}:s-1")
    assert (event.name, event.profile_id, event.source) == (name, person.pk, asker.client_source)


def test_a_call_that_is_none_is_a_400_which_nobody_sends_again(stream: "redis.Redis") -> None:
    asker = make_asker(kind="event_source")

    bodies: list[Any] = [b"no json", {"batch": []}, {"batch": [7]}]
    for body in bodies:
        assert as_segment(asker, "batch", body).status_code == 400
    assert stream.xlen(STREAM) == 0
    assert as_segment(asker, "buy", {}).status_code == 404


@pytest.mark.parametrize(("kind", "status"), [("event_source", 200), ("channel", 401)])
def test_a_write_key_is_basics_user_or_in_the_body_and_only_of_sources_of_events(
    stream: "redis.Redis", kind: str, status: int
) -> None:
    asker = make_asker(kind=kind)

    told = {"event": "a"}
    answers = [
        as_segment(asker, "track", told, Authorization=basic(asker.key)),
        as_segment(asker, "track", {**told, "writeKey": asker.key}, Authorization=""),
        as_segment(asker, "track", {**told, "writeKey": asker.key}, Authorization=basic("wrong")),
    ]
    assert [answer.status_code for answer in answers] == [status, status, 401]
    assert stream.xlen(STREAM) == (2 if status == 200 else 0)
    problem(as_segment(asker, "track", told, Authorization=""), 401, "key_missing")


def basic(key: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{key}:".encode()).decode()


def test_the_body_has_room_for_a_batch_of_segments() -> None:
    assert django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE >= django_settings.EVENT_BODY_LIMIT
