"""MJML: what is refused and where, and that neither template code nor a person reaches its parser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from typing import Any

import mrml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content import mjml
from apps.decisioning.content.contracts import Problem
from apps.decisioning.content.environment import HTML, source_read, template_make
from apps.decisioning.content.mjml import MAX_BYTES, MAX_DEPTH, Document
from apps.decisioning.content.pieces import pieces_read
from apps.decisioning.content.rendering import render
from tests.examples import tries

from .corpus import template
from .making import compiled_of, sample_blocks, sample_compiled

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


# --- what is made shorter, reads the same ---

LINKS = {"unsubscribe": "https://links.example/u", "preferences": "https://links.example/p"}
ITEM = {"sku": "S", "title": "Cup & co", "price": "€4", "url": "https://shop.example/1", "image_url": ""}
_HIDDEN = re.compile(r"<!--\[if ([^\]]*)\]>(?!<!-->)(.*?)<!\[endif\]-->", re.S)
_SHEET = re.compile(r"(<style[^>]*>)(.*?)</style>", re.S)


@contextmanager
def as_it_comes() -> Iterator[None]:
    """Compiled HTML as mrml gives it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mjml, "_conditionals_joined", lambda html: html)
        patch.setattr(mjml, "_sheet_shortened", lambda sheet: sheet)
        yield


def css_tokens(sheet: str) -> list[str]:
    """A style sheet cut as by CSS Syntax 3 (4.3), without white space beside braces and semicolons and at its ends."""
    found = re.findall(
        r"""/\*.*?(?:\*/|\Z)|url\([^)]*(?:\)|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\\.|\s+|[{};]|.""",
        sheet, re.S | re.I,
    )  # fmt: skip
    tokens = ["{", *(" " if token.isspace() else token for token in found), "}"]
    return [
        token
        for before, token, behind in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if token != " " or not {before, behind} & set("{};")
    ]


def readings(html: str) -> dict[str, list[object]]:
    """What is read of a page by clients to whom one condition holds, for each that stands in it, and by the others."""
    return {
        condition: [
            css_tokens(part) if at % 3 == 2 else part
            for at, part in enumerate(
                _SHEET.split(
                    _HIDDEN.sub(lambda found, held=condition: found[2] if found[1] == held else "", html)  # type: ignore[misc]
                )
            )
        ]
        for condition in ("", *sorted({found[1] for found in _HIDDEN.finditer(html)}))
    }


CSS = st.lists(st.sampled_from([*"ab:;{}()\n\t \"'\\/*.#>,@-", "url(", "/*", "*/"]), max_size=30).map("".join)


@settings(deadline=None, max_examples=tries(400))
@given(sheet=CSS)
def test_a_shorter_style_sheet_has_the_same_tokens(sheet: str) -> None:
    shorter = mjml._sheet_shortened(sheet)

    assert css_tokens(shorter) == css_tokens(sheet)
    assert len(shorter) <= len(sheet)
    assert mjml._sheet_shortened(shorter) == shorter


@pytest.mark.parametrize(
    ("sheet", "shorter"),
    [
        ("\n .a  .b , p > i { margin : 0  1px ;\n color: red }\n}", ".a .b , p > i{margin : 0 1px;color: red}}"),
        ("a { b: 'x  {  y'; c: \"  ;  \" }", "a{b: 'x  {  y';c: \"  ;  \"}"),
        ("a { b: 'x  { }", "a { b: 'x  { }"),
        ("a { /* ; */ }", "a { /* ; */ }"),
        ("a { b: URL(x ; y) }", "a { b: URL(x ; y) }"),
        ("a { b: \\;  c }", "a { b: \\;  c }"),
    ],
)
def test_white_space_that_means_nothing_leaves_a_style_sheet(sheet: str, shorter: str) -> None:
    assert mjml._sheet_shortened(sheet) == shorter


def test_a_style_sheet_that_became_shorter_begins_no_template_construct() -> None:
    style = "@media print { #a { color: red } }"
    source = f"<mjml><mj-head><mj-style>{style}</mj-style></mj-head><mj-body>{TEXT.format('x')}</mj-body></mjml>"
    html, problems = html_of(source)
    assert problems == []
    assert "@media print{ #a{color: red} }" in html
    assert [piece.text for piece in pieces_read(html, "html")] == [html]


@settings(deadline=None, max_examples=tries(300))
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from([" ", "jq1z", "<div>", "</div>"]),
            st.builds(
                "<!--[if {}]>{}<![endif]-->".format, st.sampled_from(["mso | IE", "mso"]), st.sampled_from("abc")
            ),
            st.builds("<!--[if !mso]><!-->{}<!--<![endif]-->".format, st.sampled_from("de")),
        ),
        max_size=12,
    )
)
def test_joined_conditionals_are_read_the_same_by_everybody(parts: list[str]) -> None:
    html = "".join(parts)
    joined = mjml._conditionals_joined(html)
    assert readings(joined) == readings(html)
    assert joined.count("jq1z") == html.count("jq1z")
    hidden = [_HIDDEN.fullmatch(part) for part in parts]
    alike = sum(one is not None and other is not None and one[1] == other[1] for one, other in pairwise(hidden))
    assert html.count("<!--[if") - joined.count("<!--[if") == alike


COLUMN = "<mj-column><mj-text>{}</mj-text></mj-column>"
SECTIONS = (
    f"<mj-section>{COLUMN.format('a')}{COLUMN.format('b')}</mj-section>",
    '<mj-section background-url="https://shop.example/x.png">' + COLUMN.format("c") + "</mj-section>",
    f"<mj-section><mj-group>{COLUMN.format('d')}{COLUMN.format('e')}</mj-group></mj-section>",
    f"<mj-section>{{% if profile.a %}}{COLUMN.format('f')}{{% endif %}}{COLUMN.format('g')}</mj-section>",
    f"<mj-section>{{% for item in slots.p.items %}}{COLUMN.format('{{ item.title }}')}{{% endfor %}}</mj-section>",
    f"<mj-wrapper><mj-section>{COLUMN.format('h')}</mj-section><mj-section>{COLUMN.format('i')}</mj-section></mj-wrapper>",
    "<mj-raw> </mj-raw>",
    "<mj-raw><p>k</p></mj-raw>",
)


@settings(deadline=None, max_examples=tries(120))
@given(
    sections=st.lists(
        st.one_of(
            st.sampled_from(SECTIONS),
            st.builds("{{% if profile.b %}}{}{{% else %}}{}{{% endif %}}".format, *[st.sampled_from(SECTIONS)] * 2),
            st.builds("{{% for item in slots.p.items %}}{}{{% endfor %}}".format, st.sampled_from(SECTIONS)),
        ),
        min_size=1,
        max_size=5,
    ),
    style=st.sampled_from(["", ".a { color: red; }\n  .b > p { margin : 0 1px }", "a { font-family: 'A  B', serif; }"]),
)
def test_a_shorter_page_is_read_the_same_by_everybody(sections: list[str], style: str) -> None:
    source = f"<mjml><mj-head><mj-style>{style}</mj-style></mj-head><mj-body>{''.join(sections)}</mj-body></mjml>"
    html, problems = html_of(source)
    assert problems == []
    with as_it_comes():
        long, _ = html_of(source)
    assert len(html) < len(long)
    pages = [template_make(HTML, source_read(HTML, page)) for page in (html, long)]
    for a, b, items in product((None, "yes"), (None, "yes"), (0, 1, 3)):
        data = {"profile": {"a": a, "b": b}, "slots": {"p": {"items": [ITEM] * items}}}
        shorter, longer = (page.render(data) for page in pages)
        assert readings(shorter) == readings(longer)


def test_the_sample_shops_pages_are_shorter_and_read_the_same() -> None:
    compiled = sample_compiled("de")
    with as_it_comes():
        long = sample_compiled("de")
    assert len(long.html) - len(compiled.html) > 1_000
    for hero, picks, items in product(sample_blocks("hero"), sample_blocks("products"), (0, 1, 3)):
        slots = {"hero": {"block": hero}, "products": {"block": picks, "items": [ITEM] * items}}
        context = {
            "profile": {"first_name": "Zoë"},
            "slots": slots,
            "links": LINKS,
            "trace": "https://links.example/l/t",
        }
        shorter, longer = render(compiled, context), render(long, context)
        assert readings(shorter.html) == readings(longer.html)
        assert (shorter.subject, shorter.text) == (longer.subject, longer.text)
