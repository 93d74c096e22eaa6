"""Rendering a person: nothing blank, nothing that acts, the same bytes."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content.contracts import CompiledSources, Rendered
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.rendering import MAX_ITEMS, MAX_SUBJECT, header_line, one_line, render
from apps.foundation.core.text import is_blank
from tests.examples import tries

from .corpus import ACCEPTED
from .making import compiled_of

LINKS = {"unsubscribe": "https://links.example/u/k1.x", "preferences": "https://links.example/p/k1.x"}
ITEM = {
    "sku": "a",
    "title": "Lamp",
    "price": "£4.25",
    "url": "https://shop.example/a",
    "image_url": "https://shop.example/a.png",
}
LOOP = "{% for item in slots.products.items %}[{{ item.title }} {{ item.url }}]{% else %}no items{% endfor %}"


def compiled(subject: str = "Hello", html: str = "<p>Hello</p>", text: str = "Hello") -> CompiledSources:
    return CompiledSources.of(
        language="en",
        subject=subject,
        html=html,
        text=text,
        tokens=["first_name", "country"],
        link_hosts=["shop.example"],
        shop_url="https://shop.example/",
    )


def rendered(sources: CompiledSources, *, items: list[Any] | None = None, **profile: object) -> Rendered:
    products = {"block": "9", "items": items if items is not None else [ITEM]}
    return render(sources, {"profile": profile, "slots": {"products": products}, "links": LINKS})


NAME = '{{ profile.first_name | fallback("friend") }}'


@pytest.mark.parametrize("value", [None, "", "  ", "\u200b\u2060", "None", " nan ", "NULL", float("nan"), True])
def test_a_blank_value_falls_back(value: object) -> None:
    out = rendered(compiled(text=f"Hi {NAME}!"), first_name=value)

    assert out.text == "Hi friend!\n"


@pytest.mark.parametrize("value", ["{{7*7}}", "{% raw %}", "[[ brand.name ]]", "{# x", "%(a)s", "__class__"])
def test_a_name_is_never_code(value: str) -> None:
    out = rendered(compiled(subject=f"{NAME}, hi", html=f"<p>{NAME}</p>", text=NAME), first_name=value)

    assert out.subject == f"{value}, hi"
    assert out.text == f"{value}\n"
    assert "49" not in out.html


def test_a_name_is_escaped_in_html_and_plain_in_text() -> None:
    out = rendered(compiled(html=f'<p title="{NAME}">{NAME}</p>', text=NAME), first_name="<script>\"'&")

    assert out.html == '<p title="&lt;script&gt;&#34;&#39;&amp;">&lt;script&gt;&#34;&#39;&amp;</p>'
    assert out.text == "<script>\"'&\n"


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("Anna\r\nBcc: a@b.example", "Anna Bcc: a@b.example"),
        ("An\x00na\u2028x\u0085y", "An na x y"),
        ("\u202eanna\u202c", "anna"),
        ("=?utf-8?q?x=0D=0ABcc=3Aa@b?=", "= ?utf-8?q?x=0D=0ABcc=3Aa@b?="),
        ("=\u202e?utf-8?q?x?=", "= ?utf-8?q?x?="),
        ("a\ud800b", "ab"),
    ],
)
def test_a_subject_is_one_harmless_line(value: str, subject: str) -> None:
    assert rendered(compiled(subject=NAME), first_name=value).subject == subject


@given(st.text())
def test_a_line_stays_a_line(text: str) -> None:
    line = header_line(text)

    assert one_line(line) == line
    assert "=?" not in line
    assert len(line) <= MAX_SUBJECT
    assert line.encode().decode().isprintable() or is_blank(line) or any(c in line for c in "\u200c\u200d\u00ad")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://evil.example/",
        "http://shop.example/",
        "//shop.example/",
        "https://shop.example@evil.example/",
        'https://shop.example/"onmouseover="x',
        "https://shop.example/\n",
        "https://shop.example\\@evil.example/",
        "",
        None,
        7,
    ],
)
def test_a_link_that_is_not_the_shops_goes_to_the_shop(url: object) -> None:
    sources = compiled(text="{% for i in slots.products.items %}{{ i.url }}{{ i.image_url }}{% else %}-{% endfor %}")
    picture = "https://shop.example/b.png"

    assert (
        rendered(sources, items=[{**ITEM, "url": url, "image_url": picture}]).text
        == f"https://shop.example/{picture}\n"
    )


def test_an_item_without_title_is_left_out() -> None:
    items = [{**ITEM, "title": " "}, "no item", {**ITEM, "title": "Rug"}]

    assert rendered(compiled(text=LOOP), items=items).text == "[Rug https://shop.example/a]\n"


def test_items_are_bounded() -> None:
    assert rendered(compiled(text=LOOP), items=[ITEM] * 1000).text.count("[") == MAX_ITEMS


def test_the_items_of_a_slot_are_its_list_and_not_a_method() -> None:
    assert rendered(compiled(text=LOOP), items=[]).text == "no items\n"
    assert render(compiled(text=LOOP), {"links": LINKS}).text == "no items\n"


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        (compiled(text="{{ profile.first_name }}"), "blank_token"),
        (compiled(html="{{ profile.country }}"), "blank_token"),
        (compiled(text="{{ slots.products }}"), "blank_token"),
        (compiled(subject="{% if profile.country %}x{% endif %}"), "message_blank"),
        (compiled(text="{% if profile.country %}x{% endif %}\n \u200b \n"), "message_blank"),
        (compiled(text="{{ nobody.home }}"), "template_misbehaved"),
        (compiled(text="{{ profile.first_name | upper > 3 }}"), "template_misbehaved"),
        (compiled(text='{{ "".__class__ }}'), "blank_token"),
        (compiled(text="{% if %}"), "template_broken"),
        (compiled(text="[[ slot:hero ]]"), "bracket_unfilled"),
        (compiled(html="{% raw %}{{ x }}{% endraw %}"), "bracket_unfilled"),
    ],
)
def test_what_was_never_checked_is_an_error_not_a_message(sources: CompiledSources, code: str) -> None:
    with pytest.raises(RenderError) as error:
        rendered(sources)

    assert error.value.code == code


@pytest.mark.parametrize("links", [{}, {"unsubscribe": LINKS["unsubscribe"]}, {**LINKS, "preferences": "javascript:x"}])
def test_a_message_needs_both_links(links: dict[str, str]) -> None:
    with pytest.raises(RenderError, match="links"):
        render(compiled(), {"profile": {}, "slots": {}, "links": links})


hostile = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["", " ", "None", "ı", "undefıned", "nan", "{{7*7}}", "{%", "{#", "[[", "<script>", "=?utf-8?q?x?=", "\x00"]
    ),
    st.lists(st.text(), max_size=2),
    st.dictionaries(st.text(), st.text(), max_size=2),
)
names = st.sampled_from(["first_name", "a", "b", "c", "country", "orders_count", "items", "keys"])
profiles = st.dictionaries(names, hostile)
items = st.lists(st.one_of(st.just(ITEM), hostile, st.dictionaries(st.sampled_from([*ITEM, "x"]), hostile)), max_size=4)


@given(profile=profiles, goods=st.one_of(st.just([ITEM]), items), name=st.sampled_from(sorted(ACCEPTED)))
@settings(max_examples=tries(200), deadline=None)
def test_what_was_accepted_always_renders(profile: dict[str, object], goods: list[object], name: str) -> None:
    sources = compiled_of(ACCEPTED[name])
    context = {"profile": profile, "slots": {"products": {"block": "1", "items": goods}}, "links": LINKS}

    out = render(sources, context)

    assert not is_blank(out.subject)
    assert all(not is_blank(line) or not line for line in out.text.split("\n"))
    assert render(sources, context) == out


PROGRAM = """
import hashlib, sys
import django
django.setup()
from tests.decisioning.content.making import compiled_of
from tests.decisioning.content.corpus import ACCEPTED
from tests.decisioning.content.test_rendering import digest_of_all
print(digest_of_all())
"""


def digest_of_all() -> str:
    """SHA-256 over the digests of all accepted templates and what they render to."""
    sha = hashlib.sha256()
    for name in sorted(ACCEPTED):
        sources = compiled_of(ACCEPTED[name])
        out = rendered(sources, first_name="Zoë", a="x", country="DE", orders_count=3)
        sha.update("\0".join([sources.digest, out.subject, out.html, out.text]).encode())
    return sha.hexdigest()


def test_another_process_makes_the_same_bytes() -> None:
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )

    assert made.stdout.strip() == digest_of_all()
