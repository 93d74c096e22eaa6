"""The tests of a template in the admin: seen by all, changed by engineers, and nothing lost."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.content import services
from apps.decisioning.content.models import TemplateVersion
from apps.decisioning.content.template_tests import template_publish_problems, template_tests
from tests.factories import make_user

from .making import Sample
from .suites import sample_suite

pytestmark = pytest.mark.django_db


@pytest.fixture
def tested(sample: Sample) -> TemplateVersion:
    suite = sample_suite()
    return services.template_version_create(
        template_id=sample.template.pk, by=sample.engineer, arrangement=suite.arrangement, cases=suite.cases
    )


def url(sample: Sample, name: str = "tests") -> str:
    return reverse(f"admin:content_template_{name}", args=[sample.template.pk])


def case_form(version: TemplateVersion, **values: Any) -> dict[str, Any]:
    return {"base": version.number, "was": "", "name": "new", "text": "expect: {language: en}\n", **values}


def test_everybody_sees_results_coverage_and_what_a_case_shows(
    client: Client, sample: Sample, tested: TemplateVersion
) -> None:
    client.force_login(make_user("analyst"))

    page = client.get(url(sample), {"case": "vienna"})
    text = page.content.decode()

    assert page.status_code == 200
    assert "Ready to be published" in text
    assert page.context["passed"] == 6
    assert (page.context["tiers_held"], page.context["slots_held"], page.context["open_branches"]) == (13, 6, [])
    assert "Zoë, drei Dinge für dein Zuhause" in text
    assert "New case" not in text
    summary = client.get(f"{url(sample)}?summary").content.decode()
    assert "6 cases pass" in summary
    assert "13 of 13 tiers covered" in summary
    assert "Tests" in client.get(reverse("admin:content_template_change", args=[sample.template.pk])).content.decode()
    stored = client.get(reverse("admin:content_templateversion_change", args=[tested.pk])).content.decode()
    assert "# vienna" in stored


def test_a_failing_case_is_shown_first_with_what_failed(
    client: Client, sample: Sample, tested: TemplateVersion
) -> None:
    services.template_case_save(
        template_id=sample.template.pk, by=sample.engineer, name="wrong",
        text="expect: {subject: {contains: <b>Good night}}",
    )  # fmt: skip
    client.force_login(sample.engineer)

    page = client.get(url(sample))
    text = page.content.decode()

    assert "Not ready to be published" in text
    assert page.context["shown"].name == "wrong"
    assert "&lt;b&gt;Good night" in text
    assert "<b>Good night" not in text


def test_a_template_without_tests_says_so_and_gets_starting_cases_in_one_click(client: Client, sample: Sample) -> None:
    client.force_login(sample.engineer)
    before = client.get(url(sample)).content.decode()

    answer = client.post(url(sample), follow=True)

    assert "says not yet what stands in its slots" in before
    assert "Write starting cases" in before
    version = sample.template_version
    assert (version.number, version.created_by) == (2, sample.engineer)
    arrangement, cases = template_tests(version)
    assert set(arrangement.slots) == set(version.slots)
    assert cases != []
    assert "Read them, and keep what is meant" in answer.content.decode()
    problems = [str(problem) for problem in template_publish_problems(version)]
    assert all("is missing" in problem or "must" in problem for problem in problems)


def test_starting_cases_cover_what_is_left(client: Client, sample: Sample, tested: TemplateVersion) -> None:
    client.force_login(sample.engineer)
    services.template_case_remove(template_id=sample.template.pk, by=sample.engineer, name="lyon")
    assert template_publish_problems(sample.template_version) != []

    client.post(url(sample))

    assert template_publish_problems(sample.template_version) == []
    number = sample.template_version.number
    client.post(url(sample))
    assert sample.template_version.number == number


def test_a_case_is_written_changed_and_taken_out(client: Client, sample: Sample, tested: TemplateVersion) -> None:
    client.force_login(sample.engineer)
    form = client.get(url(sample, "case")).content.decode()
    assert "persona:" in form

    client.post(url(sample, "case"), case_form(tested, name="New One"))
    newer = sample.template_version
    assert [case["name"] for case in newer.cases if case["name"] not in {c.name for c in sample_suite().cases}] == [
        "new-one"
    ]
    client.post(url(sample, "case"), case_form(newer, was="new-one", name="renamed"))
    names = {case["name"] for case in sample.template_version.cases}
    assert "renamed" in names
    assert "new-one" not in names
    client.post(url(sample, "case"), case_form(sample.template_version, was="renamed", remove="1"))
    assert {case["name"] for case in sample.template_version.cases} == {case.name for case in sample_suite().cases}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"text": "expect:\n  slots:\n    hero: {tier: statc}"}, "<strong>Line 3:</strong>"),
        ({"text": "a: ["}, "is not YAML"),
        ({"name": "vienna"}, "is in use already"),
        ({"name": "!!!"}, "must be letters, digits"),
        ({"base": 1}, "Somebody saved version 2 meanwhile"),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_stays(
    client: Client, sample: Sample, tested: TemplateVersion, values: dict[str, Any], told: str
) -> None:
    client.force_login(sample.engineer)
    data = case_form(tested, **values)

    answer = client.post(url(sample, "case"), data)

    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert answer.context["form"]["text"] == data["text"]
    assert sample.template.versions.count() == 2


def test_the_arrangement_is_edited_as_yaml(client: Client, sample: Sample, tested: TemplateVersion) -> None:
    client.force_login(sample.engineer)
    text = client.get(url(sample, "arrangement")).context["form"]["text"]
    assert "block: 'Hero: everybody'" in text

    wrong = client.post(url(sample, "arrangement"), {"base": 2, "text": text.replace("brand:", "brnd:")})
    client.post(url(sample, "arrangement"), {"base": 2, "text": text.replace("Germany, Austria, Switzerland", "DACH")})

    assert "brnd is not known here" in wrong.content.decode()
    assert template_tests(sample.template_version)[0].slots["hero"][1].name == "DACH"
    first = str(template_publish_problems(sample.template_version)[0])
    assert first == "case vienna: fails: slot hero: expected name Germany, Austria, Switzerland, got DACH"


@pytest.mark.parametrize("role", ["analyst", "local_editor", "publisher", "administrator"])
def test_who_is_no_engineer_changes_nothing(client: Client, sample: Sample, tested: TemplateVersion, role: str) -> None:
    client.force_login(make_user(role))

    answers = [
        client.post(url(sample)),
        client.get(url(sample, "case")),
        client.post(url(sample, "case"), case_form(tested)),
        client.post(url(sample, "case"), case_form(tested, was="vienna", remove="1")),
        client.post(url(sample, "arrangement"), {"text": "slots: {}", "base": 2}),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert sample.template.versions.count() == 2


def test_what_is_not_there_is_not_found(client: Client, sample: Sample, tested: TemplateVersion) -> None:
    client.force_login(sample.engineer)

    assert client.get(reverse("admin:content_template_tests", args=[999_999])).status_code == 404
    assert client.get(url(sample, "case"), {"case": "nowhere"}).status_code == 404
