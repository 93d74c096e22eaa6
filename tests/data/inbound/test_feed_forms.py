"""Feeds as tables and XML become the same things, and what would harm is refused."""

from typing import Any

import pytest

from apps.data.inbound.bodies import mapped_read
from apps.data.inbound.feed_forms import FormFault, things_read

GOOGLE = """<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>
<item><title>Tea</title><g:title>Assam &amp; more</g:title><g:id>T-1</g:id><g:price>15.00 EUR</g:price>
<link>https://shop.example/t-1</link><g:availability>in_stock</g:availability>
<g:additional_image_link>a</g:additional_image_link><g:additional_image_link>b</g:additional_image_link>
<g:shipping><g:price>4.90 EUR</g:price></g:shipping></item>
<item><g:id>T-2</g:id><title><![CDATA[Darjeeling <b>]]></title><g:availability>out of stock</g:availability>
<description/></item></channel></rss>"""
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><entry><id>T-1</id><title>Tea</title></entry></feed>'
MAPPING = {
    "what": "items", "number": "id", "at": "at", "title": "title", "price": "price", "url": "link",
    "in_stock": "availability",
}  # fmt: skip


def read(body: str | bytes, form: str, items: str = "", most: int = 10) -> list[dict[str, Any]]:
    return things_read(body.encode() if isinstance(body, str) else body, form=form, items=items, most=most)


def test_googles_rss_is_read_by_the_names_of_its_parts() -> None:
    assert read(GOOGLE, "xml") == [
        {
            "title": "Assam & more", "id": "T-1", "price": "15.00 EUR", "link": "https://shop.example/t-1",
            "availability": "in_stock", "additional_image_link": "a", "shipping": {"price": "4.90 EUR"},
        },
        {"id": "T-2", "title": "Darjeeling <b>", "availability": "out of stock"},
    ]  # fmt: skip
    said: list[Any] = [mapped_read(MAPPING, {**one, "at": "2026-11-28T10:00:00Z"}) for one in read(GOOGLE, "xml")]
    assert {name: str(value) for name, value in said[0].fields.items()} == {
        "title": "Assam & more", "currency": "EUR", "price": "15.0000", "url": "https://shop.example/t-1",
        "in_stock": "True",
    }  # fmt: skip
    assert said[1].fields == {"title": "Darjeeling <b>", "in_stock": False}


def test_other_elements_and_encodings_are_read_too() -> None:
    assert read(ATOM, "xml") == [{"id": "T-1", "title": "Tea"}]
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?><shop><product><name>Grüner</name></product></shop>'
    assert read(latin.encode("latin-1"), "xml", "product") == [{"name": "Grüner"}]
    assert read("<shop/>", "xml") == []


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ("id,title\nT-1,Assam\n\nT-2,\"a, b\nc\"\nT-3,\n", "csv"),
        ("\ufeffid;title\r\nT-1;Assam\r\nT-2;\"a, b\nc\"\r\nT-3; \r\n", "csv"),
        ("id\ttitle\nT-1\tAssam\nT-2\t\"a, b\nc\"\nT-3\n", "tsv"),
    ],
)  # fmt: skip
def test_tables_go_by_the_names_in_their_first_line(body: str, form: str) -> None:
    assert read(body, form) == [{"id": "T-1", "title": "Assam"}, {"id": "T-2", "title": "a, b\nc"}, {"id": "T-3"}]


@pytest.mark.parametrize(
    ("body", "form", "says"),
    [
        ('<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><x><item><id>&b;</id></item></x>', "xml", "document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x><item><id>1</id></item></x>', "xml", "document type"),
        ("<x><item><id>&b;</id></item></x>", "xml", "no XML"),
        ("<x><item><id>1</id></item>", "xml", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><x/>', "xml", "no XML"),
        ("<x><item>" + "<a>" * 16 + "</a>" * 16 + "</item></x>", "xml", "too deep"),
        ("<x>" + "<item><id>1</id></item>" * 11 + "</x>", "xml", "too many"),
        ("id\n" + "1\n" * 11, "csv", "too many"),
        ("[" + ",".join(["{}"] * 11) + "]", "json", "too many"),
        ("id,title\n1,2,3\n", "csv", "more cells"),
        ('id,title\n"1"x,2\n', "csv", "no table"),
        (b"id,title\n1,\xff\n", "csv", "no UTF-8"),
        ("{", "json", "no JSON"),
        ('{"a": 1}', "json", "no list"),
    ],
)
def test_what_cant_be_read_is_a_fault_and_never_half_a_feed(body: str | bytes, form: str, says: str) -> None:
    with pytest.raises(FormFault, match=says):
        read(body, form)
