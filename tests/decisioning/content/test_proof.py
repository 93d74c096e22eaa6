"""The fallback proof tried to be broken: templates and people made by chance, and what happens when a fallback goes."""

import re
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.decisioning.content.contracts import CompiledSources, Rendered
from apps.decisioning.content.environment import HTML, MAX_OUTPUT, TEXT
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.filters import FILTERS
from apps.decisioning.content.pieces import pieces_read
from apps.decisioning.content.proof import Proof, proof_of
from apps.decisioning.content.rendering import render
from apps.decisioning.content.shapes import ANY, PRINTABLE, Shape, shapes_after, shapes_of_text
from apps.foundation.core.text import is_blank
from tests.examples import tries

from .corpus import ACCEPTED
from .generating import LINKS, Scribe, goods, person
from .making import compiled_of

NOBODY: dict[str, Any] = {"profile": {}, "slots": {}, "links": LINKS}
FULL: dict[str, Any] = {
    "profile": dict.fromkeys("abcd", "Alexandra"),
    "slots": {},
    "links": LINKS,
}


def proof(source: str, *, markup: bool = False) -> Proof:
    return proof_of(pieces_read(source, "text"), markup=markup)


def compiled(source: str, found: Proof) -> CompiledSources:
    """The source as HTML and as text; as the subject too, where the proof says that it always shows."""
    return CompiledSources.of(
        language="en",
        subject=source if found.shows else "Hello",
        html=f"<p>x</p>{source}",
        text=f"Hello\n{source}",
        tokens=found.tokens,
        link_hosts=["shop.example"],
        shop_url="https://shop.example/",
    )


def rendered(sources: CompiledSources, context: dict[str, Any]) -> Rendered | None:
    """The message; None where it is too large for one, which is told and not sent."""
    try:
        return render(sources, context)
    except RenderError as error:
        if error.code != "message_too_large":
            raise
        return None


def tried(random: Random, *, people: int) -> bool:
    """Make a template and look at it with some people; whether it was accepted."""
    source = Scribe(random).template()
    found = proof(source)
    if found.problems:
        return False
    sources = compiled(source, found)
    for context in (NOBODY, *(person(random) for _ in range(people))):
        message = rendered(sources, context)
        if message is not None:
            assert not is_blank(message.subject)
            if found.prints:
                assert message.html != "<p>x</p>"
    return True


@given(st.randoms(use_true_random=False))
@settings(max_examples=tries(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_proof_accepts_never_prints_a_blank(random: Random) -> None:
    tried(random, people=4)


def test_templates_made_by_chance_are_accepted_and_refused_in_good_measure() -> None:
    accepted = [tried(Random(seed), people=1) for seed in range(100)]

    assert 25 < sum(accepted) < 80


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200_000, 10_000))
def test_thousands_of_templates_never_print_a_blank(start: int) -> None:
    for seed in range(start, start + 500):
        tried(Random(seed), people=8)


_FALLBACK = re.compile(r"\s*\|\s*fallback\((?:\"[^\"]*\"|'[^']*')\)")


def without_one_fallback(source: str) -> list[str]:
    """The source, once without each of its fallbacks."""
    return [source[: found.start()] + source[found.end() :] for found in _FALLBACK.finditer(source)]


def mutants(count: int) -> list[str]:
    """Accepted templates with one fallback less."""
    written = [source.text.split("[[")[0] for source in ACCEPTED.values()]
    sources = [*written, *(Scribe(Random(seed), slip=0).template() for seed in range(count))]
    return [mutant for source in sources if not proof(source).problems for mutant in without_one_fallback(source)]


@pytest.mark.parametrize("count", [30, pytest.param(60, marks=pytest.mark.slow)])
def test_a_template_that_loses_a_fallback_is_refused_or_still_never_blank(count: int) -> None:
    refused = 0
    made = mutants(count)
    for number, mutant in enumerate(made):
        found = proof(mutant)
        if found.problems:
            refused += 1
            continue
        random = Random(number)
        for context in (NOBODY, person(random), person(random)):
            rendered(compiled(mutant, found), context)

    assert len(made) > count // 2
    assert refused > len(made) // 2


HOSTILE = [
    "\u00a0\u2003",
    "\u200b\u2060",
    "None",
    "nan",
    "x" * 100_000,
    "\u202eabc\u202c",
    "\u2800" * 600 + "x",
    True,
    0,
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_template_shows_something_to_everybody(name: str) -> None:
    sources = compiled_of(ACCEPTED[name])
    slots = [
        {slot: {"block": "1", "items": items} for slot in ("products", "basket")} for items in ([], goods(Random(name)))
    ]
    people = [{}, dict.fromkeys(sources.tokens, "Alexandra"), *(dict.fromkeys(sources.tokens, odd) for odd in HOSTILE)]
    for profile in people:
        for filled in slots:
            message = render(sources, {"profile": profile, "slots": filled, "links": LINKS})

            assert not is_blank(message.subject)
            assert len(message.html) < MAX_OUTPUT
            assert not re.search(r"\b(?:None|nan|NaN|undefined)\b", message.subject + message.text)


# --- what it rests on ---


@given(
    st.lists(st.sampled_from(["", " ", "no", "ne", "None", "n", "\u200b", "ı", "x", "3", "un", "defined", "\ue000"]))
)
def test_the_shapes_of_joined_texts_hold_that_of_the_whole(parts: list[str]) -> None:
    shapes = Shape.EMPTY
    for part in parts:
        shapes = shapes_after(shapes, shapes_of_text(part))

    assert shapes & shapes_of_text("".join(parts))


@given(st.text())
def test_a_text_that_is_sure_shows_whatever_it_is_joined_to(text: str) -> None:
    for whole in (text, f"n{text}", f"{text}ne", f"no{text}ne", f"\u200b{text} "):
        if Shape.SURE in shapes_of_text(text):
            assert not is_blank(whole)
        if not shapes_of_text(text) & PRINTABLE:
            assert is_blank(text)


@pytest.mark.parametrize("environment", [HTML, TEXT])
def test_a_loop_tells_a_turn_nothing_of_the_one_before(environment: Any) -> None:
    """What the analysis of loops could do without; if Jinja changes it, the proof still holds."""
    source = "{% set n = 'a' %}{% for i in [1, 2] %}{{ n }}{% set n = 'b' %}{{ n }}{% endfor %}{{ n }}"

    assert environment.from_string(source).render() == "ababa"


def test_every_filter_says_how_it_is_written() -> None:
    assert all(entry.usage.startswith(name) for name, entry in FILTERS.items())
    assert all(ANY & shape for shape in Shape)


# --- what it says of a whole ---


@pytest.mark.parametrize(
    ("source", "prints", "shows"),
    [
        ("Hello", True, True),
        (" \n", False, False),
        ("{% if profile.a %}x{% endif %}", False, False),
        ("{% if profile.a %}x{% else %}y{% endif %}", True, True),
        ("{% for i in slots.p.items %}{{ i.url }}{% else %}x{% endfor %}", True, True),
        ("{% for i in slots.p.items %}{% if i.price %}x{% endif %}{% else %}x{% endfor %}", False, False),
        ("{% for i in ['a'] %}{{ i }}!{% endfor %}", True, True),
        ('{{ profile.a | fallback("no") }}', True, True),
        ('{{ profile.a | fallback("no") }}{{ profile.b | fallback("ne") }}', True, False),
        ("{% set x = 'y' %}", False, False),
        ("{% macro m() %}x{% endmacro %}{{ m() }}", True, True),
    ],
)
def test_it_says_whether_something_is_always_shown(source: str, prints: bool, shows: bool) -> None:
    found = proof(source)

    assert found.problems == []
    assert (found.prints, found.shows) == (prints, shows)


@pytest.mark.parametrize(
    ("source", "always"),
    [
        ("{{ links.unsubscribe }}", True),
        ("{% if profile.a %}{{ links.unsubscribe }}{% else %}{{ links.unsubscribe }}{% endif %}", True),
        ("{% if profile.a %}{{ links.unsubscribe }}{% endif %}", False),
        ("{% for i in ['a'] %}{{ links.unsubscribe }}{% endfor %}", False),
        ("{% macro m() %}{{ links.unsubscribe }}{% endmacro %}{{ m() }}", False),
        ("{% set x %}{{ links.unsubscribe }}{% endset %}", False),
    ],
)
def test_it_says_what_is_always_printed(source: str, always: bool) -> None:
    assert ("links.unsubscribe" in proof(source).always) == always


@pytest.mark.parametrize(
    ("source", "mend"),
    [
        ('{% macro m() %}<b title="x">y</b>{% endmacro %}<p title="{{ m() }}">x</p>', "attribute"),
        ('{% macro m() %}<b>y</b>{% endmacro %}<p title="a > {{ m() }}">x</p>', "attribute"),
        ("{% set m %}y{% endset %}<img alt='{{ m }}'/>", "attribute"),
        ("{% macro m() %}<b></b>{% endmacro %}{{ m() }}", "may be blank"),
        ("{% set m %}<p>&nbsp;&#8203;</p>{% endset %}{{ m }}", "may be blank"),
        ('<p title="{{ profile.a }}">x</p>', "may be blank"),
    ],
)
def test_of_markup_only_words_and_pictures_show(source: str, mend: str) -> None:
    assert [mend in problem.mend for problem in proof(source, markup=True).problems] == [True]


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m() %}<b>y</b>{% endmacro %}{{ m() }}",
        '{% set m %}<img src="x"/>{% endset %}{{ m }}',
        '<p title="{{ profile.a | fallback("x") }}">x</p>',
    ],
)
def test_words_and_pictures_of_markup_show(source: str) -> None:
    assert proof(source, markup=True).problems == []
