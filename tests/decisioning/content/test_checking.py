"""What a template may hold, and what it may not."""

import pytest

from apps.decisioning.content.checking import template_problems
from apps.decisioning.content.compiling import TemplateSource

from .corpus import ACCEPTED, REFUSED, template, text


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    source, words, place = REFUSED[name]

    problems, _ = template_problems(source)

    told = [(f"{problem.where}:{problem.line} {problem.token}".strip(), problem.mend) for problem in problems]
    assert any(at.startswith(place) and words in f"{at} {mend}" for at, mend in told), told
    assert all(problem.where and problem.mend for problem in problems)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    problems, _ = template_problems(ACCEPTED[name])

    assert problems == []


def test_corpora_are_large_enough() -> None:
    assert len(REFUSED) >= 250
    assert len(ACCEPTED) >= 80


def test_a_problem_says_source_line_token_and_mend() -> None:
    problems, _ = template_problems(text('Hello\n\n{{ profile.first_name | upper }}\n{{ "x" }}'))

    (problem,) = problems
    assert (problem.where, problem.line, problem.token) == ("text", 3, "{{ profile.first_name | upper }}")
    assert "fallback" in problem.mend


def test_an_mjml_problem_says_its_line_behind_template_code() -> None:
    source = '{% if profile.a\n  == "x" %}\n{% endif %}\n<p>\n<script>x</script></p>'

    problems, _ = template_problems(template(source))

    (problem,) = problems
    assert (problem.where, problem.line, problem.token) == ("mjml", 6, "<script>")


def test_all_problems_are_told_at_once() -> None:
    problems, _ = template_problems(template("{{ profile.a }}", text="{{ profile.b }}", subject="{{ profile.c }}"))

    assert [problem.where for problem in problems] == ["subject", "mjml", "text"]


def test_slots_are_found_in_order() -> None:
    source = TemplateSource("t", "[[ slot:subject ]]", *_rest(template(body="[[ slot:hero ]]", text="[[ slot:hero ]]")))

    assert template_problems(source) == ([], ["subject", "hero"])


def test_the_legal_slot_may_bring_address_and_unsubscribe() -> None:
    source = TemplateSource("t", "Hello", "<mjml><mj-body>[[ slot:legal ]]</mj-body></mjml>", "Hi [[ slot:legal ]]")

    assert template_problems(source) == ([], ["legal"])


def _rest(source: TemplateSource) -> tuple[str, str]:
    return source.mjml, source.text
