"""Dry runs: they say what a real run then does, write nothing, and go on after a kill."""

import os
import signal
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord, Suppression
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.services import playbook_submit, playbook_update, run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.delivery.sending.selectors import run_counts
from apps.delivery.sending.services import dispatch_take_up
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.core.signing import address_digest
from apps.foundation.governance.models import AuditEntry
from apps.surfaces.console import dry_runs
from apps.surfaces.console.counting import Kind, Tally
from apps.surfaces.console.dry_runs import (
    batch_count,
    dry_run_go,
    dry_run_go_on,
    dry_run_start,
    dry_run_stop,
    dry_run_tally,
    dry_runs_dropped,
    dry_runs_forget,
)
from apps.surfaces.console.models import DryRun, DryRunBatch, DryRunSample
from apps.surfaces.console.rehearsals import figures_of
from apps.surfaces.console.tasks import rehearsals_sweep
from tests.decisioning.playbooks.travelling import make_followed, make_steps, tick
from tests.factories import kept_by, make_playbook, make_profile, make_published, make_user
from tests.preloaded import run as in_another_process

OWN = {"console_dryrun", "console_dryrunbatch", "console_dryrunsample", "governance_auditentry"}
"""Tables that a dry run of a version may write to."""


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    monkeypatch.setattr("apps.surfaces.console.dry_runs.BATCH", 4)
    monkeypatch.setattr("apps.surfaces.console.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)


def _shop() -> list[Item]:
    """Six teas that sell, most to France."""
    items = [
        Item.objects.create(sku=f"T{number}", title=f"Tea {number}", category="tea", price=Decimal(4))
        for number in range(6)
    ]
    for number in range(3):
        _buy(Profile.objects.create(country="FR"), items, f"S{number}")
    recommendation_set_refresh()
    return items


def _buy(profile: Profile, items: list[Item], number: str) -> None:
    order = Order.objects.create(
        source="test", external_id=number, profile=profile, status="purchase",
        placed_at=now() - timedelta(days=1), country=profile.country,
    )  # fmt: skip
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=place, item=item, quantity=1, unit_price=4, is_purchase=True)
        for place, item in enumerate(items, 1)
    )


def _people() -> None:
    """Some of each: by country, language, taste, and every reason to get nothing."""
    items = _shop()
    for number, (country, language) in enumerate([("DE", "de"), ("AT", "de-AT"), ("FR", "fr"), ("GB", "en"), ("", "")]):
        for _ in range(2):
            make_profile(consent=("marketing",), country=country, language=language, first_name=f"Ada {number}")
    _buy(make_profile(consent=("marketing",), country="DE", language="de"), items[:2], "A1")
    make_profile()
    left = make_profile(consent=("marketing",))
    consent_withdraw(
        profile_id=left.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test"
    )
    make_profile(consent=("marketing",), email="gone@example.com")
    Suppression.objects.create(digest=address_digest("email", "gone@example.com"), reason="bounce")
    make_profile(consent=("marketing",), email=None)


def _done(playbook: Playbook, version: PlaybookVersion | None = None) -> DryRun:
    dry_run = dry_run_start(playbook_id=playbook.pk, by=make_user(), version_id=version.pk if version else None)
    dry_run_go(dry_run_id=dry_run.pk)
    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.DONE, dry_run.problem
    return dry_run


def _digests() -> dict[str, str]:
    """A digest of each table."""
    with connection.cursor() as cursor:
        digests = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table}" t')  # noqa: S608
            digests[table] = cursor.fetchone()[0]
    return digests


@pytest.mark.django_db
def test_counts_are_exactly_what_a_run_of_the_same_version_then_decides() -> None:
    _people()
    playbook = make_published()

    dry_run = _done(playbook, playbook.published)

    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    decisions = list(Decision.objects.filter(run=run))
    tally = dry_run_tally(dry_run)
    sent = [decision for decision in decisions if decision.outcome == "send"]

    def places(slot: str) -> Counter[str]:
        return Counter(str(kept_by(decision).reasons["slots"][slot]["at"]) for decision in sent)

    assert (dry_run.people, dry_run.counted, dry_run.exact) == (len(decisions), len(decisions), True)
    assert tally.people == len(decisions) == 18
    assert tally.outcomes("") == Counter(decision.outcome for decision in decisions)
    assert tally.outcomes("") == {
        "send": 11, "no_consent": 4, "withdrawn": 1, "suppressed": 1, "invalid_address": 1,
    }  # fmt: skip
    assert tally.languages("") == Counter(kept_by(decision).inputs["language"] for decision in sent)
    assert tally.tiers("", "hero") == places("hero") == {"0": 5, "1": 6}
    assert tally.tiers("", "products") == places("products")
    assert len(tally.tiers("", "products")) > 2
    assert tally.messages == sum(tally.sizes.values()) == len(sent)
    assert tally.largest > tally.largest_html > 1000
    assert dry_run.digest == playbook.published.digest  # type: ignore[union-attr]


@pytest.mark.django_db
def test_samples_are_a_mix_and_only_who_they_are_is_kept() -> None:
    _people()
    playbook = make_published()

    dry_run = _done(playbook, playbook.published)

    kinds = [Kind.from_json(sample.kind) for sample in dry_run.samples.all()]
    tally = dry_run_tally(dry_run)
    assert set().union(*(kind.marks() for kind in kinds)) == set().union(*(kind.marks() for kind in tally.kinds))
    assert {kind.outcome for kind in kinds} == {"send", "no_consent", "withdrawn", "suppressed", "invalid_address"}
    assert len({sample.profile_id for sample in dry_run.samples.all()}) == 18
    assert not DryRunBatch.objects.exists()
    kept = str(DryRun.objects.values().get(pk=dry_run.pk)) + str(list(DryRunSample.objects.values()))
    assert "Ada" not in kept
    assert "@example.com" not in kept


@pytest.mark.django_db
def test_a_dry_run_writes_to_no_table_but_its_own() -> None:
    _people()
    playbook, by = make_published(), make_user()
    before = _digests()

    dry_run = dry_run_start(playbook_id=playbook.pk, by=by, version_id=playbook.published_id)
    dry_run_go(dry_run_id=dry_run.pk)

    changed = {table for table, digest in _digests().items() if digest != before[table]}
    assert changed == OWN - {"console_dryrunbatch"}
    assert AuditEntry.objects.filter(action="console.dryrun.started", actor=by).count() == 1


@pytest.mark.django_db
def test_a_draft_is_looked_at_as_it_would_be_handed_in() -> None:
    _people()
    playbook = make_playbook()
    before = _digests()

    dry_run = _done(playbook)

    changed = {table for table, digest in _digests().items() if digest != before[table]}
    assert "content_compiledtemplate" in changed
    assert not PlaybookVersion.objects.exists()
    compiled = CompiledTemplate.objects.count()
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert version.digest == dry_run.digest
    assert version.compiled == dry_run.compiled
    assert CompiledTemplate.objects.count() == compiled


@pytest.mark.django_db
def test_what_could_not_be_handed_in_has_no_dry_run() -> None:
    playbook = make_playbook()
    Playbook.objects.filter(pk=playbook.pk).update(slots={})

    with pytest.raises(Invalid) as refused:
        dry_run_start(playbook_id=playbook.pk, by=make_user())

    assert refused.value.extra["problems"]
    assert not DryRun.objects.exists()


@pytest.mark.django_db
def test_who_may_not_makes_none() -> None:
    playbook = make_playbook()
    dry_run = _done(playbook)

    for role in ("analyst",):
        with pytest.raises(NotAllowed):
            dry_run_start(playbook_id=playbook.pk, by=make_user(role))
        with pytest.raises(NotAllowed):
            dry_run_stop(dry_run_id=dry_run.pk, by=make_user(role))
    with pytest.raises(NotFound):
        dry_run_start(playbook_id=playbook.pk + 1, by=make_user())
    with pytest.raises(NotFound):
        dry_run_start(playbook_id=playbook.pk, by=make_user(), version_id=0)

    assert DryRun.objects.count() == 1


@pytest.mark.django_db
def test_of_a_large_audience_a_lot_is_drawn(settings: Settings) -> None:
    settings.DRY_RUN_PEOPLE = 6
    for _ in range(15):
        make_profile(consent=("marketing",))

    dry_run = _done(make_playbook())

    assert (dry_run.people, dry_run.counted, dry_run.exact) == (15, 6, False)
    assert dry_run_tally(dry_run).people == 6


@pytest.mark.django_db
def test_nobody_in_the_audience_is_done_at_once() -> None:
    dry_run = _done(make_playbook())

    assert (dry_run.people, dry_run_tally(dry_run).people, dry_run.samples.count()) == (0, 0, 0)


@pytest.mark.django_db
def test_a_message_that_cannot_be_made_is_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        make_profile(consent=("marketing",))
    monkeypatch.setattr("apps.decisioning.content.variants.MAX_OUTPUT", 100)

    dry_run = _done(make_playbook())

    assert dry_run_tally(dry_run).outcomes("") == {"render_failed": 3}
    assert dry_run_tally(dry_run).messages == 0


BRANCHED: list[dict[str, Any]] = [
    {"kind": "exit", "id": "gone", "name": "in France", "when": {"attribute": "country", "is": "FR"}},
    {"kind": "message", "id": "one", "name": "Hello"},
    {"kind": "wait", "for": {"days": 2}},
    {
        "kind": "branch",
        "id": "where",
        "when": {"attribute": "country", "is": "DE"},
        "then": [{"kind": "message", "id": "german"}],
        "else": [{"kind": "wait", "for": {"hours": 6}}, {"kind": "message", "id": "other"}],
    },
    {"kind": "message", "id": "last"},
]


@pytest.mark.django_db
def test_of_steps_it_says_who_comes_where_as_journeys_then_show() -> None:
    for country, consent in (("DE", True), ("DE", True), ("GB", True), ("GB", False), ("FR", True)):
        make_profile(consent=("marketing",) if consent else (), country=country)
    playbook = make_followed(BRANCHED, at=now())

    dry_run = _done(playbook, playbook.published)

    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    for hours in (0, 49, 56, 57):
        tick(run.created_at + timedelta(hours=hours))
    tally = dry_run_tally(dry_run)
    decided = Decision.objects.filter(run__playbook=playbook).values_list("run__step", "outcome")
    by_step = {step: dict(Counter(outcome for at, outcome in decided if at == step)) for step, _ in set(decided)}
    assert {step: tally.outcomes(step) for step in ("one", "german", "other", "last")} == {
        "one": {"send": 3, "no_consent": 1},
        "german": {"send": 2},
        "other": {"send": 1, "no_consent": 1},
        "last": {"send": 3, "no_consent": 1},
    }
    assert by_step == {step: tally.outcomes(step) for step in ("one", "german", "other", "last")}
    assert tally.ways == {"gone/left": 1, "where/then": 2, "where/else": 2}
    assert {Kind.from_json(sample.kind).step for sample in dry_run.samples.all()} == {"one", "german", "other", "last"}
    figures = figures_of(dry_run)
    assert [(step.title, step.people, step.messages) for step in figures.steps] == [
        ("Hello", 4, 3),
        ("german", 2, 2),
        ("other", 2, 1),
        ("last", 4, 3),
    ]
    assert [bar.words for bar in figures.ways] == ["In France: Left here", "Where: Yes", "Where: No"]
    assert figures.journeys


@pytest.mark.django_db
def test_a_draft_with_steps_has_the_digest_that_handing_it_in_gives() -> None:
    playbook = make_playbook()
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, BRANCHED))
    playbook.refresh_from_db()

    dry_run = _done(playbook)

    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert (version.digest, version.compiled_steps) == (dry_run.digest, dry_run.compiled_steps)


@pytest.mark.django_db
def test_who_shares_an_address_is_withheld_as_by_a_run() -> None:
    for email in ("ann@example.com", "family@example.com", "family@example.com", "family@example.com"):
        make_profile(consent=("marketing",), email=email)
    make_profile(email="ann@example.com")
    playbook = make_published()

    dry_run = _done(playbook, playbook.published)

    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    dispatch_take_up(run_id=run.pk)
    counts = run_counts(run.pk)
    figures = figures_of(dry_run)
    assert counts.withheld == {"duplicate_address": 2, "no_consent": 1}
    assert {bar.code: bar.people for bar in figures.steps[0].reasons} == counts.withheld
    assert figures.messages == counts.queued == 2


@pytest.mark.django_db
def test_it_stops_and_goes_on_where_it_was() -> None:
    for _ in range(10):
        make_profile(consent=("marketing",))
    playbook, by = make_playbook(), make_user()
    dry_run = dry_run_start(playbook_id=playbook.pk, by=by)
    dry_runs._prepare(dry_run.pk)
    assert batch_count(dry_run_id=dry_run.pk) == 4

    dry_run_stop(dry_run_id=dry_run.pk, by=by)

    assert batch_count(dry_run_id=dry_run.pk) is None
    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.STOPPED
    assert dry_run_tally(dry_run).people == 4

    dry_run_go_on(dry_run_id=dry_run.pk, by=by)
    dry_run_go(dry_run_id=dry_run.pk)

    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.DONE
    assert dry_run_tally(dry_run).people == 10
    with pytest.raises(Conflict):
        dry_run_go_on(dry_run_id=dry_run.pk, by=by)


@pytest.mark.django_db
def test_one_at_a_time_for_a_playbook() -> None:
    playbook, by = make_playbook(), make_user()
    first = dry_run_start(playbook_id=playbook.pk, by=by)

    assert dry_run_start(playbook_id=playbook.pk, by=by) == first

    playbook_update(playbook_id=playbook.pk, by=playbook.owner, send_within_hours=5)
    second = dry_run_start(playbook_id=playbook.pk, by=by)

    first.refresh_from_db()
    assert second != first
    assert first.state == DryRun.State.STOPPED
    with pytest.raises(Conflict):
        dry_run_go_on(dry_run_id=first.pk, by=by)


@pytest.mark.django_db
def test_a_tampered_version_is_not_looked_at() -> None:
    playbook = make_published()
    version = playbook.published
    assert version is not None
    PlaybookVersion.objects.filter(pk=version.pk).update(spec={**version.spec, "kpi": "other"})

    with pytest.raises(Conflict):
        dry_run_start(playbook_id=playbook.pk, by=make_user(), version_id=playbook.published_id)


@pytest.mark.django_db
def test_a_fault_ends_it_and_is_told() -> None:
    make_profile(consent=("marketing",))
    dry_run = dry_run_start(playbook_id=make_playbook().pk, by=make_user())
    DryRun.objects.filter(pk=dry_run.pk).update(spec={**dry_run.spec, "audience_rule": {"nonsense": 1}})

    dry_run_go(dry_run_id=dry_run.pk)

    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.FAILED
    assert "nonsense" in dry_run.problem


@pytest.mark.django_db
def test_what_is_old_is_forgotten_and_figures_stay(settings: Settings) -> None:
    for _ in range(6):
        make_profile(consent=("marketing",))
    done = _done(make_playbook())
    stopped = dry_run_start(playbook_id=make_playbook().pk, by=make_user())
    dry_runs._prepare(stopped.pk)
    batch_count(dry_run_id=stopped.pk)
    dry_run_stop(dry_run_id=stopped.pk, by=make_user())
    assert dry_runs_forget() == 0

    settings.DRY_RUN_KEEP_HOURS = 0
    assert dry_runs_forget() == 6 + 2

    assert not DryRunSample.objects.exists()
    assert not DryRunBatch.objects.exists()
    assert Tally.from_json(DryRun.objects.get(pk=done.pk).result).people == 6
    assert Tally.from_json(DryRun.objects.get(pk=stopped.pk).result).people == 4
    with pytest.raises(Conflict):
        dry_run_go_on(dry_run_id=stopped.pk, by=make_user())


@pytest.mark.django_db
def test_the_sweep_wakes_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[Any] = []
    monkeypatch.setattr("apps.surfaces.console.tasks.enqueue_on_commit", lambda task, *args: woken.append(args))
    dry_run = dry_run_start(playbook_id=make_playbook().pk, by=make_user())
    assert dry_runs_dropped() == []

    DryRun.objects.filter(pk=dry_run.pk).update(moved_at=now() - timedelta(seconds=30))
    rehearsals_sweep()

    assert woken == [(str(dry_run.pk),)]


_KILLED = """
import os, signal
from apps.surfaces.console import dry_runs
count, real = 0, dry_runs._people_count
def people_count(*args):
    global count
    count += 1
    found = real(*args)
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
dry_runs.BATCH = 4
dry_runs._people_count = people_count
from uuid import UUID
dry_runs.dry_run_go(dry_run_id=UUID({id!r}))
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_has_counted_nothing_twice() -> None:
    for _ in range(11):
        make_profile(consent=("marketing",))
    dry_run = dry_run_start(playbook_id=make_playbook().pk, by=make_user())
    url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{connection.settings_dict['NAME']}"

    killed = in_another_process("-c", _KILLED.format(id=str(dry_run.pk)), env={**os.environ, "DATABASE_URL": url})

    assert killed.returncode == -signal.SIGKILL
    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.DECIDING
    assert dry_run_tally(dry_run).people == 4

    dry_run_go(dry_run_id=dry_run.pk)

    dry_run.refresh_from_db()
    assert dry_run.state == DryRun.State.DONE
    assert dry_run_tally(dry_run).outcomes("") == {"send": 11}
