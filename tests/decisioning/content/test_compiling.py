"""Blocks put into slots, and what their fields may do to the message around them: nothing."""

from dataclasses import replace
from typing import Any

import pytest

from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.rendering import render

from .corpus import mjml, template, text
from .making import PLAIN, block, compilation

LINKS = {"unsubscribe": "https://links.example/u/k1.x", "preferences": "https://links.example/p/k1.x"}
LINE = {"name": "line", "label": "Line", "kind": "text"}
RICH = {"name": "rich", "label": "Rich", "kind": "rich_text"}
LINK = {"name": "link", "label": "Link", "kind": "link"}
PRODUCTS = {"name": "products", "label": "Products", "kind": "products"}
HERO = template(body="[[ slot:hero ]]", text="<[[ slot:hero ]]>")


def compiled(**slots: Any) -> CompiledSources:
    work = compilation(HERO, **slots)
    sources = work.compile()
    assert sources is not None, work.problems
    return sources


def shown(sources: CompiledSources, hero: dict[str, Any] | None = None, **profile: Any) -> tuple[str, str]:
    out = render(sources, {"profile": profile, "slots": {"hero": hero or {"block": "1"}}, "links": LINKS})
    return out.html, out.text.split("\n")[0]


@pytest.mark.parametrize(
    ("value", "html", "plain"),
    [
        ("Fish & chips <b>", "Fish &amp; chips &lt;b&gt;", "<Fish & chips <b>>"),
        ("{ a } {", "&#123; a &#125; &#123;", "<{ a } {>"),
        ("[[ brand.name ]] [[ slot:hero ]]", "[[ brand.name ]]", ""),
        ('{{ profile.first_name | fallback("you & me") }}!', "you &amp; me!", "<you & me!>"),
        ("</mj-text><mj-raw>x", "&lt;/mj-text&gt;&lt;mj-raw&gt;x", "<</mj-text><mj-raw>x>"),
        ("jq0z jq1z", "jq0z jq1z", "<jq0z jq1z>"),
    ],
)
def test_a_text_field_is_text(value: str, html: str, plain: str) -> None:
    hero = block(PLAIN.format("[[ line ]]"), "[[ line ]]", fields=(LINE,), line=value)
    if "[[" in value:  # what was filled in is not filled again, and would show as brackets
        sources = compilation(HERO, hero=[hero]).compile()
        assert sources is not None
        assert html in sources.html
        return
    rendered, line = shown(compiled(hero=[hero]))

    assert html in rendered
    assert line == plain


@pytest.mark.parametrize("value", ["{", "{ % if x", "%}", "#}", "{#", "{ {"])
def test_a_brace_at_the_edge_of_a_field_never_opens_template_code(value: str) -> None:
    layout = PLAIN.format('{[[ line ]]{{ profile.a | fallback("x") }}')
    hero = block(layout, '{[[ line ]]{{ profile.a | fallback("x") }}', fields=(LINE,), line=value)
    work = compilation(HERO, hero=[hero])
    sources = work.compile()

    if sources is None:  # "{#" is what Jinja can't read; the block could not be saved
        assert value == "{#"
        return
    assert shown(sources)[1] == "<{" + value + "x>"


def test_rich_text_is_cleaned_and_also_plain() -> None:
    value = (
        '<p onclick="x()">Hi {{ profile.first_name | fallback("you") }}<br>there&nbsp;<script>evil()</script></p>'
        '<ul><li>one</li></ul><a href="https://shop.example/a?b=1&amp;c=2">shop</a><iframe src="x"></iframe>'
    )
    hero = block(PLAIN.format("[[ rich ]]"), "[[ rich ]]", fields=(RICH,), rich=value)

    html, _ = shown(compiled(hero=[hero]), first_name="<i>")
    text = render(compiled(hero=[hero]), {"profile": {}, "slots": {}, "links": LINKS}).text

    assert "<p>Hi &lt;i&gt;<br />there&#160;</p><ul><li>one</li></ul>" in html
    assert '<a href="https://shop.example/a?b=1&amp;c=2">shop</a>' in html
    assert "evil" not in html
    assert text.startswith("<Hi you\nthere\n\n- one\n\nshop (https://shop.example/a?b=1&c=2)>\n")


def test_each_block_is_a_branch_and_the_static_one_is_for_all_others() -> None:
    sources = compiled(
        hero=[block(PLAIN.format("A"), "A", number="7"), block(PLAIN.format("B"), "B", number="8"), block(number="9")]
    )

    assert sources.text.split("\n")[0] == (
        '<{% if slots.hero.block == "7" %}A{% elif slots.hero.block == "8" %}B{% else %}Block{% endif %}>'
    )
    assert [shown(sources, {"block": number})[1] for number in ("7", 8, "9", "", None, "zzz")] == [
        "<A>", "<B>", "<Block>", "<Block>", "<Block>", "<Block>",
    ]  # fmt: skip


def test_a_block_of_products_shows_only_with_products() -> None:
    products = block(
        PLAIN.format("{% for item in [[ products ]] %}{{ item.title }}.{% endfor %}"),
        "{% for item in [[ products ]] %}{{ item.title }}.{% endfor %}",
        number="7",
        fields=(PRODUCTS,),
    )
    sources = compiled(hero=[products, block(number="9")])

    assert shown(sources, {"block": "7", "items": [{"title": "Lamp"}, {"title": "Rug"}]})[1] == "<Lamp.Rug.>"
    assert shown(sources, {"block": "7", "items": []})[1] == "<Block>"
    assert shown(sources, {"block": "7", "items": [{"title": None}]})[1] == "<Block>"
    assert shown(sources, {"block": "7"})[1] == "<Block>"


def test_a_line_break_behind_a_slot_stays() -> None:
    work = compilation(text("a\n[[ slot:hero ]]\nb\n[[ slot:more ]]\nc"), hero=[block(number="1"), block(number="2")])
    sources = work.compile()

    assert sources is not None
    assert render(sources, {"links": LINKS}).text.startswith("a\nBlock\nb\nBlock\nc\n")


def test_the_words_of_a_slot_are_escaped_for_markup() -> None:
    source = mjml(
        "<mjml><mj-head><mj-title>[[ slot-text:hero ]]</mj-title></mj-head><mj-body>[[ slot:legal ]]</mj-body></mjml>"
    )
    legal = block(PLAIN.format('[[ brand.postal_address ]]<a href="{{ links.unsubscribe }}">x</a>'), "x", number="2")
    work = compilation(
        source, hero=[block(text="a < b & [[ rich ]]", fields=(RICH,), rich="<p>c &lt; d</p>")], legal=[legal]
    )
    sources = work.compile()

    assert sources is not None, work.problems
    assert "<title>a &lt; b &amp; c &lt; d</title>" in render(sources, {"links": LINKS}).html


@pytest.mark.parametrize(
    ("hero", "where", "mend"),
    [
        (block(PLAIN.format("{{ profile.a }}")), "block block 1, layout", "may be blank"),
        (block(text="a\n\n{{ profile.a }}"), "block block 1, text layout", "may be blank"),
        (block(layout=""), "block block 1, layout", "is empty"),
        (block(PLAIN.format("[[ line ]]"), "x", fields=({**LINE, "required": False},), line=""), "layout", "empty"),
        (
            block(PLAIN.format('<a href="[[ link ]]">x</a>'), fields=(LINK,), link="https://evil.example/"),
            "block block 1, layout",
            "evil.example",
        ),
        (
            block(PLAIN.format("[[ rich ]]"), fields=(RICH,), rich='<a href="https://evil.example/">x</a>'),
            "[[ rich ]]",
            "evil.example",
        ),
        (block(PLAIN.format("[[ nothing ]]")), "block block 1, layout", "not known"),
        (block("<mj-column><mj-text>x</mj-text></mj-column>"), "block block 1, layout", "not allowed in mj-body"),
        (block(PLAIN.format("[[ products ]]"), fields=(PRODUCTS,)), "block block 1, layout", "by a loop"),
    ],
)
def test_a_problem_in_a_block_says_which(hero: Any, where: str, mend: str) -> None:
    work = compilation(HERO, hero=[hero])

    assert work.compile() is None
    assert any(where in problem.where and mend in problem.mend for problem in work.problems), work.problems


def test_a_language_falls_back_to_its_base_and_then_to_the_brands() -> None:
    hero = replace(block(PLAIN.format("[[ line ]]"), "[[ line ]]", fields=(LINE,)), content={"de": {"line": "Hallo"}})
    work = compilation(HERO, hero=[hero])

    assert work.compile() is None
    assert "has no text in en" in work.problems[0].mend


def test_the_same_sources_compile_to_the_same_digest() -> None:
    assert compiled(hero=[block()]).digest == compiled(hero=[block()]).digest
    assert compiled(hero=[block()]).digest != compiled(hero=[block(text="other")]).digest
