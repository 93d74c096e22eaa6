"""Asking for decisions: the same engine, kept before it is given, and an answer in time whatever is away."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from django.db import connection, connections

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw, consents_grant_new
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions.asking import decision_make
from apps.decisioning.decisions.models import Answer
from apps.decisioning.decisions.replay import answer_replay
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update
from apps.foundation.accounts.models import ApiClient, ApiKey
from apps.foundation.core import limits, quick, timely
from apps.foundation.core.clock import now
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
    timely.timely_close()
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


def test_the_short_way_to_the_endpoint_keeps_what_holds_for_all_addresses() -> None:
    _shown()
    asker, person = make_asker("decisions:make"), _person()
    wish = {"placements": ["home-hero"], "profiles": [person.pk]}
    answer = asker.post("decisions", wish)
    assert answer.headers.items() >= {
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
    }
    assert answer["Content-Length"] == str(len(answer.content))
    assert UUID(answer["X-Request-Id"]).version == 7
    assert answer["RateLimit"].startswith('"decisions:make";')
    assert asker.post("decisions", wish, Host="elsewhere.example").status_code == 400
    assert asker.ask("PUT", "decisions", wish).status_code == 405
    assert Answer.objects.count() == 1
