"""The tests of a template, kept with its versions."""

from dataclasses import replace

import pytest

from apps.decisioning.content import services
from apps.decisioning.content.cases import Arrangement
from apps.decisioning.content.contracts import digest_of
from apps.decisioning.content.models import TemplateVersion
from apps.decisioning.content.template_tests import template_publish_problems, template_report, template_tests
from apps.foundation.core.errors import Invalid, NotAllowed

from .making import Sample
from .suites import case_of, sample_suite

pytestmark = pytest.mark.django_db


def tested(sample: Sample) -> TemplateVersion:
    suite = sample_suite()
    return services.template_version_create(
        template_id=sample.template.pk, by=sample.engineer, arrangement=suite.arrangement, cases=suite.cases
    )


def test_a_version_without_tests_keeps_the_digest_of_its_sources_and_can_not_be_published(sample: Sample) -> None:
    version = sample.template_version

    given = {"subject": version.subject, "mjml": version.mjml, "text": version.text}
    assert version.digest == digest_of(given)
    assert [str(problem) for problem in template_publish_problems(version)] == [
        "template: says not yet what stands in its slots: write starting cases, or give it an arrangement"
    ]


def test_tests_are_part_of_a_version_and_of_its_digest(sample: Sample) -> None:
    before = sample.template_version

    version = tested(sample)

    assert (version.number, version.mjml) == (2, before.mjml)
    assert version.digest != before.digest
    assert template_tests(version) == (sample_suite().arrangement, sample_suite().cases)
    assert template_publish_problems(version) == []
    assert tested(sample) == version


def test_new_sources_keep_the_tests_and_new_tests_the_sources(sample: Sample) -> None:
    version = tested(sample)

    newer = services.template_version_create(template_id=sample.template.pk, by=sample.engineer, subject="Good evening")

    assert newer.number == 3
    assert newer.cases == version.cases
    assert newer.arrangement == version.arrangement
    assert "case vienna: fails: subject: 'Zoë, drei Dinge für dein Zuhause' is missing" in map(
        str, template_publish_problems(newer)
    )


def test_a_renamed_block_keeps_its_place_in_the_tests(sample: Sample) -> None:
    version = tested(sample)

    block = sample.blocks["Hero: everybody"]
    services.block_update(block_id=block.pk, by=sample.editor, name="Hero: the world")

    arrangement, cases = template_tests(version)
    assert arrangement.slots["hero"][-1].block == "Hero: the world"
    assert {case.slots["hero"].block for case in cases if case.name == "nobody"} == {"Hero: the world"}
    assert template_publish_problems(version) == []


def test_a_failing_case_and_an_uncovered_tier_stand_against_publishing(sample: Sample) -> None:
    tested(sample)
    suite = sample_suite()
    wrong = case_of("expect: {subject: {contains: Good night}}", "wrong")
    cases = [wrong, *(case for case in suite.cases if case.name != "lyon")]

    version = services.template_version_create(template_id=sample.template.pk, by=sample.engineer, cases=cases)

    assert [str(problem) for problem in template_publish_problems(version)] == [
        "case wrong: fails: subject: 'Good night' is missing",
        "slot hero: 3. country, “France, Belgium” is covered by no case: write one that expects it",
        "slot products: 3. country, “their country” is covered by no case: write one that expects it",
    ]


def test_cases_see_what_blocks_say_now(sample: Sample) -> None:
    version = tested(sample)
    block = sample.blocks["Subject: for your home"]
    content = {"en": {"line": "Three things"}, "de": {"line": "Drei Dinge"}, "fr": {"line": "Trois choses"}}

    services.block_version_create(block_id=block.pk, content=content, by=sample.editor)

    failed = {result.name for result in template_report(version).failed}
    assert failed == {"best-customer", "lyon", "nobody", "vienna"}


@pytest.mark.parametrize(
    ("arrangement", "problem"),
    [
        (replace(sample_suite().arrangement, brand="nobody"), "arrangement: nobody is no brand that there is"),
        (replace(sample_suite().arrangement, brand=""), None),
        (Arrangement(), None),
    ],
)
def test_what_does_not_exist_is_refused(sample: Sample, arrangement: Arrangement, problem: str | None) -> None:
    def save() -> TemplateVersion:
        return services.template_version_create(
            template_id=sample.template.pk, by=sample.engineer, arrangement=arrangement, cases=[]
        )

    if problem is None:
        save()
        return
    with pytest.raises(Invalid) as refused:
        save()
    assert problem in refused.value.message
    assert sample.template.versions.count() == 1


def test_an_unknown_block_is_refused_and_an_editor_may_not(sample: Sample) -> None:
    suite = sample_suite()
    case = case_of("expect: {slots: {hero: {block: Nowhere}}}")

    with pytest.raises(Invalid) as refused:
        services.template_version_create(
            template_id=sample.template.pk, by=sample.engineer, arrangement=suite.arrangement, cases=[case]
        )
    with pytest.raises(NotAllowed):
        services.template_version_create(template_id=sample.template.pk, by=sample.editor, cases=[])

    assert "arrangement: Nowhere is no block that there is" in refused.value.message
    assert sample.template.versions.count() == 1
