"""Links that tell that they were followed: only where they should be, and to nowhere but where they lead anyway."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.rendering import destination_of, render
from apps.decisioning.content.traces import HONEYPOT, ITEMS, destinations_of, source_traced

LINKS = {"unsubscribe": "https://links.example/u/k1.x", "preferences": "https://links.example/p/k1.x"}
TRACE = "https://links.example/l/k1.abc"
HTML = (
    '<html><head><link href="https://fonts.example/a.css"></head><body>'
    '<a class="x" href="https://shop.example/a?b=1&amp;c=2">A</a><a href="https://shop.example/z">Z</a>'
    '<!--[if mso]><v:roundrect href="https://shop.example/z" arcsize="5%"><![endif]-->'
    '<a href="https://elsewhere.example/">E</a><a href="https://shop.example/{{ profile.country }}">C</a>'
    "{% for item in slots.products.items %}"
    '<a href="{{ item.url }}"><img src="{{ item.image_url }}">{{ item.title }}</a>'
    "{% endfor %}"
    '<a href="{{ links.unsubscribe }}">leave</a></body></html>'
)
ITEM = {
    "sku": "1",
    "title": "Tea",
    "price": "1",
    "url": "https://shop.example/tea",
    "image_url": "https://shop.example/i",
}
SLOTS = {
    "hero": {"block": "1"},
    "products": {
        "block": "2",
        "items": [ITEM, {**ITEM, "title": ""}, {**ITEM, "url": "https://evil.example/"}, {**ITEM, "url": "/x?a=1"}],
    },
}


def compiled(html: str = HTML) -> CompiledSources:
    return CompiledSources.of(
        language="en",
        subject="Hello",
        html=html,
        text="{% for item in slots.products.items %}{{ item.url }}\n{% endfor %}https://shop.example/a\n",
        tokens=["country"],
        link_hosts=["shop.example"],
        shop_url="https://shop.example/",
    )


def context(**more: object) -> dict[str, object]:
    return {"profile": {"country": "DE"}, "slots": SLOTS, "links": LINKS, **more}


def hrefs(html: str) -> list[str]:
    return re.findall(r'href="([^"]*)"', html)


def test_without_a_trace_everything_is_as_it_was() -> None:
    out = render(compiled(), context())

    assert TRACE not in out.html
    assert ".gif" not in out.html
    assert hrefs(out.html)[1:5] == [
        "https://shop.example/a?b=1&amp;c=2",
        "https://shop.example/z",
        "https://shop.example/z",
        "https://elsewhere.example/",
    ]


def test_with_a_trace_the_links_are_numbers() -> None:
    out = render(compiled(), context(trace=TRACE))

    slot = 2 * ITEMS  # the second slot by name
    assert hrefs(out.html) == [
        "https://fonts.example/a.css",
        f"{TRACE}/1",
        f"{TRACE}/2",
        f"{TRACE}/2",
        f"{TRACE}/3",
        "https://shop.example/DE",  # put together for each person: as it is
        f"{TRACE}/{slot}",
        f"{TRACE}/{slot + 2}",  # the second has no title, and is not shown
        f"{TRACE}/{slot + 3}",
        LINKS["unsubscribe"],
        f"{TRACE}/{HONEYPOT}",
    ]
    assert out.html.count(f'<img src="{TRACE}/o.gif"') == 1
    assert out.html.endswith("</body></html>")
    assert "https://shop.example/i" in out.html  # pictures are the shop's own
    # a reader of plain text sees where a link goes
    assert TRACE not in out.text
    assert "https://shop.example/tea\n" in out.text


def test_each_number_leads_where_the_link_would_have_led() -> None:
    traced, plain = render(compiled(), context(trace=TRACE)), render(compiled(), context())

    by_number = {
        int(told.rpartition("/")[2]): shown
        for told, shown in zip(hrefs(traced.html), hrefs(plain.html), strict=False)
        if told.startswith(TRACE)
    }
    assert len(by_number) == 6
    for number, shown in by_number.items():
        if number != 3:
            assert destination_of(compiled(), SLOTS, number) == shown.replace("&amp;", "&")
    # a host that the brand no longer allows, and the hidden link: to the shop
    assert destination_of(compiled(), SLOTS, 3) == "https://shop.example/"
    assert destination_of(compiled(), SLOTS, HONEYPOT) == "https://shop.example/"


@pytest.mark.parametrize("number", [4, 999, 1000, 2004, 2500, 3000, 10**9])
def test_a_number_that_the_message_has_not_leads_nowhere(number: int) -> None:
    with pytest.raises(LookupError):
        destination_of(compiled(), SLOTS, number)


def test_a_body_that_never_ends_has_its_picture_too() -> None:
    assert source_traced("<p>x</p>").startswith("<p>x</p><a href=")


@pytest.mark.parametrize("trace", ["javascript:x", "k1.x", 'https://a/"><b', "https://a b"])
def test_what_is_no_trace_is_refused(trace: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(compiled(), context(trace=trace))
    assert caught.value.code == "trace_broken"


@given(
    st.lists(
        st.sampled_from(
            [
                '<a href="https://shop.example/1">',
                "<a ",
                "href=",
                '"',
                ">",
                "{{ x }}",
                "{% if 1 > 0 %}",
                "</body>",
                "<v:rect ",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_source_keeps_all_but_its_links(html: str) -> None:
    traced = source_traced(html)

    # what was put in can be taken out again, and nothing else was touched
    for number, url in enumerate(destinations_of(html), 1):
        traced = traced.replace("{{ trace__ }}/" + str(number) + '"', url + '"')
    traced = re.sub(r'<a href="{{ trace__ }}/0".*?border:0">', "", traced, flags=re.DOTALL)
    assert traced == html
