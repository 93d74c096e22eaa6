"""Fields of block types: what can be declared, and what each limit says of a value, in each language."""

from typing import Any

import pytest

from apps.decisioning.content.contracts import Problem
from apps.decisioning.content.fields import content_problems, fields_read
from apps.decisioning.content.readability import FORMULAS, reading_ease, reading_formula
from apps.decisioning.content.values import image_value, reading_note, value_problems

from .making import block, compilation
from .test_compiling import HERO

EASY = "The cat sat on the mat. It was warm there. We had tea and a bit of cake. Then we went home."
HARD = (
    "Notwithstanding considerable organisational difficulties, interdepartmental communication necessitates "
    "extraordinarily comprehensive documentation of administrative responsibilities."
)


def faults(entry: dict[str, Any], value: object, language: str = "en") -> list[str]:
    """What is told of a value for a field declared so."""
    problems: list[Problem] = []
    (field,) = fields_read([{"name": "a", **entry}], problems)
    assert problems == []
    return [problem.mend for problem in value_problems(field, value, "here", language)]


def declared(entry: dict[str, Any]) -> list[str]:
    problems: list[Problem] = []
    fields_read([{"name": "a", **entry}], problems)
    return [f"{problem.token} {problem.mend}" for problem in problems]


PICTURE = {"url": "https://shop.example/a.png", "alt": "A teapot", "width": 600, "height": 300}
SIZED = {"kind": "image", "min_width": 300, "max_width": 1200, "max_height": 400}
NUMBER = {"kind": "number", "minimum": 5, "maximum": 50, "step": 2.5}


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ({"kind": "text", "max_length": 5}, "Hallo", []),
        ({"kind": "text", "max_length": 5}, "Hallo!", ["has 6 characters, 5 are allowed: shorten it"]),
        ({"kind": "rich_text", "max_length": 5}, "<p><b>Hallo</b></p>", []),
        (
            {"kind": "link", "hosts": ["shop.example"]},
            "https://evil.example/",
            ["goes to evil.example, which the brand does not allow: use shop.example"],
        ),
        ({"kind": "link", "hosts": ["shop.example"]}, "https://shop.example/x", []),
        ({"kind": "colour", "choices": ["#FF0000", "#00ff00"]}, "#ff0000", []),
        ({"kind": "colour", "choices": ["#ff0000"]}, "#0000ff", ["must be one of #ff0000"]),
        ({"kind": "choice", "choices": ["a", "b"]}, "c", ["must be one of a, b"]),
        (NUMBER, "7.5", []),
        (NUMBER, "8", ["must be in steps of 2.5, from 5"]),
        (NUMBER, "2.5", ["must be at least 5"]),
        (NUMBER, "52.5", ["must be at most 50"]),
        (NUMBER, "many", ["must be a number, such as 20 or 9.5"]),
        ({"kind": "image"}, "https://shop.example/old.png", []),
        ({"kind": "image"}, PICTURE, []),
        ({"kind": "image"}, {**PICTURE, "style": "x"}, ["has style: an image has url, alt, width and height"]),
        ({"kind": "image"}, {"url": "", "alt": "A teapot"}, ["has no address: write https://host/path"]),
        ({"kind": "image"}, {"url": "", "alt": ""}, ["is required"]),
        (
            {"kind": "image", "alt_required": True},
            "https://shop.example/old.png",
            ["needs its alternative text: say what the picture shows"],
        ),
        (
            {"kind": "image"},
            {**PICTURE, "alt": "{{ profile.x }}"},
            ["has brackets in its alternative text, which are for the person's values: write plain words"],
        ),
        (SIZED, PICTURE, []),
        (SIZED, {**PICTURE, "width": 200}, ["is 200 pixels in width, at least 300 are needed: take a larger picture"]),
        (
            SIZED,
            {**PICTURE, "height": 500},
            ["is 500 pixels in height, at most 400 are allowed: take a smaller picture"],
        ),
        (SIZED, {**PICTURE, "width": 0}, ["needs its width in pixels, because its type limits it"]),
        ({"kind": "image"}, {**PICTURE, "width": "wide"}, ["width must be a number of pixels from 1 to 10,000"]),
        ({"kind": "text", "reading_ease": 50}, EASY, []),
        ({"kind": "text", "reading_ease": 50}, "Notwithstanding organisational difficulties", []),
    ],
)  # fmt: skip
def test_a_value_is_held_to_its_limits(entry: dict[str, Any], value: object, told: list[str]) -> None:
    assert faults(entry, value) == told


def test_a_language_can_have_limits_of_its_own() -> None:
    entry = {"kind": "text", "max_length": 4, "by_language": {"de": {"max_length": 6}}}

    assert faults(entry, "Hallo!", "de") == faults(entry, "Hallo!", "de-AT") == []
    assert (
        faults(entry, "Hallo!", "en")
        == faults(entry, "Hallo!", "fr")
        == ["has 6 characters, 4 are allowed: shorten it"]
    )


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"kind": "text", "max_length": 0}, "max_length must be a number from 1 to 5,000"),
        ({"kind": "text", "minimum": 3}, "minimum is no limit of a text: take it out"),
        ({"kind": "number", "minimum": 5, "maximum": 3}, "maximum must not be below minimum"),
        ({"kind": "number", "step": 0}, "step must be above 0"),
        ({"kind": "image", "min_width": 0}, "min_width must be a number from 1 to 10,000"),
        ({"kind": "link", "hosts": ["https://x"]}, "hosts must be a list of host names, such as shop.example"),
        ({"kind": "colour", "choices": ["red"]}, "a choices must be colours such as #1a2b3c"),
        ({"kind": "text", "by_language": {"English": {"max_length": 3}}}, "English is not a language tag"),
        ({"kind": "text", "by_language": {"de": {"long": 3}}}, "long is no limit: use max_length, reading_ease"),
        ({"kind": "text", "by_language": {"de": {"max_length": "x"}}}, "max_length (de) must be a number from 1"),
        (
            {"kind": "text", "by_language": {"pl": {"reading_ease": 50}}},
            "reading_ease (pl) no formula is known for pl: there is one for en, de, fr, es, it, nl",
        ),
        ({"kind": "text", "reading_ease": 120}, "reading_ease must be a score from 0 (hard) to 100 (easy)"),
    ],
)
def test_a_limit_that_is_wrong_is_told(entry: dict[str, Any], told: str) -> None:
    assert any(told in found for found in declared(entry)), declared(entry)


def test_each_formula_says_that_short_words_are_easier() -> None:
    for language in FORMULAS:
        easy, hard = reading_ease(EASY, language), reading_ease(HARD, language)
        assert easy is not None
        assert hard is not None
        assert easy > hard + 40, language


def test_the_score_is_that_of_the_formula() -> None:
    """Ten words of one syllable in two sentences: 206.835 − 1.015·5 − 84.6·1, and Amstad's 180 − 5 − 58.5."""
    text = "The cat sat on mats. We had tea and milk."

    assert reading_ease(text, "en") == pytest.approx(117.16)
    assert reading_ease("Der Hund lag im Gras. Wir sind da und ich.", "de-AT") == pytest.approx(116.5)


def test_a_hard_text_is_told_with_its_score_and_a_language_without_formula_too() -> None:
    entry = {"kind": "text", "reading_ease": 50}
    (field,) = fields_read([{"name": "a", **entry}], [])

    (told,) = faults(entry, HARD)
    assert told.startswith("reads too hard: its reading ease is -")
    assert faults(entry, HARD, "pl") == []
    assert reading_note(field, HARD, "pl") == "Reading level is not checked: no formula is known for pl"
    assert reading_note(field, "Hello", "en") == "Reading level is judged from 10 words on"
    assert reading_note(field, EASY, "en").endswith("of at least 50, by Flesch Reading Ease (Flesch 1948)")
    assert reading_formula("sv") is None


def test_an_old_plain_address_is_an_image_without_the_rest() -> None:
    assert image_value("https://shop.example/a.png") == {
        "url": "https://shop.example/a.png", "alt": "", "width": 0, "height": 0,
    }  # fmt: skip


def test_a_fixed_field_has_no_place_in_a_blocks_content() -> None:
    fields = fields_read(
        [{"name": "a", "kind": "text"}, {"name": "c", "kind": "colour", "fixed": True, "value": "#112233"}], []
    )

    problems = content_problems(fields, {"en": {"a": "Hello", "c": "#ffffff"}}, "block X")

    assert [str(problem) for problem in problems] == [
        "block X, en: c is fixed: only the central team changes it, in the type"
    ]


def test_a_layout_shows_the_parts_of_a_picture() -> None:
    image = '<mj-image src="[[ pic ]]" alt="[[ pic.alt ]]" width="[[ pic.width ]]px" />'
    shown = block(
        f"<mj-section><mj-column>{image}</mj-column></mj-section>",
        "[[ pic.alt ]]: [[ pic ]]",
        fields=({"name": "pic", "kind": "image"},),
        pic={"url": "https://shop.example/a.png", "alt": 'Six "fine" cups', "width": 320, "height": 200},
    )

    work = compilation(HERO, hero=[shown])
    sources = work.compile()

    assert sources is not None, work.problems
    assert 'alt="Six &quot;fine&quot; cups"' in sources.html
    assert 'width="320"' in sources.html
    assert 'Six "fine" cups: https://shop.example/a.png' in sources.text
