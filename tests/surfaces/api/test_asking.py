"""Asking for decisions: the same engine, kept before it is given, and an answer in time whatever is away."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import orjson
import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.test import Client, RequestFactory

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw, consents_grant_new
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions import asking as asking_of_decisions
from apps.decisioning.decisions import generic, services
from apps.decisioning.decisions.asking import Wish, decision_make, is_shared
from apps.decisioning.decisions.engine import decide as decide_alone
from apps.decisioning.decisions.models import Answer
from apps.decisioning.decisions.replay import answer_replay
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update
from apps.foundation.accounts.models import ApiClient, ApiKey
from apps.foundation.core import limits, quick, timely
from apps.foundation.core.clock import now
from apps.foundation.core.gathering import Gathering
from apps.foundation.core.straight import Straight
from apps.surfaces.api.v1.decisions import asking
from tests.factories import approve, make_profile, make_published
from tests.surfaces.api.makers import Asker, make_asker
from tests.wires import Wire

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def connections_of_answers(settings: Any) -> Iterator[None]:
    """Connections of this test alone, which end with it."""
    settings.ANSWER_CONNECTIONS, settings.ANSWER_SECONDS = 2, 5.0
    timely._pool.cache_clear()
    yield
    timely._pool().close()
    timely._pool.cache_clear()


def _wire(of: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A way to PostgreSQL or Redis that can hang, by which answers go from now on."""
    if of == "postgres":
        known = connections.settings["default"]
        wire = Wire(known["HOST"], int(known["PORT"]))
        monkeypatch.setitem(known, "HOST", "127.0.0.1")
        monkeypatch.setitem(known, "PORT", str(wire.port))
        return wire
    url = urlsplit(settings.REDIS_URL)
    wire = Wire(str(url.hostname), int(url.port or 0))
    netloc = f"{url.netloc.rpartition('@')[0]}{'@' if '@' in url.netloc else ''}127.0.0.1:{wire.port}"
    settings.REDIS_URL = urlunsplit(url._replace(netloc=netloc))
    return wire


def _until_decided(asker: Asker, person: Profile) -> dict[str, Any]:
    """The first answer that is decided again."""
    for _ in range(300):
        if not (answer := _ask(asker, person)[0])["generic"]:
            return answer
        time.sleep(0.1)
    raise AssertionError("no answer is decided any more")


def _person(**fields: Any) -> Profile:
    """Somebody who agreed to be shown marketing on pages."""
    person = make_profile(**fields)
    grants = [(person.pk, now())]
    terms: dict[str, Any] = {"method": ConsentRecord.Method.API, "source": "test", "evidence": "the shop"}
    consents_grant_new(grants=grants, purpose="marketing", channel=Channel.WEB, **terms)
    return person


def _shown(placement: str = "home-hero", **fields: Any) -> Playbook:
    return make_published(trigger="api", channel="web", placement=placement, **fields)


def _ask(asker: Asker, *people: Profile, **body: Any) -> list[dict[str, Any]]:
    wish = {"placements": ["home-hero"], "profiles": [one.pk for one in people], **body}
    answer = asker.post("decisions", {name: value for name, value in wish.items() if value})
    assert answer.status_code == 200, answer.content
    return list(answer.json()["answers"])


def _words(answer: dict[str, Any]) -> str:
    return str({slot["slot"]: slot for slot in answer["slots"]}["hero"]["fields"]["words"])


def test_a_place_is_decided_for_each_person_kept_and_computed_again() -> None:
    playbook = _shown()
    german, french, never = _person(country="DE", language="de"), _person(country="FR"), make_profile()
    asker = make_asker("decisions:make")
    answers = _ask(asker, german, french, never)
    assert [(one["profile"], one["outcome"], _words(one)) for one in answers] == [
        (german.pk, "send", "Versand gratis"),
        (french.pk, "send", "New teas"),
        (never.pk, "no_consent", "New teas"),  # what everybody may see, and nothing else
    ]
    assert {(one["playbook"], one["generic"], one["ttl"]) for one in answers} == {(playbook.code, False, 300)}
    rows = {str(row.pk): row for row in Answer.objects.all()}
    assert {one["id"]: one["outcome"] for one in answers} == {pk: row.outcome for pk, row in rows.items()}
    assert {row.client for row in rows.values()} == {asker.client.code}
    consent_withdraw(
        profile_id=german.pk, purpose="marketing", channel="web", method=ConsentRecord.Method.STAFF, source="test"
    )
    assert [answer_replay(pk).state for pk in rows] == ["same"] * 3
    [after] = _ask(asker, german)
    assert (after["outcome"], _words(after)) == ("withdrawn", "New teas")  # at once
    key_destroy(french.pk)
    assert {answer_replay(one["id"]).state for one in answers if one["profile"] == french.pk} == {"gone"}


def test_somebody_unknown_gets_what_everybody_may_see() -> None:
    _shown()
    [answer] = _ask(make_asker("decisions:make"), language="de-AT")
    assert (answer["id"], answer["generic"], answer["profile"], _words(answer)) == (None, True, None, "Neue Tees")
    assert not Answer.objects.exists()


def test_one_person_and_a_batch_get_the_same() -> None:
    _shown()
    people = [_person(country=country) for country in ("DE", "FR", "AT", "IT")]
    batch = _ask(make_asker("decisions:make"), *people)
    single = [decision_make(profile_id=one.pk, placement="home-hero") for one in people]
    assert [(one["tier"], one["slots"]) for one in batch] == [(one.tier, one.slots) for one in single]


def test_what_is_published_holds_at_once_and_the_more_important_goes_first() -> None:
    asker, person = make_asker("decisions:make"), _person()
    low = _shown(priority=2)
    assert _ask(asker, person)[0]["playbook"] == low.code
    high = _shown(priority=8, holdout_percent=50)
    fifty = [_person() for _ in range(12)]
    got = {one["playbook"] for one in _ask(asker, *fifty)}
    assert got == {low.code, high.code}  # who is held out of one gets the next
    playbook_update(playbook_id=low.pk, by=low.owner, priority=9)
    version = approve(playbook_submit(playbook_id=low.pk, by=low.owner))
    playbook_publish(version_id=version.pk, by=low.owner)
    assert {one["playbook"] for one in _ask(asker, *fifty)} == {low.code}


def test_a_playbook_by_its_code_says_nothing_to_whom_it_may_not() -> None:
    playbook = make_published(trigger="api", channel="email")
    agreed, never = make_profile(consent=("marketing",)), make_profile()
    asker = make_asker("decisions:make")
    answers = _ask(asker, agreed, never, placements=[], playbook=playbook.code)
    assert [(one["outcome"], bool(one["slots"])) for one in answers] == [("send", True), ("no_consent", False)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"placements": ["home-hero"], "profiles": [2**62]}, 404, "profile_unknown"),
        ({"placements": ["nowhere"]}, 404, "nothing_published"),
        ({"placements": ["home-hero"], "playbook": "news"}, 422, "content_wrong"),
        ({}, 422, "content_wrong"),
        ({"placements": ["home-hero"], "profiles": [True]}, 422, "content_wrong"),
        ({"placements": ["home-hero", "home-hero"]}, 422, "content_wrong"),
        ({"placements": ["home-hero"], "mood": 1}, 422, "content_wrong"),
        ({"placements": ["a", "b"], "profiles": list(range(1, 60))}, 422, "too_many"),
        ([], 422, "content_wrong"),
        (b"{", 400, "json_wrong"),
    ],
)
def test_what_is_refused_keeps_nothing(body: Any, status: int, code: str) -> None:
    _shown()
    answer = make_asker("decisions:make").post("decisions", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Answer.objects.exists()


def test_a_key_without_the_scope_learns_nothing() -> None:
    _shown()
    assert make_asker("decisions:read").post("decisions", {"placements": ["home-hero"]}).status_code == 403


@pytest.mark.parametrize("fault", ["away", "hangs"])
def test_without_the_database_a_place_shows_what_everybody_may_see(
    fault: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    # given a process that answered before
    playbook, person = _shown(), _person(country="DE", language="de")
    asker, stranger = make_asker("decisions:make"), make_asker("decisions:make")
    wire = _wire("postgres", settings, monkeypatch)
    assert _ask(asker, person)[0]["outcome"] == "send"
    before = Answer.objects.count()
    # when the database hangs, or is away
    settings.ANSWER_SECONDS = 0.5
    wire.silent.set() if fault == "hangs" else wire.cut()
    # then the answer is everybody's, without an id, as often as asked
    for _ in range(5):
        [answer] = _ask(asker, person)
        assert (answer["id"], answer["generic"], answer["outcome"], _words(answer)) == (None, True, "send", "New teas")
        assert (answer["playbook"], answer["profile"]) == (playbook.code, person.pk)
    # nobody is let to the database any more
    assert timely._pool()._faults >= timely.FAULTS
    # nobody is answered whose key this process has not seen, nor what is to be sent
    assert stranger.post("decisions", {"placements": ["home-hero"]}).status_code == 503
    assert asker.post("decisions", {"playbook": playbook.code, "profiles": [person.pk]}).status_code == 503
    assert Answer.objects.count() == before
    # and once it is back, answers are decided again, with nobody's doing
    settings.ANSWER_SECONDS = 5.0
    wire.silent.clear()
    wire.join()
    assert _until_decided(asker, person)["outcome"] == "send"
    wire.close()


def test_while_redis_hangs_answers_are_decided_all_the_same(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    _shown()
    person = _person(country="DE", language="de")
    asker = make_asker("decisions:make", per_minute=100)  # a low limit is counted each time
    wire = _wire("redis", settings, monkeypatch)
    first = _ask(asker, person)[0]
    wire.silent.set()
    answers = [_ask(asker, person)[0] for _ in range(quick.FAULTS + 2)]
    assert [(one["outcome"], one["slots"]) for one in answers] == [("send", first["slots"])] * len(answers)
    with pytest.raises(quick.LeftAlone):
        quick.redis_quick(settings.REDIS_URL, limits._WAIT_SECONDS).ping()
    wire.close()


def _elsewhere(change: Callable[[], Any]) -> None:
    """Change something by another connection, as another process would."""

    def run() -> None:
        try:
            change()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        other.submit(run).result(60)


def test_a_client_that_was_switched_off_or_whose_key_was_revoked_is_refused_at_once() -> None:
    _shown()
    one, other, third = (make_asker("decisions:make") for _ in range(3))
    person = _person()
    for asker in (one, other, third):
        assert _ask(asker, person)
    _elsewhere(lambda: ApiClient.objects.filter(pk=one.client.pk).update(active=False))
    _elsewhere(lambda: ApiKey.objects.filter(client=other.client).update(revoked_at=now()))
    _elsewhere(lambda: ApiClient.objects.filter(pk=third.client.pk).update(scopes=["decisions:read"]))
    before = Answer.objects.count()
    wish = {"placements": ["home-hero"], "profiles": [person.pk]}
    assert [asker.post("decisions", wish).status_code for asker in (one, other, third)] == [401, 401, 403]
    assert one.post("decisions", {"placements": ["home-hero"]}).status_code == 401
    assert one.post("decisions", {"placements": ["home-hero"], "profiles": [2**61]}).status_code == 401
    assert Answer.objects.count() == before


def test_what_changes_elsewhere_holds_for_the_next_answer() -> None:
    _shown()
    person, asker = _person(country="DE", language="de"), make_asker("decisions:make")
    assert _words(_ask(asker, person)[0]) == "Versand gratis"
    _elsewhere(lambda: Profile.objects.filter(pk=person.pk).update(country="FR"))
    assert _words(_ask(asker, person)[0]) == "Neue Tees"
    terms: dict[str, Any] = {"method": ConsentRecord.Method.STAFF, "source": "test"}
    _elsewhere(lambda: consent_withdraw(profile_id=person.pk, purpose="marketing", channel="web", **terms))
    assert _ask(asker, person)[0]["outcome"] == "withdrawn"
    newer = _shown(priority=9)
    assert _ask(asker, person)[0]["playbook"] == newer.code


def _straight(way: Straight, asker: Asker, body: Any, **environ: str) -> tuple[int, dict[str, str], Any]:
    """What is answered by the short way: status, headers and content."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    said: list[Any] = []
    whole = {
        **RequestFactory().generic("POST", "/api/v1/decisions", raw, content_type="application/json").environ,
        "HTTP_AUTHORIZATION": f"Bearer {asker.key}",
        **environ,
    }
    content = b"".join(way(whole, lambda *told: said.append(told)))
    [(status, headers)] = said
    assert len(dict(headers)) == len(headers)
    return int(status.split()[0]), dict(headers), orjson.loads(content) if content.startswith(b"{") else content


_OWN = {"id", "instance", "X-Request-Id", "RateLimit", "Content-Length"}


def _shared_by_all(value: Any) -> Any:
    """An answer without what differs each time."""
    if isinstance(value, dict):
        return {name: _shared_by_all(one) for name, one in value.items() if name not in _OWN}
    return list(map(_shared_by_all, value)) if isinstance(value, list) else value


def test_the_short_way_says_what_the_long_way_says() -> None:
    _shown()
    way = Straight(get_wsgi_application())
    asker, person, low = make_asker("decisions:make"), _person(), make_asker("decisions:read")
    wish = _of(person.pk)
    cases: list[tuple[Asker, Any, dict[str, str]]] = [
        (asker, wish, {}),
        (asker, {"placements": ["home-hero"]}, {}),
        (asker, {"placements": []}, {}),
        (asker, b"{", {}),
        (asker, b" " * 70_000, {}),
        (asker, _of(2**60), {}),
        (low, wish, {}),
        (asker, wish, {"HTTP_AUTHORIZATION": "Bearer nothing"}),
        (asker, wish, {"HTTP_HOST": "elsewhere.example"}),
        (asker, wish, {"REQUEST_METHOD": "PUT"}),
        (asker, wish, {"QUERY_STRING": f"key={asker.key}", "HTTP_AUTHORIZATION": ""}),
        (asker, wish, {"CONTENT_TYPE": "text/plain"}),
    ]
    statuses = []
    for client, body, environ in cases:
        status, headers, content = _straight(way, client, body, **environ)
        long = Client(raise_request_exception=False).generic(
            "POST",
            "/api/v1/decisions",
            body if isinstance(body, bytes) else orjson.dumps(body),
            **cast(Any, {"CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": f"Bearer {client.key}", **environ}),
        )
        long_content = orjson.loads(long.content) if long.content.startswith(b"{") else long.content
        assert (status, _shared_by_all(content)) == (long.status_code, _shared_by_all(long_content))
        assert _shared_by_all(headers) == _shared_by_all(dict(long.headers))
        statuses.append(status)
    assert statuses == [200, 200, 422, 400, 413, 404, 403, 401, 400, 405, 400, 415]


def test_the_short_way_keeps_what_holds_for_all_addresses(settings: Any) -> None:
    _shown()
    asker, person = make_asker("decisions:make"), _person()
    status, headers, content = _straight(Straight(get_wsgi_application()), asker, _of(person.pk))
    assert (status, content["answers"][0]["outcome"]) == (200, "send")
    assert headers.items() >= {
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    }
    assert headers["Content-Length"] == str(len(orjson.dumps(content)))
    assert UUID(headers["X-Request-Id"]).version == 7
    assert headers["RateLimit"].startswith('"decisions:make";')
    # where only HTTPS is spoken, nothing is answered without it
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    way = Straight(get_wsgi_application())
    status, headers, _ = _straight(way, asker, _of(person.pk))
    assert (status, headers["Location"]) == (301, "https://testserver/api/v1/decisions")
    assert Answer.objects.count() == 1
    status, headers, _ = _straight(way, asker, _of(person.pk), **{"wsgi.url_scheme": "https"})
    assert (status, headers["Strict-Transport-Security"][:10]) == (200, "max-age=60")
    assert _straight(way, asker, _of(person.pk), HTTP_HOST="other.example", **{"wsgi.url_scheme": "https"})[0] == 400
    assert Answer.objects.count() == 2


def test_a_process_is_ready_before_it_is_asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    _shown()
    generic._offers.clear()
    asking.answers_warm()
    assert is_shared(Wish(("home-hero",), profiles=(1,)))
    generic._offers.clear()
    wire = _wire("postgres", settings, monkeypatch)
    wire.cut()
    timely._pool().close()
    monkeypatch.setattr(asking, "_WARM_SECONDS", 0.2)
    asking.answers_warm()  # and it starts all the same
    assert not generic.offers_remembered()
    wire.close()


def test_whether_others_wait_for_a_wish_is_told_without_asking_the_database(
    django_assert_num_queries: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = _shown(), _shown("till", budget="transactional", purpose="transactional")
    wish = Wish(("home-hero",), profiles=(1,))
    asking.answers_warm()
    with django_assert_num_queries(0):
        assert is_shared(wish)
        assert not is_shared(replace(wish, placements=("till",)))  # it may ask a live source
        assert not is_shared(replace(wish, placements=("nowhere",)))
        assert not is_shared(replace(wish, profiles=tuple(range(1, 12))))
        assert is_shared(Wish(playbook=quick.code, profiles=(1,)))
        assert not is_shared(Wish(playbook=slow.code, profiles=(1,)))
        monkeypatch.setattr(asking_of_decisions, "_quick", {})
        assert not is_shared(wish)  # not known yet: alone, in the time that is left


def _at_once(
    wishes: Sequence[tuple[Asker, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, *, before: Callable[[], Any]
) -> tuple[list[Any], list[int]]:
    """What each is answered when all come while one answer, the first, is being decided; and the sizes of batches.

    before: done when all the others wait.
    """
    monkeypatch.setattr(asking, "_shared", Gathering(asking._together))
    sizes: list[int] = []
    decide = asking._shared.do
    begun = Event()

    def held_up(some: Sequence[Wish], deadline: float) -> Any:
        sizes.append(len(some))
        if len(sizes) == 1:
            begun.set()
            _until(lambda: len(asking._shared._waiting) == len(wishes) - 1)
            before()
        return decide(some, deadline)

    def ask(asker: Asker, wish: dict[str, Any]) -> Any:
        try:
            return asker.post("decisions", wish)
        finally:
            connection.close()

    monkeypatch.setattr(asking._shared, "do", held_up)
    with ThreadPoolExecutor(len(wishes)) as threads:
        first = threads.submit(ask, *wishes[0])
        assert begun.wait(60)
        rest = [threads.submit(ask, *one) for one in wishes[1:]]
        return [one.result(60) for one in (first, *rest)], sizes


def _until(met: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def _of(*people: int) -> dict[str, Any]:
    return {"placements": ["home-hero"], "profiles": list(people)}


def test_what_many_ask_at_once_is_decided_together_and_each_gets_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # given many clients that this process knows, of which one is switched off when all wait
    _shown()
    shop, app, revoked = (make_asker("decisions:make") for _ in range(3))
    people = [_person(country=country, language="de").pk for country in ("DE", "FR", "AT", "IT", "GB")]
    for asker in (shop, app, revoked):
        assert asker.post("decisions", _of(people[0])).status_code == 200
    before = Answer.objects.count()
    wishes = [(one, _of(*some)) for some in ([people[0]], people[1:3], people[2:], [2**60]) for one in (shop, app)]
    wishes.append((revoked, _of(people[0])))

    def change() -> None:
        ApiClient.objects.filter(pk=revoked.client.pk).update(active=False)
        consent_withdraw(
            profile_id=people[1], purpose="marketing", channel="web", method=ConsentRecord.Method.STAFF, source="test"
        )

    # when they ask while one answer is under way
    answers, sizes = _at_once(wishes, monkeypatch, before=lambda: _elsewhere(change))
    # then all of them are one batch
    assert sizes == [1, len(wishes) - 1]
    assert [one.status_code for one in answers] == [200] * 6 + [404] * 2 + [401]
    told = [(wish[0].client.code, one) for wish, some in zip(wishes, answers, strict=True)
            if some.status_code == 200 for one in some.json()["answers"]]  # fmt: skip
    rows = {str(row.pk): row for row in Answer.objects.order_by("decided_at")[before:]}
    assert sorted((one["id"], code, one["profile"]) for code, one in told) == sorted(
        (pk, row.client, row.profile_id) for pk, row in rows.items()
    )
    assert {one["outcome"] for _, one in told if one["profile"] == people[1]} == {"withdrawn"}  # read fresh
    alone = {pk: decision_make(profile_id=pk, placement="home-hero") for pk in people}
    for _, one in told:
        same = alone[one["profile"]]
        assert (one["outcome"], one["tier"], one["slots"]) == (same.outcome, same.tier, same.slots)
    assert {answer_replay(pk).state for pk in rows} == {"same"}


def test_one_person_who_breaks_deciding_breaks_it_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    _shown()
    asker = make_asker("decisions:make")
    people = [_person(country="NZ" if place == 3 else "DE").pk for place in range(5)]  # nobody is like that one
    assert asker.post("decisions", _of(people[0])).status_code == 200
    engine = decide_alone

    def decide(plan: Any, person: Any, at: Any) -> Any:
        if person.seed == people[3]:
            raise ZeroDivisionError
        return engine(plan, person, at)

    monkeypatch.setattr(services, "decide", decide)
    answers, sizes = _at_once([(asker, _of(one)) for one in people], monkeypatch, before=lambda: None)
    assert sizes == [1, 4]
    assert [one.status_code for one in answers] == [200, 200, 200, 500, 200]
    assert {one.json()["answers"][0]["outcome"] for one in answers if one.status_code == 200} == {"send"}


def test_who_waits_for_others_gets_what_everybody_may_see_when_the_database_hangs(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    playbook, person = _shown(), _person(country="DE", language="de")
    asker = make_asker("decisions:make")
    wire = _wire("postgres", settings, monkeypatch)
    assert _ask(asker, person)[0]["outcome"] == "send"
    before = Answer.objects.count()
    settings.ANSWER_SECONDS = 1.0
    answers, sizes = _at_once([(asker, _of(person.pk))] * 12, monkeypatch, before=wire.silent.set)
    assert [one.json()["answers"][0]["generic"] for one in answers] == [True] * 12
    assert asker.post("decisions", {"playbook": playbook.code, "profiles": [person.pk]}).status_code == 503
    assert sizes[0] == 1
    assert len(sizes) < 12  # not one after the other
    # nobody is held up any more, and once it is back, answers are decided again
    assert (asking._shared._busy, len(asking._shared._waiting)) == (0, 0)
    settings.ANSWER_SECONDS = 5.0
    wire.silent.clear()
    assert _until_decided(asker, person)["outcome"] == "send"
    assert Answer.objects.count() == before + 1
    wire.close()
