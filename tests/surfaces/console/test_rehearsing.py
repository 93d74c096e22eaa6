"""Pages of dry runs and tests: what they say, who may open them, and that what is refused changes nothing."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.services import playbook_submit, playbook_update
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.governance.models import Review
from apps.surfaces.console.dry_runs import dry_run_go, dry_run_start
from apps.surfaces.console.models import DryRun, DryRunSample, TestSend
from apps.surfaces.console.own_tests import Wish, own_test_make
from apps.surfaces.console.rehearsals import dry_run_for, figures_of, pace_in_words, standing_of
from tests.factories import make_playbook, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.surfaces.console.receivers.enqueue_on_commit", lambda *args: None)


@pytest.fixture
def playbook() -> Playbook:
    return make_playbook()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def done(playbook: Playbook, version: PlaybookVersion | None = None) -> DryRun:
    dry_run = dry_run_start(playbook_id=playbook.pk, by=make_user(), version_id=version.pk if version else None)
    dry_run_go(dry_run_id=dry_run.pk)
    dry_run.refresh_from_db()
    return dry_run


def words(client: Client, path: str) -> str:
    """A page's text, white space made one."""
    page = client.get(path)
    assert page.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def page_of(dry_run: DryRun) -> str:
    return reverse("console:dry_run", args=[dry_run.pk])


def test_a_dry_run_is_made_by_a_button_and_its_page_tells_all(playbook: Playbook) -> None:
    for number in range(3):
        make_profile(consent=("marketing",), first_name=f"Carla {number}", country="DE", language="de")
    make_profile(consent=("marketing",))
    make_profile()
    client = signed_in(make_user())

    made = client.post(reverse("console:dry_runs", args=[playbook.pk]))
    dry_run = DryRun.objects.get()
    waiting = words(client, page_of(dry_run))
    dry_run_go(dry_run_id=dry_run.pk)
    text = words(client, page_of(dry_run))

    assert made["Location"] == page_of(dry_run)
    assert "Counting who is in the audience" in waiting
    assert "In the audience 5 Would get it 4 Withheld 1" in text
    assert "Everybody in the audience is decided about" in text
    assert "Never agreed to it Ask for consent where people sign up" in text
    assert "1. German speaking" in text
    assert "It is of the playbook as it stands now." in text
    assert "Gmail cuts a message off at 102 kB of HTML. None of these is cut." in text
    assert "How fast the mail server takes them is not known yet" in text
    assert "Hero: German speaking · Products: Static · de" in text
    assert "Carla" not in text
    assert "@example.com" not in text


def test_the_part_that_moves_comes_alone(playbook: Playbook) -> None:
    make_profile(consent=("marketing",))
    dry_run = done(playbook)

    part = signed_in(make_user()).get(page_of(dry_run), headers={"HX-Request": "true"}).content.decode()

    assert part.strip().startswith('<div class="t-live" data-settled="yes"')
    assert "<html" not in part


def test_a_sample_shows_the_message_and_why(playbook: Playbook) -> None:
    make_profile(consent=("marketing",), first_name="Carla", country="DE", language="de-AT")
    never = make_profile(first_name="Never")
    dry_run = done(playbook)
    client = signed_in(make_user())
    sent, withheld = (reverse("console:dry_run_sample", args=[dry_run.pk, place]) for place in (1, 2))

    page = client.get(sent).content.decode()

    assert "Hello Carla" in page
    assert "Versand gratis" in page
    assert "country is DE" in page
    assert "Decided to send; answered by the static tier." in page
    assert "They speak de-AT" in page
    assert "Sample 1 of 2" in page
    assert 'sandbox=""' in page
    assert "/t/" in page
    assert not re.search(r"/[up]/k1\.", page)
    assert "Hello Carla" in client.get(f"{sent}?view=text").content.decode()
    assert "t-mail-phone" in client.get(f"{sent}?view=phone").content.decode()
    assert client.get(f"{sent}?view=else").status_code == 404
    assert client.get(reverse("console:dry_run_sample", args=[dry_run.pk, 3])).status_code == 404
    text = words(client, withheld)
    assert "They would get nothing" in text
    assert "Withheld: never agreed to this." in text
    assert f"Profile {never.pk}" in text
    assert "iframe" not in client.get(withheld).content.decode()


def test_a_sample_who_left_meanwhile_gets_nothing_and_the_page_says_so(playbook: Playbook) -> None:
    person = make_profile(consent=("marketing",), first_name="Carla")
    dry_run = done(playbook)
    consent_withdraw(
        profile_id=person.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test"
    )

    page = signed_in(make_user()).get(reverse("console:dry_run_sample", args=[dry_run.pk, 1])).content.decode()

    assert "It has changed since it was counted." in page
    assert "Left: consent was withdrawn" in page
    assert "Carla" not in page


def test_those_who_may_not_see_customers_see_no_samples(playbook: Playbook) -> None:
    make_profile(consent=("marketing",))
    dry_run = done(playbook)
    user = make_user("analyst")
    user.groups.get().permissions.filter(codename="view_profile").delete()
    client = signed_in(user)

    assert "Your role may not see customers" in words(client, page_of(dry_run))
    assert client.get(reverse("console:dry_run_sample", args=[dry_run.pk, 1])).status_code == 403


def test_nobody_in_the_audience_teaches_what_to_do(playbook: Playbook) -> None:
    text = words(signed_in(make_user()), page_of(done(playbook)))

    assert "Nobody is in the audience" in text
    assert "Open the audience" in text


def test_everybody_withheld_teaches_why_and_what_to_do(playbook: Playbook) -> None:
    for _ in range(3):
        make_profile()

    text = words(signed_in(make_user()), page_of(done(playbook)))

    assert "Everybody would be withheld Never agreed to it : 3 (100.0 %). Ask for consent" in text


def test_a_sample_of_a_large_audience_is_stated_with_its_margin(playbook: Playbook, settings: Settings) -> None:
    settings.DRY_RUN_PEOPLE = 10
    for _ in range(40):
        make_profile(consent=("marketing",))

    dry_run = done(playbook)
    text = words(signed_in(make_user()), page_of(dry_run))

    assert "Of 40 people, 10 are drawn by lot" in text
    assert "at most 27.2 percentage points off" in text
    assert "Would get it ≈ 40" in text
    assert figures_of(dry_run).messages == 40


def test_what_is_of_something_else_or_old_is_marked() -> None:
    playbook = make_playbook()
    dry_run = done(playbook)
    assert standing_of(dry_run).good

    playbook_update(playbook_id=playbook.pk, by=playbook.owner, send_within_hours=5)
    dry_run = DryRun.objects.select_related("playbook").get(pk=dry_run.pk)
    changed = standing_of(dry_run)
    assert not changed.good
    assert "was changed since" in changed.words

    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    found, standing = dry_run_for(version)
    assert found == dry_run
    assert standing is not None
    assert not standing.good
    assert "of other content" in standing.words

    fresh = done(Playbook.objects.get(pk=playbook.pk), version)
    found, standing = dry_run_for(version)
    assert found == fresh
    assert standing is not None
    assert standing.good
    DryRun.objects.filter(pk=fresh.pk).update(finished_at=now() - timedelta(hours=25))
    _, standing = dry_run_for(version)
    assert standing is not None
    assert "over a day old" in standing.words


def test_the_dry_run_of_a_draft_counts_for_the_version_of_the_same_digest(playbook: Playbook) -> None:
    dry_run = done(playbook)
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)

    found, standing = dry_run_for(version)

    assert found == dry_run
    assert standing is not None
    assert standing.good


def test_an_estimate_says_what_it_rests_on(playbook: Playbook) -> None:
    for _ in range(2):
        make_profile(consent=("marketing",))
    dry_run = done(playbook)
    dry_run.pace = {"runs": 2, "messages": 3000, "per_second": 0.1}

    figures = figures_of(dry_run)

    assert figures.estimate is not None
    assert figures.estimate.seconds == figures.estimate.sending == 20.0
    assert "in the last 2 runs: 3,000 messages, 0.1 a second" in pace_in_words(figures)


def test_a_playbook_that_could_not_be_handed_in_says_what_is_missing(playbook: Playbook) -> None:
    Playbook.objects.filter(pk=playbook.pk).update(slots={})
    client = signed_in(make_user())

    dry = client.post(reverse("console:dry_runs", args=[playbook.pk]))
    test = client.get(reverse("console:test_send", args=[playbook.pk]))

    assert dry.status_code == test.status_code == 409
    assert "There can be no dry run yet" in dry.content.decode()
    assert "slots.hero" in dry.content.decode()
    assert "slots.hero" in test.content.decode()
    assert not DryRun.objects.exists()


def test_an_analyst_sees_and_changes_nothing(playbook: Playbook) -> None:
    dry_run = done(playbook)
    client = signed_in(make_user("analyst"))
    list_page = reverse("console:dry_runs", args=[playbook.pk])

    assert "Dry run of the draft" not in words(client, list_page)
    assert "Once more" not in words(client, page_of(dry_run))
    assert client.post(list_page).status_code == 409
    for name in ("dry_run_stop", "dry_run_go_on"):
        assert client.post(reverse(f"console:{name}", args=[dry_run.pk])).status_code == 403
    assert client.post(reverse("console:test_send", args=[playbook.pk]), {"seen_as": "anna"}).status_code == 403
    assert DryRun.objects.count() == 1
    assert not TestSend.objects.exists()


def test_it_is_stopped_and_goes_on_by_buttons(playbook: Playbook) -> None:
    make_profile(consent=("marketing",))
    dry_run = dry_run_start(playbook_id=playbook.pk, by=make_user())
    client = signed_in(make_user("publisher"))

    stopped = client.post(reverse("console:dry_run_stop", args=[dry_run.pk]), follow=True)
    assert "Go on" in stopped.content.decode()
    client.post(reverse("console:dry_run_go_on", args=[dry_run.pk]))

    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.PREPARING
    again = client.post(reverse("console:dry_run_go_on", args=[dry_run.pk]), follow=True)
    assert "This dry run is not stopped" in again.content.decode()
    assert client.get(reverse("console:dry_run_stop", args=[dry_run.pk])).status_code == 405


def test_a_version_is_looked_at_by_its_own_button() -> None:
    playbook = make_published()
    client = signed_in(make_user())
    path = reverse("console:dry_runs", args=[playbook.pk])
    assert "Dry run of v1 (published)" in words(client, path)

    client.post(path, {"version": playbook.published_id})

    assert DryRun.objects.get().version_id == playbook.published_id
    for wrong in ("0", "x", "9" * 30):
        assert client.post(path, {"version": wrong}).status_code == 404
    assert client.post(reverse("console:dry_runs", args=[0])).status_code == 404


def test_a_test_is_asked_for_on_its_page_and_followed(playbook: Playbook) -> None:
    user = make_user(email="me@staff.example")
    client = signed_in(user)
    path = reverse("console:test_send", args=[playbook.pk])

    text = words(client, path)
    made = client.post(path, {"seen_as": "hostile", "language": "de", "tier-hero": "0", "tier-products": ""})

    test = TestSend.objects.get()
    assert "to you alone: me@staff.example" in text
    assert "1. German speaking" in text
    assert made["Location"] == reverse("console:test_sent", args=[test.pk])
    assert (test.user, test.seen_as, test.language) == (user, "A hostile name", "de")
    assert test.inputs["slots"]["hero"]["tier"] == "segment"
    assert "It waits for a sender" in words(client, made["Location"])
    assert signed_in(make_user()).get(made["Location"]).status_code == 404


def test_a_test_goes_to_nobody_else_whatever_is_posted(playbook: Playbook) -> None:
    user = make_user(email="me@staff.example")

    signed_in(user).post(
        reverse("console:test_send", args=[playbook.pk]),
        {"seen_as": "anna", "user": "1", "to": "other@shop.example", "address": "other@shop.example"},
    )

    assert TestSend.objects.get().user == user


@pytest.mark.parametrize(
    "asked",
    [
        {"seen_as": "nemo"},
        {"seen_as": "profile", "profile": "x"},
        {"seen_as": "profile", "profile": "9" * 40},
        {"seen_as": "anna", "tier-hero": "9"},
        {"seen_as": "anna", "tier-hero": "-1"},
        {"seen_as": "anna", "language": "xx"},
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_words(playbook: Playbook, asked: dict[str, Any]) -> None:
    answer = signed_in(make_user()).post(reverse("console:test_send", args=[playbook.pk]), asked)

    assert answer.status_code == 409
    assert "No test was sent" in answer.content.decode()
    assert not TestSend.objects.exists()


def test_a_sample_leads_to_a_test_as_that_person(playbook: Playbook) -> None:
    carla = make_profile(consent=("marketing",), first_name="Carla")
    dry_run = done(playbook)
    client = signed_in(make_user())
    sample = DryRunSample.objects.get()

    page = client.get(reverse("console:dry_run_sample", args=[dry_run.pk, 1])).content.decode()
    link = f"/console/playbooks/{playbook.pk}/test/?profile={sample.profile_id}"
    assert link in page
    form = client.get(link).content.decode()
    assert f'value="{sample.profile_id}"' in form
    client.post(link, {"seen_as": "profile", "profile": str(sample.profile_id)})

    test = TestSend.objects.get()
    assert (test.profile, test.inputs) == (carla, {})


@pytest.mark.parametrize(
    ("state", "said"),
    [("sent", "The mail server took it"), ("failed", "did not take it"), ("unknown", "no answer came")],
)
def test_what_became_of_a_test_is_told(playbook: Playbook, state: str, said: str) -> None:
    user = make_user()
    test = own_test_make(by=user, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    TestSend.objects.filter(pk=test.pk).update(state=state, finished_at=now(), response="250 2.0.0 Ok")

    text = words(signed_in(user), reverse("console:test_sent", args=[test.pk]))

    assert said in text
    assert "250 2.0.0 Ok" in text


def test_streams_are_for_those_who_may_see(playbook: Playbook) -> None:
    user = make_user()
    dry_run, test = done(playbook), own_test_make(by=user, playbook_id=playbook.pk, wish=Wish(persona="anna"))

    assert signed_in(user).get(f"/live/dry-run/{dry_run.pk}/").status_code == 204
    assert signed_in(user).get(f"/live/test/{test.pk}/").status_code == 204
    assert signed_in(make_user()).get(f"/live/test/{test.pk}/").status_code == 403
    assert signed_in(user).get(f"/live/dry-run/{uuid4()}/").status_code == 403
    assert Client().get(f"/live/dry-run/{dry_run.pk}/").status_code == 403


def test_reviewers_see_the_dry_run_of_exactly_what_they_are_asked_about(playbook: Playbook) -> None:
    make_profile(consent=("marketing",))
    make_profile()
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    approver = signed_in(make_user("brand_approver"))
    path = reverse("console:review", args=[Review.objects.get().pk])

    assert "None was made yet." in words(approver, path)
    made = approver.post(reverse("console:dry_runs", args=[playbook.pk]), {"version": version.pk})
    dry_run = DryRun.objects.get()
    dry_run_go(dry_run_id=dry_run.pk)
    text = words(approver, path)

    assert made["Location"] == page_of(dry_run)
    assert dry_run.digest == version.digest
    assert "It is of exactly what is handed in: the digests are the same." in text
    assert "Would get it 1 Withheld 1 most: never agreed to it" in text
    DryRun.objects.filter(pk=dry_run.pk).update(digest="0" * 64)
    assert "It is of other content than this: make a new one." in words(approver, path)


def test_the_playbooks_page_leads_to_both(playbook: Playbook) -> None:
    client = signed_in(make_user())
    page = client.get(reverse("admin:playbooks_playbook_change", args=[playbook.pk])).content.decode()
    links = re.findall(r'href="([^"]*(?:dry-run|test)/?)"', page)

    assert len(links) == 2
    assert [client.get(link)["Location"] for link in links] == [
        reverse("console:dry_runs", args=[playbook.pk]),
        reverse("console:test_send", args=[playbook.pk]),
    ]
