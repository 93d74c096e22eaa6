"""Rendering a person, beside the same HTML in plain Jinja.

usage: bin/bench render [rounds]

A message with a 10 kB template and three products is compiled once. Then people are rendered, in turns: by Tessera
(sandbox, context made plain, each printed value looked at), and by plain Jinja (autoescape, no sandbox, the context as
it came) from the same sources, in which only the spelling of fallbacks and items differs. Both sign the two links of
each person and both print the same bytes, which is checked first. Tessera renders once what people have in common: it
is measured with all of that forgotten before each round (`anew`: each person is the first of their kind), and with it
kept. Microseconds of processor time for a message, medians over rounds.
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import json
import os
import re
import sys
from collections.abc import Callable
from itertools import cycle, islice
from statistics import median
from time import process_time_ns
from typing import Any
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from jinja2 import Environment

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.decisioning.content.checking import STAND_IN
from apps.decisioning.content.compiling import BlockSource, TemplateSource, message_compiled
from apps.decisioning.content.contracts import BrandSpec, CompiledSources
from apps.decisioning.content.fields import fields_read
from apps.decisioning.content.rendering import _frames, context_plain, render

PEOPLE = 200
TARGET = 1.5
MJML = """<mjml><mj-head><mj-title>[[ slot-text:subject ]]</mj-title><mj-preview>
{{ profile.first_name | fallback("Hello") }}, a few things for you</mj-preview></mj-head>
<mj-body background-color="#f4f1ea">
<mj-section><mj-column><mj-text font-size="22px">Hello {{ profile.first_name | fallback("there") }},</mj-text>
<mj-text>{% if profile.country in ["DE", "AT", "CH"] %}we send to {{ profile.country | fallback("you") }} within two
days.{% else %}we send to all of Europe.{% endif %} You are with us since
{{ profile.since | fallback("a while") }}.</mj-text>
</mj-column></mj-section>
[[ slot:products ]]
<mj-section><mj-column><mj-text font-size="12px">{{ profile.first_name | fallback("You") }} gets this as a customer of
[[ brand.name ]], [[ brand.postal_address ]]. <a href="{{ links.preferences }}">Choices</a>
<a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text></mj-column></mj-section></mj-body></mjml>"""
LAYOUT = """<mj-section>{% for item in [[ items ]] %}<mj-column><mj-text>{% if item.image_url %}
<a href="{{ item.url }}"><img src="{{ item.image_url }}" alt="{{ item.title }}" width="170"/></a>{% endif %}
<p><a href="{{ item.url }}">{{ item.title }}</a></p>{% if item.price %}<p>{{ item.price }}</p>{% endif %}
<p>Number {{ item.sku | fallback("unknown") }}</p></mj-text></mj-column>{% else %}<mj-column><mj-text>See what is new
</mj-text></mj-column>{% endfor %}</mj-section>"""
TEXT = """Hello {{ profile.first_name | fallback("there") }},

{% if profile.country in ["DE", "AT", "CH"] %}We send to {{ profile.country | fallback("you") }} within two days.
{% else %}We send to all of Europe.
{% endif %}
[[ slot:products ]]
{{ links.preferences }}
{{ links.unsubscribe }}
[[ brand.postal_address ]]
"""
TEXT_LAYOUT = """{% for item in [[ items ]] %}
- {{ item.title }}{% if item.price %}, {{ item.price }}{% endif %}: {{ item.url }}
{% else %}
See what is new
{% endfor %}"""
SUBJECT = '{{ profile.first_name | fallback("Hello") }}: [[ slot:subject ]]'
STATIC = "<mj-section><mj-column><mj-text>See what is new</mj-text></mj-column></mj-section>"
WORDS = "Made by hand in small numbers, and sent in paper that can be used again. "


def brand() -> BrandSpec:
    return {**STAND_IN, "name": "Cloth and Clay", "link_hosts": ["shop.example"], "shop_url": "https://shop.example/"}


def compiled_make(kilobytes: int = 10) -> CompiledSources:
    """The message; its HTML is filled up to the size with words that don't change."""
    fields = fields_read([{"name": "items", "label": "Items", "kind": "products"}], [])
    products = BlockSource("7", "products", tuple(fields), {"en": {}}, LAYOUT, TEXT_LAYOUT)
    static = BlockSource("8", "static", (), {"en": {}}, STATIC, "See what is new")
    subject = BlockSource("9", "subject", (), {"en": {}}, "", "Things for you")
    slots = {"subject": [subject], "products": [products, static]}
    paragraphs = 0
    while True:
        mjml = MJML.replace("[[ slot:products ]]", "[[ slot:products ]]" + _paragraphs(paragraphs))
        template = TemplateSource("bench", SUBJECT, mjml, TEXT)
        spec = brand()
        compiled, problems = message_compiled(
            template, brand=spec, slots=slots, language="en", hosts=spec["link_hosts"]
        )
        if compiled is None:
            raise SystemExit("; ".join(map(str, problems)))
        if len(compiled.html.encode()) >= kilobytes * 1000:
            return compiled
        paragraphs += 1


def _paragraphs(count: int) -> str:
    if not count:
        return ""
    return f"<mj-section><mj-column><mj-text>{f'<p>{WORDS}</p>' * count}</mj-text></mj-column></mj-section>"


def people_make() -> list[tuple[int, UUID, dict[str, Any]]]:
    """Profile id, message id, and what a decision stored, of PEOPLE people who all differ."""
    goods = [
        {
            "sku": f"S-{number}",
            "title": f"Cup & saucer no. {number}",
            "price": f"£{number}.50",
            "url": f"https://shop.example/p/{number}",
            "image_url": f"https://shop.example/i/{number}.png",
        }
        for number in range(120)
    ]
    people = []
    for number in range(PEOPLE):
        profile = {
            "first_name": f"Zoë {number}" if number % 3 else f"Anna {number}",
            "country": ("DE", "FR", "GB")[number % 3],
            "since": str(2000 + number % 20),
        }
        items = [goods[(number * 7 + place) % len(goods)] for place in range(3)]
        slots = {"subject": {"block": "9"}, "products": {"block": "7", "items": items}}
        people.append((number + 1, UUID(int=number + 1), {"profile": profile, "slots": slots}))
    return people


def plain_source(source: str) -> str:
    """A source as plain Jinja needs it: its own filter for what is missing, and a key that is no method of a dict."""
    source = re.sub(r'\| fallback\("([^"]*)"\)', r'| default("\1", true)', source)
    return source.replace("slots.products.items", 'slots.products["items"]')


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    compiled, people = compiled_make(), people_make()
    autoescaped = Environment(autoescape=True)  # it is on
    unescaped = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701  # plain text
    plain_html = autoescaped.from_string(plain_source(compiled.html))
    plain_text = unescaped.from_string(plain_source(compiled.text))
    plain_subject = unescaped.from_string(plain_source(compiled.subject))

    def links(profile_id: int, message_id: UUID) -> dict[str, str]:
        return {
            "unsubscribe": unsubscribe_url(profile_id=profile_id, message_id=message_id),
            "preferences": preferences_url(profile_id=profile_id, message_id=message_id),
        }

    def ours_whole(profile_id: int, message_id: UUID, inputs: dict[str, Any]) -> tuple[str, str, str]:
        rendered = render(compiled, {**inputs, "links": links(profile_id, message_id)})
        return rendered.subject, rendered.html, rendered.text

    def plain_whole(profile_id: int, message_id: UUID, inputs: dict[str, Any]) -> tuple[str, str, str]:
        context = {**inputs, "links": links(profile_id, message_id)}
        return plain_subject.render(context), plain_html.render(context), plain_text.render(context).strip() + "\n"

    whole = [{**inputs, "links": links(profile_id, message_id)} for profile_id, message_id, inputs in people]
    for person in people:
        assert ours_whole(*person) == plain_whole(*person), "both sides print the same"
        assert ours_whole(*person) == plain_whole(*person), "also of what is kept"

    def ours_anew() -> list[tuple[str, str, str]]:
        made = []
        for person in people:
            _frames.clear()
            made.append(ours_whole(*person))
        return made

    sides: dict[str, Callable[[], object]] = {
        "ours, anew: links, context, subject, HTML, text": ours_anew,
        "ours, kept: links, context, subject, HTML, text": lambda: [ours_whole(*person) for person in people],
        "plain: links, subject, HTML, text": lambda: [plain_whole(*person) for person in people],
        "of ours: signing both links": lambda: [links(one, other) for one, other, _ in people],
        "of ours: making the context plain": lambda: [context_plain(compiled, context) for context in whole],
        "of plain: HTML": lambda: [plain_html.render(context) for context in whole],
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for number in range(rounds):
        for name in islice(cycle(order), number % len(order), number % len(order) + len(order)):
            before = process_time_ns()
            sides[name]()
            taken[name].append((process_time_ns() - before) / 1000 / len(people))
    middle = {name: median(times) for name, times in taken.items()}
    output = len(ours_whole(*people[0])[1].encode())
    size = len(compiled.html.encode())
    print(f"template {size} bytes, a message {output} bytes of HTML; {rounds} rounds of {PEOPLE}\n")
    for name, microseconds in middle.items():
        print(f"{name:46}{microseconds:8.1f} us")

    def ratio(one: str, other: str) -> float:
        """The median of the ratios of each round: both halves of one had the same neighbours."""
        return round(median(a / b for a, b in zip(taken[one], taken[other], strict=True)), 2)

    anew, kept, plain = list(sides)[:3]
    figures = {
        "ratio_to_plain_jinja": ratio(anew, plain),
        "ratio_kept": ratio(kept, plain),
        "message_anew_us": round(middle[anew], 1),
        "message_kept_us": round(middle[kept], 1),
        "plain_us": round(middle[plain], 1),
        "template_bytes": size,
        "html_bytes": output,
    }
    print()
    targets = {"ratio_to_plain_jinja": TARGET}
    met = {"ratio_to_plain_jinja": figures["ratio_to_plain_jinja"] <= TARGET}
    print(json.dumps({"name": "render", "figures": figures, "targets": targets, "met": met}))


if __name__ == "__main__":
    main()
