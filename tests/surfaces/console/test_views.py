"""Staff pages: who may open them, what they show, and that what is refused changes nothing."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Preparation, Run, RunBatch
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.decisioning.playbooks.specs import version_digest
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import Approval, AuditEntry, Review
from apps.foundation.governance.services import review_request
from apps.surfaces.console.templatetags.tessera import grouped
from tests.factories import make_profile, make_published, make_user
from tests.surfaces.ledger import make_decision, make_dispatch, make_message, make_run

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def make_review(run: Run, path: tuple[str, ...] = ("brand_approver",)) -> Review:
    digest = version_digest(run.version)
    return review_request(
        subject=run.version, digest=digest, path=[list(path)], by=run.version.created_by, note="Please look"
    )


@pytest.fixture
def world() -> dict[str, Any]:
    message = make_message(tier="category")
    run = Run.objects.get(pk=message.dispatch.run_id)
    return {"run_id": run.pk, "decision_id": message.pk, "review_id": make_review(run).pk}


PAGES = [
    ("runs", []),
    ("run", ["run_id"]),
    ("run_stop", ["run_id"]),
    ("run_pace", ["run_id"]),
    ("run_messages", ["run_id"]),
    ("message", ["decision_id"]),
    ("reviews", []),
    ("review", ["review_id"]),
]
ORDERS = ["run_pause", "run_resume", "run_pace", "run_stop"]


def address(name: str, names: list[str], world: dict[str, Any]) -> str:
    return reverse(f"console:{name}", kwargs={key: world[key] for key in names})


@pytest.mark.parametrize(("name", "names"), PAGES)
def test_strangers_are_asked_to_sign_in(client: Client, world: dict[str, Any], name: str, names: list[str]) -> None:
    path = address(name, names, world)

    response = client.get(path)

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/?next=/console/")


@pytest.mark.parametrize(("name", "names"), PAGES)
def test_staff_without_a_role_are_told_so(world: dict[str, Any], name: str, names: list[str]) -> None:
    outsider = User.objects.create_user("outsider@staff.example", "a long enough password")

    response = signed_in(outsider).get(address(name, names, world))

    assert response.status_code == 403
    assert "You may not open this" in response.content.decode()


@pytest.mark.parametrize(("name", "names"), PAGES)
def test_roles_open_the_pages(world: dict[str, Any], name: str, names: list[str]) -> None:
    owner = Run.objects.get(pk=world["run_id"]).playbook.owner

    response = signed_in(owner).get(address(name, names, world))

    assert response.status_code == 200
    assert response["Cache-Control"].startswith("max-age=0")


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("who", ["nobody", "outsider", "analyst", "local_editor", "publisher"])
def test_orders_are_refused_to_others_and_change_nothing(world: dict[str, Any], name: str, who: str) -> None:
    run = Run.objects.get(pk=world["run_id"])
    client = Client()
    if who == "outsider":
        client.force_login(User.objects.create_user("outsider@staff.example", "a long enough password"))
    elif who != "nobody":
        client.force_login(make_user(who))
    audited = AuditEntry.objects.count()

    response = client.post(reverse(f"console:{name}", args=[run.pk]))

    assert response.status_code == (302 if who == "nobody" else 403)
    assert Dispatch.objects.get(run_id=run.pk).state == Dispatch.State.ACTIVE
    assert Run.objects.get(pk=run.pk).state == run.state
    assert AuditEntry.objects.count() == audited


@pytest.mark.parametrize("name", ["run_pause", "run_resume"])
def test_orders_are_given_by_post_only(world: dict[str, Any], name: str) -> None:
    response = signed_in(make_user("publisher")).get(reverse(f"console:{name}", args=[world["run_id"]]))

    assert response.status_code == 405
    assert Dispatch.objects.get().state == Dispatch.State.ACTIVE


def test_a_run_says_how_many_choices_were_there_before_it_began(settings: Settings) -> None:
    publisher = make_user("publisher")
    run = make_run(people=12_000, owner=publisher)
    page, client = reverse("console:run", args=[run.pk]), signed_in(publisher)
    assert "Found ready" not in client.get(page).content.decode()  # nothing was chosen yet

    for number, (chosen, ready) in enumerate([(6_000, 5_999), (3_000, 2_100), (None, None)]):
        RunBatch.objects.create(run=run, number=100 + number, profile_ids=[], chosen=chosen, ready=ready)
    shown = client.get(page).content.decode()
    assert f"{grouped(8_099)} of {grouped(9_000)} choices (89 %)" in shown
    assert "made ahead" not in shown

    # what was made ahead of it by its version says when, and for how many people
    ended = run.created_at - timedelta(hours=1)
    made = Preparation.objects.create(
        playbook=run.playbook, version=run.version, began_at=ended, ended_at=ended, people=12_345, choices=80
    )
    assert f"made ahead on {ended:%-d %b, %H:%M} UTC for {grouped(12_345)} people" in client.get(page).content.decode()
    for at in (run.created_at + timedelta(seconds=1), ended - timedelta(seconds=settings.PRECOMPUTED_SECONDS)):
        Preparation.objects.filter(pk=made.pk).update(ended_at=at)  # while it went, or too long before
        assert "made ahead" not in client.get(page).content.decode()


def test_a_publisher_says_how_fast_a_run_goes() -> None:
    publisher = make_user("publisher")
    client = signed_in(publisher)
    run = make_run(people=1, owner=publisher)
    make_message(run=run, state="queued")
    pace = reverse("console:run_pace", args=[run.pk])

    page = client.post(pace, {"per_minute": "1200"}, follow=True).content.decode()

    assert "1,200 messages a minute" in page
    assert Dispatch.objects.get().per_minute == 1200
    assert AuditEntry.objects.get(action="playbooks.run.throttled").data == {"per_minute": 1200}

    # what can't be meant is said at the field, and changes nothing
    for wrong in ("0", "many", "-1", "1000001", "٣"):
        page = client.post(pace, {"per_minute": wrong}).content.decode()
        assert 'aria-invalid="true"' in page
        assert f'value="{wrong}"' in page
    assert Dispatch.objects.get().per_minute == 1200

    client.post(pace, {"per_minute": ""})
    assert Dispatch.objects.get().per_minute is None


def test_orders_need_their_csrf_token(world: dict[str, Any]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("publisher"))

    assert client.post(reverse("console:run_pause", args=[world["run_id"]])).status_code == 403
    assert Dispatch.objects.get().state == Dispatch.State.ACTIVE


def test_a_publisher_holds_a_run_and_lets_it_go_on() -> None:
    publisher = make_user("publisher")
    client = signed_in(publisher)
    run = make_run(people=1, owner=publisher)
    make_message(run=run, state="queued")

    page = client.post(reverse("console:run_pause", args=[run.pk]), follow=True).content.decode()

    assert Dispatch.objects.get().state == Dispatch.State.PAUSED
    assert "Resume" in page
    assert "Paused" in page

    client.post(reverse("console:run_resume", args=[run.pk]))

    assert Dispatch.objects.get().state == Dispatch.State.ACTIVE
    actions = AuditEntry.objects.filter(actor=publisher).order_by("at").values_list("action", flat=True)
    assert list(actions) == ["playbooks.run.paused", "playbooks.run.resumed"]


def test_a_publisher_cancels_a_run_after_being_asked() -> None:
    run = make_run(people=2, owner=make_user("publisher"))
    client = signed_in(run.playbook.owner)
    sent, waiting = make_message(run=run), make_message(run=run, state="queued")
    path = reverse("console:run_stop", args=[run.pk])

    assert "1 message is out and stays out" in client.get(path).content.decode()
    assert Run.objects.get(pk=run.pk).state == Run.State.DECIDED

    client.post(path)

    assert Run.objects.get(pk=run.pk).state == Run.State.CANCELLED
    assert Message.objects.get(pk=sent.pk).state == Message.State.SENT
    assert Message.objects.get(pk=waiting.pk).state == Message.State.CANCELLED


def test_pausing_a_run_of_which_nothing_is_to_be_sent_says_so() -> None:
    run = make_run(people=2)

    page = signed_in(make_user("administrator")).post(reverse("console:run_pause", args=[run.pk]), follow=True)

    assert "Nothing of this run is to be sent yet" in page.content.decode()


def test_run_page_shows_figures_in_words_and_hides_orders_from_readers() -> None:
    run = make_run(people=4)
    make_message(run=run, tier="category")
    make_message(run=run, tier="static")
    make_decision(run=run, outcome="no_consent")
    make_message(run=run, state="withheld", reason="frequency_cap")
    path = reverse("console:run", args=[run.pk])

    page = signed_in(make_user("analyst")).get(path).content.decode()

    assert "4 of 4 people settled (100.0 %)" in page
    assert "Never agreed to it" in page
    assert "Had enough messages lately" in page
    assert "Category: best sellers of what they buy most" in page
    assert "Finished" in page
    assert 'data-settled="yes"' in page
    assert "Pause" not in page


def test_run_page_asked_by_htmx_gives_the_moving_part_only() -> None:
    run = make_run(people=1)

    response = signed_in(make_user("analyst")).get(
        reverse("console:run", args=[run.pk]), headers={"HX-Request": "true"}
    )

    page = response.content.decode()
    assert "<html" not in page
    assert page.strip().startswith('<div class="t-live"')


def test_people_of_a_run_are_paged_by_key() -> None:
    run = make_run(people=120)
    for _ in range(120):
        make_decision(run=run, outcome="no_consent")
    make_decision(run=make_run(), outcome="no_consent")
    client = signed_in(make_user("analyst"))
    path = reverse("console:run_messages", args=[run.pk])

    seen: list[object] = []
    query = "?shown=withheld&reason=no_consent"
    while query:
        context = client.get(path + query).context
        seen += [row.id for row in context["rows"]]
        query = f"?shown=withheld&reason=no_consent&after={context['more']}" if context["more"] else ""

    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("?shown=sent", 1),
        ("?shown=withheld", 2),
        ("?shown=failed", 1),
        ("?shown=waiting", 0),
        ("?shown=withheld&reason=frequency_cap", 1),
        ("?shown=all&tier=category", 1),
        ("?reason=%00", 4),
    ],
)
def test_people_of_a_run_are_narrowed(query: str, count: int) -> None:
    run = make_run(people=4)
    make_message(run=run, tier="category")
    make_message(run=run, state="failed", reason="refused", tier="site")
    make_message(run=run, state="withheld", reason="frequency_cap", tier="site")
    make_decision(run=run, outcome="no_consent")

    response = signed_in(make_user("analyst")).get(reverse("console:run_messages", args=[run.pk]) + query)

    assert len(response.context["rows"]) == count


@pytest.mark.parametrize("query", ["?shown=everything", "?after=x", "?after=1;DROP"])
def test_lists_that_do_not_exist(query: str) -> None:
    run = make_run()

    response = signed_in(make_user("analyst")).get(reverse("console:run_messages", args=[run.pk]) + query)

    assert response.status_code == 404


def test_message_is_shown_as_it_was_sent_with_its_reasons() -> None:
    message = make_message(tier="static")
    client = signed_in(make_user("analyst"))

    page = client.get(reverse("console:message", args=[message.pk])).content.decode()

    assert "identical to what was sent" in page
    assert f"SHA-256 {message.content_digest}" in page
    assert "Hello Carla" in page
    assert 'sandbox=""' in page
    assert "country is FR, wanted: in AT" in page
    assert "published by" in page
    assert "<strong>News and offers</strong>, e-mail: agreed" in page
    assert "Accepted by the mail server" in page
    for view in ("phone", "text", "headers", "source"):
        assert client.get(reverse("console:message", args=[message.pk]) + f"?view={view}").status_code == 200
    assert "List-Unsubscribe" in client.get(reverse("console:message", args=[message.pk]) + "?view=headers").text
    assert client.get(reverse("console:message", args=[message.pk]) + "?view=other").status_code == 404


@pytest.mark.parametrize("view", ["html", "phone", "text", "headers", "source"])
def test_who_may_read_a_message_can_not_choose_for_the_person(view: str) -> None:
    message = make_message()
    tokens = [
        link(profile_id=message.profile_id, message_id=message.pk).rpartition("/")[2]
        for link in (unsubscribe_url, preferences_url)
    ]

    page = signed_in(make_user("analyst")).get(reverse("console:message", args=[message.pk]) + f"?view={view}").text

    assert "/u/k1.…" in page
    assert not any(token[:12] in page for token in tokens)


@pytest.mark.parametrize("view", ["html", "headers", "source"])
def test_only_who_may_view_identifiers_reads_the_address_of_a_message(view: str) -> None:
    message = make_message()
    address = addresses_read(profile_ids=[message.profile_id], kind="email")[message.profile_id]

    pages = {
        role: signed_in(make_user(role)).get(reverse("console:message", args=[message.pk]) + f"?view={view}").text
        for role in ("analyst", "administrator")
    }

    assert address in pages["administrator"]
    assert address not in pages["analyst"]
    assert f"{address[0]}•••@" in pages["analyst"]


def test_message_that_comes_out_otherwise_is_told_loudly_and_not_shown() -> None:
    message = make_message()
    Message.objects.filter(pk=message.pk).update(content_digest="f" * 64)

    page = signed_in(make_user("analyst")).get(reverse("console:message", args=[message.pk])).content.decode()

    assert 'role="alert"' in page
    assert "can&#x27;t be made again" in page
    assert "Hello Carla" not in page


def test_message_of_somebody_erased_says_so_and_tells_what_is_left() -> None:
    message = make_message(tier="static")
    key_destroy(message.profile_id)

    answer = signed_in(make_user("analyst")).get(reverse("console:message", args=[message.pk]))
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "The person was erased, and with them what this message was made of" in page
    assert "Why nothing was sent" not in page
    assert 'role="alert"' not in page
    assert "The person was erased, and with them what it was decided from." in page
    assert "Decided to send; answered by the static tier." in page
    assert "Accepted by the mail server" in page
    assert "Carla" not in page
    assert "Slot by slot" not in page


def test_person_who_got_nothing_is_explained() -> None:
    decision = make_decision(run=make_run(people=1), outcome="no_consent", reasons={"gate": "no_consent"})

    page = signed_in(make_user("analyst")).get(reverse("console:message", args=[decision.pk])).content.decode()

    assert "Why nothing was sent" in page
    assert "Never agreed to it." in page


def test_uncertain_message_shows_its_attempt() -> None:
    message = make_message(state="uncertain")
    DeliveryAttempt.objects.create(
        message=message, number=1, started_at=message.finished_at or message.created_at, outcome="unknown"
    )

    page = signed_in(make_user("analyst")).get(reverse("console:message", args=[message.pk])).content.decode()

    assert "Unknown: the connection broke" in page


def test_unknown_runs_messages_and_reviews() -> None:
    client = signed_in(make_user("publisher"))

    assert client.get("/console/runs/999/").status_code == 404
    assert client.get(f"/console/messages/{uuid4()}/").status_code == 404
    assert client.get("/console/reviews/999/").status_code == 404


def test_inbox_shows_what_waits_for_me_apart() -> None:
    run = make_run()
    make_review(run)

    asked = signed_in(make_user("brand_approver")).get(reverse("console:reviews"))
    other = signed_in(make_user("legal_approver")).get(reverse("console:reviews"))

    assert [row.review.subject_label for row in asked.context["mine"]] == [str(run.version)]
    assert other.context["mine"] == []
    assert len(other.context["others"]) == 1
    assert "Nothing waits for you" in other.content.decode()


def test_review_shows_exactly_what_is_approved() -> None:
    run = make_run()
    review = make_review(run)

    page = signed_in(make_user("brand_approver")).get(reverse("console:review", args=[review.pk])).content.decode()

    assert "Hello friend, it has been a while." in page
    assert "Hello Alex, it has been a while." in page
    assert "Country is AT" in page
    assert "0 people at this moment" in page
    assert "at most 1 in 7 days" in page
    assert review.digest in page
    assert "Ask for changes" in page


def test_approving_a_review() -> None:
    review = make_review(make_run())
    approver = make_user("brand_approver")

    response = signed_in(approver).post(reverse("console:review", args=[review.pk]), {"verdict": "approve"})

    assert response.status_code == 302
    review.refresh_from_db()
    assert review.state == Review.State.APPROVED
    assert list(review.approvals.values_list("by", "role", "verdict")) == [(approver.pk, "brand_approver", "approve")]


def test_asking_for_changes_needs_words_and_keeps_what_was_written() -> None:
    review = make_review(make_run())
    client = signed_in(make_user("brand_approver"))
    path = reverse("console:review", args=[review.pk])

    wordless = client.post(path, {"verdict": "refuse", "comment": " "})

    assert wordless.status_code == 400
    assert "Say what should change" in wordless.content.decode()
    assert not Approval.objects.exists()

    client.post(path, {"verdict": "refuse", "comment": "The price is wrong"})

    review.refresh_from_db()
    assert review.state == Review.State.REFUSED
    assert "The price is wrong" in client.get(path).content.decode()


@pytest.mark.parametrize(
    ("who", "status"), [("author", 403), ("legal_approver", 403), ("analyst", 403), ("brand_approver", 400)]
)
def test_answers_that_are_refused_change_nothing(who: str, status: int) -> None:
    run = make_run()
    review = make_review(run)
    user = run.version.created_by if who == "author" else make_user(who)
    verdict = "perhaps" if who == "brand_approver" else "approve"

    response = signed_in(user).post(reverse("console:review", args=[review.pk]), {"verdict": verdict})

    assert response.status_code == status
    review.refresh_from_db()
    assert review.state == Review.State.OPEN
    assert not Approval.objects.exists()


def test_own_work_says_why_it_can_not_be_approved() -> None:
    run = make_run()
    review = make_review(run)

    page = signed_in(run.version.created_by).get(reverse("console:review", args=[review.pk])).content.decode()

    assert "Nobody approves their own work" in page
    assert 'name="verdict"' not in page


def test_stream_under_wsgi_tells_the_browser_to_poll() -> None:
    run = make_run()

    assert signed_in(make_user("analyst")).get(f"/live/run/{run.pk}/").status_code == 204


def test_stream_is_refused_to_others() -> None:
    run = make_run()
    outsider = User.objects.create_user("outsider@staff.example", "a long enough password")

    assert Client().get(f"/live/run/{run.pk}/").status_code == 403
    assert signed_in(outsider).get(f"/live/run/{run.pk}/").status_code == 403
    assert signed_in(make_user("analyst")).get("/live/run/999/").status_code == 403


def test_dispatch_is_named_by_its_run() -> None:
    run = make_run()

    assert make_dispatch(run).run_id == run.pk


def test_where_lots_are_drawn_a_message_says_with_which_chance_it_came_about() -> None:
    for _ in range(40):
        make_profile(consent=("marketing",))
    playbook = make_published(holdout_percent=40)
    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    by_outcome = {one.outcome: one.pk for one in Decision.objects.filter(run=run)}
    client = signed_in(make_user("analyst"))
    for outcome, chance in (("send", "60 %"), ("holdout", "40 %")):
        page = client.get(reverse("console:message", args=[by_outcome[outcome]])).content.decode()
        assert f"<dt>Chance of this</dt><dd>{chance}" in page
    certain = client.get(reverse("console:message", args=[make_message().pk])).content.decode()
    assert "Chance of this" not in certain
