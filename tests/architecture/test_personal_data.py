"""No store of personal data is forgotten by exports, erasures, retention and the register of processing.

Every model of ours is either declared in its app's `privacy.py` (`processing_declare`), or listed here as holding
nothing personal, with the reason. One that points to a person can't be listed.
"""

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

from apps.data.privacy.registry import (
    Because,
    Processing,
    erase_steps,
    export_parts,
    processings,
    retention_rules,
    undeclared,
)
from apps.data.profiles.models import Profile

NOTHING_PERSONAL: dict[str, str] = {
    "monitoring.ListCheck": "how many addresses of a list are of which kind",
    "monitoring.QualityAlert": "that a figure fell",
    "monitoring.QualityThreshold": "what figures are wanted",
    "monitoring.QualityFigure": "how many people an attribute is known of",
    "core.Stamp": "that something of a kind changed",
    "accounts.ApiClient": "a system",
    "audiences.Audience": "a rule over people, never who they are",
    "catalog.Item": "goods",
    "catalog.Promotion": "an offer",
    "profiles.ChangeMark": "how far a feed goes",
    "console.DryRun": "sums; the people are in its batches and samples",
    "consent.ConsentPlatform": "a system",
    "consent.Interest": "what can be chosen",
    "consent.PrivacyPolicy": "a document",
    "consent.Purpose": "what consent is asked for",
    "consent.Topic": "what can be chosen",
    "consent.Wording": "what people read before they agree",
    "consent.WordingText": "what people read before they agree",
    "consent.WordingVersion": "what people read before they agree",
    "content.Block": "content",
    "content.BlockType": "content",
    "content.BlockVersion": "content",
    "content.Brand": "the sender of messages: a company",
    "content.CompiledTemplate": "content",
    "content.Market": "a part of the business",
    "content.Persona": "an invented person",
    "content.Template": "content",
    "content.TemplateVersion": "content, with invented people in its tests",
    "events.EventSchema": "what events look like",
    "events.EventSchemaVersion": "what events look like",
    "events.UnknownName": "names of events and properties, counted",
    "features.Rebuilding": "how far a rebuild came",
    "governance.ApprovalPath": "roles",
    "inbound.FeedItem": "goods",
    "inbound.InboundSystem": "how a system stands",
    "playbooks.Playbook": "a plan",
    "playbooks.PlaybookVersion": "a plan",
    "playbooks.Preparation": "when something was made ahead, and for how many people",
    "playbooks.Run": "an occasion; its people are in its batches and decisions",
    "playbooks.TriggerMark": "a moment",
    "privacy.RetentionMark": "counts",
    "profiles.AttributeDefinition": "what may be known, of nobody",
    "profiles.AttributeSeen": "names of attributes, and moments",
    "profiles.KeyRotation": "moments",
    "recommendations.BestSeller": "goods",
    "recommendations.EditorialPicks": "goods",
    "recommendations.Neighbour": "goods",
    "recommendations.RecommendationSet": "counts",
    "sending.Dispatch": "the terms of a run",
    "sending.RunTally": "counts of a run",
    "sending.Sender": "a process",
    "sending.SweepMark": "a moment",
    "sending.Home": "which database it is",
    "sending.Allowance": "how much of a limit is used up, by run, provider or domain that the settings name",
    "signups.SignUpForm": "content",
    "signups.Survey": "content",
    "webhooks.WebhookEndpoint": "a system",
}
"""Model → why nothing in it is about a person."""


def our_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if model.__module__.startswith("apps.")]


def declared() -> set[type[models.Model]]:
    return {line.model for line in processings()}


def points_to_a_person(model: type[models.Model]) -> list[str]:
    """Fields by which a row belongs to somebody."""
    return [
        field.name
        for field in model._meta.concrete_fields
        if field.related_model is Profile or field.name in ("profile_id", "profile_ids", "email", "phone", "address")
    ]


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_a_model_says_what_it_holds_of_people_or_why_nothing(model: type[models.Model]) -> None:
    label = model._meta.label
    if model in declared():
        assert label not in NOTHING_PERSONAL, "declared now: take it out of NOTHING_PERSONAL"
        return
    assert label in NOTHING_PERSONAL, f"say in the privacy.py of its app what {label} holds, or here why nothing"
    assert not points_to_a_person(model), f"{label} points to a person: it must be declared"


def test_the_list_has_no_model_that_is_gone() -> None:
    assert NOTHING_PERSONAL.keys() - {model._meta.label for model in our_models()} == set()


@pytest.mark.parametrize("line", processings(), ids=lambda line: line.model._meta.label)
def test_what_a_line_of_the_register_names_is_registered(line: Processing) -> None:
    assert undeclared(line) == [], "register it, or say Because(…)"
    for said in (line.exported, line.erased, line.kept):
        if isinstance(said, Because):
            assert len(said) >= 20, "say why, in a sentence"
            assert said.endswith(".")
    assert line.purpose
    assert line.lawful_basis
    assert line.categories


def test_every_part_step_and_rule_is_named_by_a_line() -> None:
    """What nothing names was renamed on one side only; those about no table of their own are listed."""
    named = {said for line in processings() for said in (line.exported, line.erased, line.kept)}
    beside = {"attributes", "suppress", "messages"}  # of Profile, Suppression, Message: each has one more

    registered = {one.name for one in export_parts()} | {one.name for one in erase_steps()}
    registered |= {one.name for one in retention_rules()}
    assert registered - named - beside == set()


def test_each_rule_has_its_setting_and_a_sentence_in_the_docs() -> None:
    text = (settings.BASE_DIR / "docs" / "settings.md").read_text()
    for rule in retention_rules():
        assert isinstance(getattr(settings, rule.days_setting), int)
        assert f"| `{rule.days_setting}` |" in text
