"""MJML: what is refused and where, and that neither template code nor a person reaches its parser."""

import subprocess
import sys
from typing import Any

import mrml
import pytest

from apps.decisioning.content.contracts import Problem
from apps.decisioning.content.mjml import MAX_BYTES, MAX_DEPTH, Document
from apps.decisioning.content.pieces import pieces_read
from apps.decisioning.content.rendering import render

from .corpus import template
from .making import compiled_of

TEXT = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"
LEVELS = 5
"""Elements around what stands in a mj-text: mjml, mj-body, mj-section, mj-column, mj-text."""


def body(inner: str) -> str:
    return f"<mjml>\n<mj-body>\n{inner}\n</mj-body>\n</mjml>"


def html_of(source: str) -> tuple[str, list[Problem]]:
    document = Document(pieces_read(source, "mjml"), hosts=["shop.example"])
    return document.html(), document.problems


def nested(levels: int) -> str:
    return body(TEXT.format("\n<div>" * (levels - LEVELS) + "x" + "</div>" * (levels - LEVELS)))


def test_fifty_levels_are_enough_and_one_more_is_refused_with_its_line() -> None:
    html, problems = html_of(nested(MAX_DEPTH))
    assert problems == []
    assert html.count("<div>") == MAX_DEPTH - LEVELS

    html, problems = html_of(nested(MAX_DEPTH + 1))
    assert html == ""
    assert [str(problem) for problem in problems] == ["mjml, line 49: <div> is nested deeper than 50: flatten it"]
    assert (MAX_DEPTH, MAX_BYTES) == (50, 256 * 1024)


def test_it_may_have_256_kb_and_no_byte_more() -> None:
    room = MAX_BYTES - len(body(TEXT.format("")))

    assert html_of(body(TEXT.format("x" * room)))[1] == []
    assert [problem.mend for problem in html_of(body(TEXT.format("x" * (room + 1))))[1]] == [
        "is over 256 kB: shorten it"
    ]


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (body('<mj-include path="/etc/passwd"/>'), 3, "includes are not allowed"),
        (body(TEXT.format('\n<mj-include path="x"/>')), 4, "includes are not allowed"),
        ('<mjml>\n<mj-head>\n<mj-include path="x"/></mj-head><mj-body/></mjml>', 3, "includes are not allowed"),
        (body('<MJ-INCLUDE path="x"/>'), 3, "is not allowed in mj-body"),
        (body('<x:include href="x"/>'), 3, "is not allowed in mj-body"),
        ('<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n<mjml/>', 1, "entities"),
        ('\n\n<!DOCTYPE m [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><mjml/>', 3, "entities"),
        (body("<?php x ?>"), 3, "processing instructions"),
        (body("\n<!--[if mso]>x<![endif]-->"), 4, "conditional comments"),
        (body(TEXT.format("\n\n<p>x")), 5, "not well-formed XML in <p>"),
        (body(TEXT.format("\na & b")), 4, "not well-formed XML in <mj-text>"),
        (body(TEXT.format("\n&nosuch;")), 4, "not well-formed XML in <mj-text>"),
        (body(TEXT.format('\n<a href="javascript:x">x</a>')), 4, "not a web address"),
        (body(TEXT.format('\n<a href="https://evil.example/">x</a>')), 4, "goes to evil.example"),
        (body(TEXT.format('\n<p onclick="x">x</p>')), 4, "is not allowed on p"),
        (body(TEXT.format('\n<p style="background:url(x)">x</p>')), 4, "url()"),
        (body('<mj-section background-url="https://evil.example/x.png"/>'), 3, "goes to evil.example"),
        (body(TEXT.format('\n<a href="{{ profile.a | fallback("x") }}">x</a>')), 4, "a link is either written out"),
        (body(TEXT.format('\n<a href="https://shop.example/{{ profile.a }}">x</a>')), 4, "a link is either"),
        (body(TEXT.format('\n<p style="{{ profile.a }}">x</p>')), 4, "text, links, alt and title only"),
        (body(TEXT.format("\n<{{ profile.a }}>x</p>")), 4, "not well-formed"),
        ("<html/>", 1, "must be mjml"),
        ("", 0, "no element found"),
    ],
)  # fmt: skip
def test_what_is_refused_says_its_line(source: str, line: int, words: str) -> None:
    html, problems = html_of(source)

    assert html == ""
    assert any(problem.line == line and words in str(problem) for problem in problems), problems


def test_an_error_of_the_renderer_itself_says_the_line_of_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is known that the checks let through; should one be, it is found by rendering the parts alone."""
    real = mrml.to_html

    def strict(source: str, *args: Any) -> Any:
        if "odd" in source:
            raise OSError("unexpected attribute")
        return real(source, *args)

    monkeypatch.setattr(mrml, "to_html", strict)

    html, problems = html_of(body(f"{TEXT.format('a')}\n{TEXT.format('odd')}\n{TEXT.format('b')}"))

    assert html == ""
    assert [str(problem) for problem in problems] == [
        "mjml, line 4: <mj-section> the MJML renderer refuses what is in it: unexpected attribute"
    ]


def test_the_renderer_gets_words_in_place_of_template_code(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    real = mrml.to_html

    def listen(source: str, *args: Any) -> Any:
        given.append(source)
        return real(source, *args)

    monkeypatch.setattr(mrml, "to_html", listen)
    name = '{{ profile.name | fallback("</mj-text><mj-raw>") }}'
    source = body(TEXT.format(f'<p title="{name}">{{% if profile.a %}}{name}{{% endif %}}jq0z &#123;&#123; x</p>'))

    html, problems = html_of(source)

    assert problems == []
    assert len(given) == 1
    assert not any(piece in given[0] for piece in ("{{", "{%", "profile", "fallback", "}}"))
    assert html.count(name) == 2
    assert "jq0z &#123;&#123; x" in html


@pytest.mark.parametrize(
    "value", ["</mj-text><mj-raw><script>x</script>", "<mj-include path='/etc/passwd'/>", "&b;", "<!DOCTYPE x>", "jq0z"]
)
def test_a_person_is_printed_and_never_parsed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    sources = compiled_of(template('Hi {{ profile.name | fallback("you") }}'))

    def never(*_: object) -> None:
        raise AssertionError("a person reached the MJML parser")

    monkeypatch.setattr(mrml, "to_html", never)
    links = {"unsubscribe": "https://links.example/u", "preferences": "https://links.example/p"}

    html = render(sources, {"profile": {"name": value}, "links": links}).html

    assert "Hi " + value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;") in html


def test_what_renders_people_does_not_even_load_the_parser() -> None:
    program = "import sys, apps.decisioning.content.rendering; print({'mrml', 'django'} & set(sys.modules))"

    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert said.stdout == "set()\n"
