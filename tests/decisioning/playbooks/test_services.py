"""Playbooks from draft to published version: who may, what is bound, and what voids it."""

from typing import Any

import pytest
from pytest_django import Settings

from apps.data.consent.models import Interest
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Block
from apps.decisioning.content.services import block_version_create
from apps.decisioning.playbooks.errors import PlaybookInvalid
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.decisioning.playbooks.services import (
    playbook_create,
    playbook_publish,
    playbook_submit,
    playbook_update,
    playbook_withdraw,
    run_start,
)
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.foundation.governance.models import Approval, AuditEntry, Review
from apps.foundation.governance.services import review_answer
from tests.factories import approve, make_helper, make_playbook, make_published, make_user

pytestmark = pytest.mark.django_db

State = PlaybookVersion.State


def _submitted(**fields: Any) -> PlaybookVersion:
    playbook = make_playbook(**fields)
    return playbook_submit(playbook_id=playbook.pk, by=playbook.owner)


def _review(version: PlaybookVersion) -> Review:
    return Review.objects.filter(object_id=version.pk, content_type__model="playbookversion").latest("pk")


def _tamper(version: PlaybookVersion, **spec: Any) -> None:
    PlaybookVersion.objects.filter(pk=version.pk).update(spec={**version.spec, **spec})


# --- drafts ---


def test_everything_that_is_wrong_is_told_at_once() -> None:
    good = make_playbook()
    with pytest.raises(PlaybookInvalid) as refused:
        playbook_create(
            by=good.owner,
            code=good.code,
            name="",
            audience=good.audience,
            brand=good.brand,
            template=good.template,
            slots={"hero": good.slots["hero"], "footer": []},
            trigger="schedule",
            schedule="0 0 30 2 *",
            time_zone="Europe/Wien",
            approval_path=["brand_approver", "the boss"],
            cap_count=2,
            send_within_hours=0,
        )
    fields = {problem.field for problem in refused.value.problems}
    assert fields == {
        "code",
        "name",
        "slots",
        "schedule",
        "time_zone",
        "approval_path",
        "cap_count",
        "send_within_hours",
    }
    assert Playbook.objects.count() == 1


def test_blocks_can_be_named_and_are_kept_by_id() -> None:
    playbook = make_playbook()
    name = Block.objects.get(pk=playbook.slots["hero"][1]["block"]).name
    slots = {**playbook.slots, "hero": [{"tier": "static", "block": name}]}
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, slots=slots)
    playbook.refresh_from_db()
    assert playbook.slots["hero"][0]["block"] == Block.objects.get(name=name).pk


def test_rules_of_slots_and_steps_name_interests_that_exist() -> None:
    playbook = make_playbook()
    kept = playbook.slots
    Interest.objects.create(code="kitchen", name="Cooking")

    def saved(code: str, *, by_steps: bool = False) -> list[str]:
        slots = {**kept, "hero": [{**kept["hero"][0], "when": {"interest": code}}, kept["hero"][1]]}
        message = {"kind": "message", "template": playbook.template_id, "slots": slots}
        steps = [{"kind": "exit", "when": {"not": {"interest": code}}}, message]
        wanted: dict[str, Any] = {"steps": steps} if by_steps else {"slots": slots}
        try:
            playbook_update(playbook_id=playbook.pk, by=playbook.owner, **wanted)
        except PlaybookInvalid as refused:
            return [f"{problem.place}: {problem.problem}" for problem in refused.problems]
        return []

    told = 'There is no interest "kitchn". Known are: kitchen'
    assert saved("kitchn") == [f"slots.hero[0].when: {told}"]
    assert saved("kitchn", by_steps=True) == [
        f"steps[0].when: {told}",
        f"steps[1].slots.hero[0].when: {told}",
    ]
    playbook.refresh_from_db()
    assert (playbook.slots, playbook.steps) == (kept, [])
    assert saved("kitchen") == []
    assert saved("kitchen", by_steps=True) == []


def test_only_publishers_set_playbooks_up() -> None:
    playbook = make_playbook()
    for role in ("local_editor", "engineer", "brand_approver", "legal_approver", "analyst", "administrator"):
        outsider = make_user(role)
        before = AuditEntry.objects.count()
        with pytest.raises(NotAllowed):
            playbook_create(by=outsider, code="other", name="Other")
        with pytest.raises(NotAllowed):
            playbook_update(playbook_id=playbook.pk, by=outsider, name="Mine")
        with pytest.raises(NotAllowed):
            playbook_submit(playbook_id=playbook.pk, by=outsider)
        playbook.refresh_from_db()
        assert playbook.name != "Mine"
        assert (AuditEntry.objects.count(), PlaybookVersion.objects.count()) == (before, 0)


def test_an_edit_on_top_of_somebody_elses_is_refused() -> None:
    playbook = make_playbook()
    seen_at = playbook.updated_at
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, seen_at=seen_at, kpi="revenue")
    with pytest.raises(Conflict, match="Somebody else"):
        playbook_update(playbook_id=playbook.pk, by=make_helper(playbook), seen_at=seen_at, kpi="clicks")
    playbook.refresh_from_db()
    assert playbook.kpi == "revenue"


# --- approval ---


def test_a_version_pins_what_it_uses() -> None:
    version = _submitted()
    assert version.state == State.IN_REVIEW
    assert version.spec["languages"] == ["en", "de"]
    assert sorted(version.compiled) == ["de", "en"]
    review = _review(version)
    assert (review.digest, review.path) == (version.digest, [["brand_approver"]])

    hero = Block.objects.get(pk=version.playbook.slots["hero"][1]["block"])
    root = User.objects.get(email__startswith="content-")
    block_version_create(block_id=hero.pk, content={"en": {"words": "Other"}, "de": {"words": "Anders"}}, by=root)
    Audience.objects.update(rule={"attribute": "country", "is": "FR"})
    version = PlaybookVersion.objects.get(pk=version.pk)
    assert version.spec["audience_rule"] == {"all": []}
    approve(version)
    playbook_publish(version_id=version.pk, by=version.playbook.owner)
    version.refresh_from_db()
    assert version.state == State.PUBLISHED


def test_a_bulk_playbook_with_too_many_conditions_is_not_handed_in_and_another_is(settings: Settings) -> None:
    settings.BULK_CONDITIONS = -1  # none has as few
    playbook = make_playbook()

    with pytest.raises(Invalid, match="conditions, and a bulk message may have -1"):
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert not playbook.versions.exists()

    playbook_update(playbook_id=playbook.pk, by=playbook.owner, budget=Playbook.Budget.TRIGGERED)
    assert playbook_submit(playbook_id=playbook.pk, by=playbook.owner).number == 1


def test_a_newer_block_is_an_edit_and_needs_a_new_approval() -> None:
    version = approve(_submitted())
    playbook = version.playbook
    with pytest.raises(Conflict, match="handed in already"):
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    hero = Block.objects.get(pk=playbook.slots["hero"][1]["block"])
    root = User.objects.get(email__startswith="content-")
    block_version_create(block_id=hero.pk, content={"en": {"words": "Other"}, "de": {"words": "Anders"}}, by=root)

    newer = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    version.refresh_from_db()
    assert (version.state, newer.state) == (State.VOID, State.IN_REVIEW)
    assert newer.digest != version.digest
    assert _review(version).state == Review.State.VOID


@pytest.mark.parametrize("approved", [False, True])
def test_an_edit_voids_the_approval_and_says_so(approved: bool) -> None:
    version = _submitted()
    if approved:
        approve(version)
    voided = playbook_update(playbook_id=version.playbook_id, by=version.playbook.owner, kpi="revenue")
    assert [other.pk for other in voided] == [version.pk]
    version.refresh_from_db()
    assert version.state == State.VOID
    assert _review(version).state == Review.State.VOID
    entry = AuditEntry.objects.get(action="playbooks.playbook.changed")
    assert entry.data == {"fields": ["kpi"], "voided": [1]}
    with pytest.raises(Conflict):
        playbook_publish(version_id=version.pk, by=version.playbook.owner)


def test_saving_without_a_change_voids_nothing() -> None:
    version = approve(_submitted())
    playbook = version.playbook
    assert playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi=playbook.kpi, slots=playbook.slots) == []
    version.refresh_from_db()
    assert version.state == State.APPROVED


def test_whoever_edited_or_wrote_content_may_not_approve() -> None:
    editor = make_user("publisher")
    editor.groups.add(make_user("brand_approver").groups.get())
    version = _submitted(by=editor)
    writer = User.objects.get(email__startswith="content-")
    for person in (editor, writer):
        with pytest.raises(NotAllowed):
            review_answer(review_id=_review(version).pk, by=person, verdict=Approval.Verdict.APPROVE)
    version.refresh_from_db()
    assert version.state == State.IN_REVIEW
    assert Approval.objects.count() == 0


def test_an_earlier_editor_may_not_approve_though_another_handed_in() -> None:
    playbook = make_playbook()
    both = make_helper(playbook)
    both.groups.add(make_user("brand_approver").groups.get())
    playbook_update(playbook_id=playbook.pk, by=both, kpi="revenue")
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    with pytest.raises(NotAllowed):
        review_answer(review_id=_review(version).pk, by=both, verdict=Approval.Verdict.APPROVE)


def test_changes_asked_for_refuse_the_version() -> None:
    version = _submitted()
    review_answer(
        review_id=_review(version).pk, by=make_user("brand_approver"), verdict=Approval.Verdict.REFUSE, comment="No"
    )
    version.refresh_from_db()
    assert version.state == State.REFUSED
    with pytest.raises(Conflict):
        playbook_publish(version_id=version.pk, by=version.playbook.owner)


# --- publishing ---


def test_only_the_named_owner_publishes_and_runs_and_those_they_share_it_with() -> None:
    version = approve(_submitted())
    outsiders = [
        make_user(role)
        for role in (
            "local_editor",
            "engineer",
            "brand_approver",
            "legal_approver",
            "publisher",
            "analyst",
            "administrator",
        )
    ]
    for outsider in outsiders:
        with pytest.raises(NotAllowed):
            playbook_publish(version_id=version.pk, by=outsider)
    version.refresh_from_db()
    assert version.state == State.APPROVED
    playbook_publish(version_id=version.pk, by=make_helper(version.playbook))
    for outsider in outsiders:
        with pytest.raises(NotAllowed):
            run_start(playbook_id=version.playbook_id, occasion_key="x", trigger="hand", by=outsider)
        with pytest.raises(NotAllowed):
            playbook_withdraw(playbook_id=version.playbook_id, by=outsider)
    assert Run.objects.count() == 0
    assert Playbook.objects.get(pk=version.playbook_id).published_id == version.pk


def test_what_waits_can_not_be_published() -> None:
    version = _submitted()
    with pytest.raises(Conflict) as refused:
        playbook_publish(version_id=version.pk, by=version.playbook.owner)
    assert refused.value.code == "playbook_not_approved"


@pytest.mark.parametrize(
    "change",
    [
        {"audience_rule": {"attribute": "country", "is": "DE"}},
        {"purpose": "transactional"},
        {"cap": {"count": 99, "days": 1}},
        {"slots": {}},
    ],
)
def test_a_spec_changed_behind_the_review_is_not_published(change: dict[str, Any]) -> None:
    version = approve(_submitted())
    _tamper(version, **change)
    with pytest.raises(Conflict) as refused:
        playbook_publish(version_id=version.pk, by=version.playbook.owner)
    assert refused.value.code == "version_tampered"
    version.refresh_from_db()
    assert version.state == State.APPROVED


def test_a_spec_changed_with_its_digest_still_has_no_approval() -> None:
    from apps.decisioning.playbooks.specs import version_digest

    version = approve(_submitted())
    _tamper(version, purpose="transactional")
    version.refresh_from_db()
    PlaybookVersion.objects.filter(pk=version.pk).update(digest=version_digest(version))
    with pytest.raises(Conflict) as refused:
        playbook_publish(version_id=version.pk, by=version.playbook.owner)
    assert refused.value.code == "playbook_not_approved"


def test_a_spec_changed_after_publishing_does_not_run() -> None:
    playbook = make_published()
    version = playbook.published
    assert version is not None
    _tamper(version, purpose="transactional")
    with pytest.raises(DomainError) as refused:
        run_start(playbook_id=playbook.pk, occasion_key="x", trigger="hand")
    assert refused.value.code == "version_tampered"
    assert Run.objects.count() == 0


def test_publishing_retires_the_one_before_and_an_edit_leaves_it_in_service() -> None:
    playbook = make_published()
    first = playbook.published
    assert first is not None
    assert playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue") == []
    first.refresh_from_db()
    assert first.state == State.PUBLISHED
    second = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=second.pk, by=second.playbook.owner)
    first.refresh_from_db()
    playbook.refresh_from_db()
    assert first.state == State.RETIRED
    assert playbook.published_id == second.pk
    assert second.number == 2


def test_withdrawing_ends_it_and_cancels_what_may_still_send() -> None:
    playbook = make_published()
    run = run_start(playbook_id=playbook.pk, occasion_key="x", trigger="hand")
    assert playbook_withdraw(playbook_id=playbook.pk, by=playbook.owner) == 1
    run.refresh_from_db()
    assert run.state == Run.State.CANCELLED
    with pytest.raises(Conflict) as refused:
        run_start(playbook_id=playbook.pk, occasion_key="y", trigger="hand")
    assert refused.value.code == "playbook_not_published"
    assert run_start(playbook_id=playbook.pk, occasion_key="x", trigger="hand").pk == run.pk
    with pytest.raises(Conflict):
        playbook_withdraw(playbook_id=playbook.pk, by=playbook.owner)
