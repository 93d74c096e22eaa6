"""Templates that must be refused, each with the reason, and templates that must be accepted."""

from pathlib import Path
from typing import Any

import yaml

from apps.decisioning.content.compiling import TemplateSource

FOOTER = '<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> [[ brand.postal_address ]]</p>'
HEAD = "<mj-section><mj-column><mj-text>"
FOOT = f"{FOOTER}</mj-text></mj-column></mj-section>"
TEXT_FOOTER = "{{ links.unsubscribe }}\n[[ brand.postal_address ]]\n"


def template(html: str = "Hello", *, text: str = "Hello", subject: str = "Hello", body: str = "") -> TemplateSource:
    """A template with `html` in its text element, `body` beside its section."""
    mjml = f"<mjml><mj-body>{HEAD}\n{html}\n{FOOT}\n{body}</mj-body></mjml>"
    return TemplateSource("test", subject, mjml, f"{text}\n{TEXT_FOOTER}")


def text(source: str) -> TemplateSource:
    """A template with `source` in its text."""
    return template(text=source)


def mjml(source: str) -> TemplateSource:
    """A template with this MJML as it is."""
    return TemplateSource("test", "Hello", source, f"Hello\n{TEXT_FOOTER}")


def _yaml(name: str) -> dict[str, Any]:
    entries: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text())
    return entries


def _macros(count: int, calls: int) -> str:
    """Macros of which each calls the one before so many times."""
    return "".join(
        f"{{% macro m{n}(x) %}}!{f'{{{{ m{n - 1}(x) }}}}' * calls if n else ''}{{% endmacro %}}" for n in range(count)
    )


ITEMS = "{% for item in slots.products.items %}"

# name → template, words of the problem, its place
REFUSED: dict[str, tuple[TemplateSource, str, str]] = {
    # what may be blank
    "a bare attribute": (text("Hi {{ profile.first_name }}"), "may be blank", "text:1 {{ profile.first_name }}"),
    "a bare attribute in the subject": (
        template(subject="{{ profile.first_name }}, hello"),
        "may be blank",
        "subject:1 {{ profile.first_name }}",
    ),
    "a bare attribute in HTML": (
        template("Hi {{ profile.first_name }}"),
        "may be blank",
        "mjml:2 {{ profile.first_name }}",
    ),
    "default instead of fallback": (
        text('{{ profile.first_name | default("friend") }}'),
        "default does not catch",
        'text:1 {{ profile.first_name | default("friend") }}',
    ),
    "d instead of fallback": (
        text('{{ profile.first_name | d("friend") }}'),
        "the filter d is not allowed",
        'text:1 {{ profile.first_name | d("friend") }}',
    ),
    "an empty fallback": (
        text('{{ profile.first_name | fallback("") }}'),
        "blank itself",
        'text:1 {{ profile.first_name | fallback("") }}',
    ),
    "a blank fallback": (
        text('{{ profile.first_name | fallback(" \u200b ") }}'),
        "blank itself",
        'text:1 {{ profile.first_name | fallback(" \u200b ") }}',
    ),
    "a fallback that says None": (
        text('{{ profile.first_name | fallback("None") }}'),
        "blank itself",
        'text:1 {{ profile.first_name | fallback("None") }}',
    ),
    "a fallback that is another attribute": (
        text("{{ profile.first_name | fallback(profile.nick) }}"),
        "may be blank itself",
        "text:1 {{ profile.first_name | fallback(profile.nick) }}",
    ),
    "a fallback without a text": (
        text("{{ profile.first_name | fallback }}"),
        'write | fallback("text")',
        "text:1 {{ profile.first_name | fallback }}",
    ),
    "a fallback by keyword": (
        text('{{ profile.first_name | fallback(instead="x") }}'),
        "in their order",
        'text:1 {{ profile.first_name | fallback(instead="x") }}',
    ),
    "or": (
        text('{{ profile.first_name or "friend" }}'),
        "may be yes or no",
        'text:1 {{ profile.first_name or "friend" }}',
    ),
    "an empty literal": (text('{{ "" }}'), "may be blank", 'text:1 {{ "" }}'),
    "a literal of spaces": (text('{{ "\u00a0\u2003" }}'), "may be blank", 'text:1 {{ " " }}'),
    "none": (text("{{ none }}"), "may be blank", "text:1 {{ none }}"),
    "true": (text("{{ true }}"), "can't be printed", "text:1 {{ true }}"),
    "a condition without else": (
        text('{{ "Anna" if profile.first_name }}'),
        "needs an else",
        'text:1 {{ "Anna" if profile.first_name }}',
    ),
    "a condition with a blank else": (
        text('{{ "Anna" if profile.first_name else "" }}'),
        "may be blank",
        'text:1 {{ "Anna" if profile.first_name else "" }}',
    ),
    "a condition that shows the attribute": (
        text('{{ profile.a if profile.a else "x" }}'),
        "may be blank",
        'text:1 {{ profile.a if profile.a else "x" }}',
    ),
    "an attribute within its own condition": (
        text("{% if profile.a %}{{ profile.a }}{% endif %}"),
        "may be blank",
        "text:1 {{ profile.a }}",
    ),
    "an untaken branch": (
        text('{% if profile.a == "x" %}x{% else %}{{ profile.b }}{% endif %}'),
        "may be blank",
        "text:1 {{ profile.b }}",
    ),
    "an elif": (
        text("{% if profile.a %}x{% elif profile.b %}{{ profile.c }}{% else %}y{% endif %}"),
        "may be blank",
        "text:1 {{ profile.c }}",
    ),
    "a set attribute": (text("{% set name = profile.first_name %}{{ name }}"), "may be blank", "text:1 {{ name }}"),
    "a set in one branch only": (
        text("{% if profile.a %}{% set name = 'x' %}{% endif %}{{ name }}"),
        "not known",
        "text:1 {{ name }}",
    ),
    "a set that one branch spoils": (
        text("{% set name = 'x' %}{% if profile.a %}{% set name = profile.a %}{% endif %}{{ name }}"),
        "may be blank",
        "text:1 {{ name }}",
    ),
    "a set that comes too late": (text("{{ name }}{% set name = 'x' %}"), "not known", "text:1 {{ name }}"),
    "a set in a loop used behind it": (
        text(f"{ITEMS}{{% set name = item.title %}}x{{% else %}}y{{% endfor %}}{{{{ name }}}}"),
        "not known",
        "text:1 {{ name }}",
    ),
    "a set in a loop used before it": (
        text(f"{{% set n = 'x' %}}{ITEMS}{{{{ n }}}}{{% set n = item.price %}}{{% else %}}y{{% endfor %}}"),
        "may be blank",
        "text:1 {{ n }}",
    ),
    "a filter behind which it may be blank": (
        text("{{ profile.first_name | upper }}"),
        "may be blank",
        "text:1 {{ profile.first_name | upper }}",
    ),
    "a loop without else": (
        text(f"{ITEMS}{{{{ item.title }}}}{{% endfor %}}"),
        "may have no items",
        "text:1 {% for … %}",
    ),
    "a loop whose items were looked for elsewhere": (
        text(f"{{% if slots.other.items %}}{ITEMS}{{{{ item.title }}}}{{% endfor %}}{{% endif %}}"),
        "may have no items",
        "text:1 {% for … %}",
    ),
    "a loop in the wrong branch": (
        text(f"{{% if slots.products.items %}}x{{% else %}}{ITEMS}y{{% endfor %}}{{% endif %}}"),
        "may have no items",
        "text:1 {% for … %}",
    ),
    "a loop under or": (
        text(f"{{% if slots.products.items or profile.a %}}{ITEMS}y{{% endfor %}}{{% endif %}}"),
        "may have no items",
        "text:1 {% for … %}",
    ),
    "an item's price": (
        text(f"{ITEMS}{{{{ item.price }}}}{{% else %}}x{{% endfor %}}"),
        "may be blank",
        "text:1 {{ item.price }}",
    ),
    "an item's picture": (
        text(f"{ITEMS}{{{{ item.image_url }}}}{{% else %}}x{{% endfor %}}"),
        "may be blank",
        "text:1 {{ item.image_url }}",
    ),
    "an item after its loop": (
        text(f"{ITEMS}x{{% else %}}y{{% endfor %}}{{{{ item.title }}}}"),
        "not known",
        "text:1 {{ item.title }}",
    ),
    "an item in the else of its loop": (
        text(f"{ITEMS}x{{% else %}}{{{{ item.title }}}}{{% endfor %}}"),
        "not known",
        "text:1 {{ item.title }}",
    ),
    "an unknown field of an item": (
        text(f"{ITEMS}{{{{ item.colour }}}}{{% else %}}x{{% endfor %}}"),
        "not known",
        "text:1 {{ item.colour }}",
    ),
    "an unknown name": (text("{{ customer.name }}"), "not known", "text:1 {{ customer.name }}"),
    "an unknown link": (text("{{ links.home }}"), "not known", "text:1 {{ links.home }}"),
    "the block of a slot": (text("{{ slots.hero.block }}"), "can't be printed", "text:1 {{ slots.hero.block }}"),
    # what could do harm
    "dunder": (text("{{ profile.__class__ }}"), "not a name", "text:1 {{ profile.__class__ }}"),
    "dunder in a condition": (
        text("{% if profile.__class__ %}x{% endif %}"),
        "not a name",
        "text:1 {% if profile.__class__ %}",
    ),
    "dunder of a literal": (text('{{ "".__class__ }}'), "not a name", 'text:1 {{ "".__class__ }}'),
    "square brackets": (text('{{ profile["first_name"] }}'), "square brackets", 'text:1 {{ profile["first_name"] }}'),
    "a call": (text("{{ profile.first_name.upper() }}"), "called", "text:1 {{ profile.first_name.upper() }}"),
    "range": (
        text("{% for i in range(999999999) %}x{% endfor %}"),
        "can't be called",
        "text:1 {% for i in range(999999999) %}",
    ),
    "lipsum": (text("{{ lipsum(100) }}"), "called", "text:1 {{ lipsum(100) }}"),
    "format bomb": (
        text('{{ "%1000000000d" | format(1) }}'),
        "format is not allowed",
        'text:1 {{ "%1000000000d" | format(1) }}',
    ),
    "modulo bomb": (text('{{ "%1000000000d" % 1 }}'), "not allowed", 'text:1 {{ "%1000000000d" % 1 }}'),
    "multiplied text": (text('{{ "x" * 1000000000 }}'), "not allowed", 'text:1 {{ "x" * 1000000000 }}'),
    "a power": (text("{{ 9 ** 9 ** 9 }}"), "not allowed", "text:1 {{ 9 ** 9 ** 9 }}"),
    "center": (
        text('{{ "x" | center(1000000000) }}'),
        "center is not allowed",
        'text:1 {{ "x" | center(1000000000) }}',
    ),
    "safe": (
        template('{{ profile.first_name | fallback("x") | safe }}'),
        "safe is not allowed",
        'mjml:2 {{ profile.first_name | fallback("x") | safe }}',
    ),
    "attr": (
        text('{{ profile | attr("__class__") }}'),
        "attr is not allowed",
        'text:1 {{ profile | attr("__class__") }}',
    ),
    "map": (
        text('{{ slots.products.items | map("upper") }}'),
        "map is not allowed",
        'text:1 {{ slots.products.items | map("upper") }}',
    ),
    "a macro": (text("{% macro m() %}x{% endmacro %}"), "never used", "text:1 {% macro … %}"),
    "a call block": (text("{% call m() %}x{% endcall %}"), "call blocks", "text:1 {% call m() %}"),
    "an include": (text('{% include "x" %}'), "includes", 'text:1 {% include "x" %}'),
    "an import": (text('{% import "x" as x %}'), "imports", 'text:1 {% import "x" as x %}'),
    "a from import": (text('{% from "x" import y %}'), "imports", 'text:1 {% from "x" import y %}'),
    "extends": (text('{% extends "x" %}'), "extend", 'text:1 {% extends "x" %}'),
    "a block": (text("{% block x %}y{% endblock %}"), "blocks of Jinja", "text:1 {% block x %}"),
    "with": (text("{% with x = 'y' %}{{ x }}{% endwith %}"), "with", "text:1 {% with x = 'y' %}"),
    "a filter block": (text("{% filter upper %}x{% endfilter %}"), "filter blocks", "text:1 {% filter upper %}"),
    "autoescape": (template("{% autoescape false %}x{% endautoescape %}"), "autoescaping", "mjml:1"),
    "raw": (text("{% raw %}{{ x }}{% endraw %}"), "raw", "text:1 {% raw %}"),
    "concatenation": (text('{{ "no" ~ "ne" }}'), "~", 'text:1 {{ "no" ~ "ne" }}'),
    "a test": (
        text("{% if profile.a is lower %}x{% endif %}"),
        "the test lower is not allowed",
        "text:1 {% if profile.a is lower %}",
    ),
    "a nested loop": (
        text(f"{ITEMS}{ITEMS}x{{% else %}}y{{% endfor %}}{{% else %}}y{{% endfor %}}"),
        "new, single name",
        "text:1 {% for … %}",
    ),
    "a recursive loop": (
        text("{% for i in slots.p.items recursive %}x{% else %}y{% endfor %}"),
        "recursive",
        "text:1 {% for … %}",
    ),
    "a loop with a condition": (
        text("{% for i in slots.p.items if i.price %}x{% else %}y{% endfor %}"),
        "condition",
        "text:1 {% for … %}",
    ),
    "a loop over letters": (
        text("{% for c in profile.first_name %}x{% else %}y{% endfor %}"),
        "slots.NAME.items",
        "text:1 {% for … %}",
    ),
    "a loop that unpacks": (
        text("{% for a, b in slots.p.items %}x{% else %}y{% endfor %}"),
        "single name",
        "text:1 {% for … %}",
    ),
    "setting a root": (text("{% set profile = 'x' %}y"), "has a meaning", "text:1 {% set … %}"),
    "setting an attribute": (text("{% set profile.a = 'x' %}y"), "one plain name", "text:1 {% set profile.a = 'x' %}"),
    "ordering what may be no number": (
        text("{% if profile.age > 18 %}x{% endif %}"),
        "only numbers",
        "text:1 {% if profile.age > 18 %}",
    ),
    "searching in a text": (
        text('{% if "x" in profile.a %}y{% endif %}'),
        "as a list",
        'text:1 {% if "x" in profile.a %}',
    ),
    "a number of a million digits": (
        text("{{ " + "9" * 6000 + " }}"),
        "too long",
        "text:1 {{ 999",
    ),
    "brackets a thousand deep": (
        text("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"),
        "nested",
        "text:1 {{ (((",
    ),
    "an unclosed output": (
        text("{{ profile.a"),
        "is not closed",
        "text:1 {{ profile.a\n{{ links.unsubscribe }}\n[[ brand.postal_address",
    ),
    "an unclosed if": (text("{% if profile.a %}x"), "not understood", "text:2 {{ links.unsubscribe }}"),
    "an unknown statement": (text("{% debug %}"), "not understood", "text:1 {% debug %}"),
    # what would do too much
    "a text doubled by each set": (
        text('{% set x = "ab" %}' + "{% set x = x ~ x %}" * 30 + "{{ x }}"),
        "too long",
        "text:1 {% set x = x ~ x %}",
    ),
    "a number squared by each set": (
        text("{% set x = 999999 %}" + "{% set x = x * x %}" * 30 + "{{ x }}"),
        "too large a number",
        "text:1 {% set x = x * x %}",
    ),
    "a text that grows by replace": (
        text('{% set x = "aaaaaaaa" %}' + '{% set x = x | replace("a", "aaaaaaaaaaaaaaaa") %}' * 6 + "{{ x }}"),
        "too long",
        'text:1 {% set x = x | replace("a", "aaaaaaaaaaaaaaaa") %}',
    ),
    "loops over written lists": (
        text("".join(f"{{% for i{n} in {list('abcdefghij')} %}}" for n in range(6)) + "x" + "{% endfor %}" * 6),
        "steps",
        "text:1 {% for i4 in",
    ),
    "macros that call nine each": (
        text(_macros(8, 9) + '{{ m7("x") }}'),
        "steps",
        "text:1 {{ m4(x) }}",
    ),
    "macros nine deep": (text(_macros(10, 1) + '{{ m9("x") }}'), "at most 8 deep", "text:1 {% macro … %}"),
    "branches twenty deep": (
        text("{% if profile.a %}" * 20 + "x" + "{% endif %}" * 20),
        "nested deeper",
        "text:1 {% if profile.a %}",
    ),
    "filters forty deep": (text('{{ "x"' + " | upper" * 40 + " }}"), "nested deeper", 'text:1 {{ "x" | upper'),
    # brackets filled at publish
    "an unknown bracket": (text("[[ customer.name ]]"), "not known", "text:1 [[ customer.name ]]"),
    "an unknown value of the brand": (text("[[ brand.secret ]]"), "not known", "text:1 [[ brand.secret ]]"),
    "a field in a template": (text("[[ headline ]]"), "not known", "text:1 [[ headline ]]"),
    # MJML
    "not well-formed": (template("<b>x"), "not well-formed", "mjml:3"),
    "br left open": (template("x<br>y"), "not well-formed", "mjml:3"),
    "a bare ampersand": (template("Harbour & Pine"), "not well-formed", "mjml:2"),
    "an unknown element": (template(body="<mj-carousel/>"), "not allowed in mj-body", "mjml:4 <mj-carousel>"),
    "an include of MJML": (template(body='<mj-include path="/etc/passwd"/>'), "includes", "mjml:4 <mj-include>"),
    "a script": (template("<script>alert(1)</script>"), "scripts", "mjml:2 <script>"),
    "a script in mj-raw": (template(body="<mj-raw><script>x</script></mj-raw>"), "scripts", "mjml:4 <script>"),
    "an iframe": (
        template('<iframe src="https://shop.example/"></iframe>'),
        "not allowed in mj-text",
        "mjml:2 <iframe>",
    ),
    "a form": (template("<form><b>x</b></form>"), "not allowed in mj-text", "mjml:2 <form>"),
    "svg": (template("<svg><b>x</b></svg>"), "not allowed in mj-text", "mjml:2 <svg>"),
    "an event handler": (template('<p onclick="x()">y</p>'), "not allowed on p", "mjml:2 onclick="),
    "an event handler in MJML": (
        template(body='<mj-section onclick="x()"></mj-section>'),
        "not allowed on mj-section",
        "mjml:4 onclick=",
    ),
    "javascript": (
        template('<a href="javascript:alert(1)">x</a>'),
        "not a web address",
        'mjml:2 href="javascript:alert(1)"',
    ),
    "javascript behind a reference": (
        template('<a href="java&#115;cript:alert(1)">x</a>'),
        "not a web address",
        'mjml:2 href="javascript:alert(1)"',
    ),
    "data": (template('<a href="data:text/html,x">x</a>'), "not a web address", 'mjml:2 href="data:text/html,x"'),
    "http": (template('<a href="http://shop.example/">x</a>'), "not encrypted", 'mjml:2 href="http://shop.example/"'),
    "user information in a link": (
        template('<a href="https://shop.example@evil.example/">x</a>'),
        "not a web address",
        'mjml:2 href="https://shop.example@evil.example/"',
    ),
    "a person's value in a link": (
        template('<a href="https://shop.example/{{ profile.id | fallback("x") }}">x</a>'),
        "a link is either",
        'mjml:2 href="https://shop.example/{{ profile.id | fallback("x") }}"',
    ),
    "a person's value as a link": (
        template('<a href="{{ profile.site | fallback("x") }}">x</a>'),
        "a link is either",
        'mjml:2 href="{{ profile.site | fallback("x") }}"',
    ),
    "a condition in a link": (
        template('<a href="{% if profile.a %}x{% endif %}">x</a>'),
        "a link is either",
        'mjml:2 href="{% if profile.a %}x{% endif %}"',
    ),
    "a person's value in a style": (
        template('<p style="color:{{ profile.colour | fallback("red") }}">x</p>'),
        "template code may stand",
        'mjml:2 style="color:{{ profile.colour | fallback("red") }}"',
    ),
    "a picture in a style": (
        template('<p style="background:url(https://evil.example/)">x</p>'),
        "url()",
        'mjml:2 style="background:url(https://evil.example/)"',
    ),
    "an import in a style": (
        mjml(f'<mjml><mj-head><mj-style>@import "x";</mj-style></mj-head><mj-body>{HEAD}{FOOT}</mj-body></mjml>'),
        "plain CSS",
        "mjml:1 <mj-style>",
    ),
    "a picture without alt": (template('<img src="https://shop.example/a.png"/>'), "needs alt", "mjml:2 <img>"),
    "DOCTYPE": (mjml(f"<!DOCTYPE mjml><mjml><mj-body>{HEAD}{FOOT}</mj-body></mjml>"), "DOCTYPE", "mjml:1 <!"),
    "an entity bomb": (
        mjml('<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><mjml><mj-body>&b;</mj-body></mjml>'),
        "DOCTYPE",
        "mjml:1 <!",
    ),
    "a processing instruction": (template("<?php x ?>"), "processing instructions", "mjml:2 <!"),
    "a conditional comment": (template("<!--[if mso]><b>x</b><![endif]-->"), "comments", "mjml:2 <!--"),
    "2,000 wrappers deep": (
        mjml("<mjml><mj-body>" + "<mj-wrapper>" * 2000 + "</mj-wrapper>" * 2000 + "</mj-body></mjml>"),
        "nested deeper",
        "mjml:1 <mj-wrapper>",
    ),
    "10,000 div deep": (template("<div>" * 10_000 + "</div>" * 10_000), "nested deeper", "mjml:2 <div>"),
    "over 256 kB": (template("x" * 300_000), "over 256 kB", "mjml:0"),
    "an if across elements": (
        template("<p>{% if profile.a %}x</p><p>{% endif %}y</p>"),
        "must be closed in the same",
        "mjml:2 {% if profile.a %}",
    ),
    "text outside of text": (template(body="hello"), "put it into mj-text", "mjml:1 hello"),
    "an output outside of text": (
        template(body='{{ profile.a | fallback("x") }}'),
        "put it into mj-text",
        'mjml:4 {{ profile.a | fallback("x") }}',
    ),
    "no MJML": (mjml("<html><body>x</body></html>"), "outermost", "mjml:1 <html>"),
    "no body": (mjml("<mjml></mjml>"), "mj-body", "mjml:1 <mjml>"),
    # what the law asks
    "no address": (
        mjml(
            f'<mjml><mj-body>{HEAD}<a href="{{{{ links.unsubscribe }}}}">x</a></mj-text></mj-column></mj-section>'
            "</mj-body></mjml>"
        ),
        "is missing",
        "mjml:0 [[ brand.postal_address ]]",
    ),
    "no unsubscribe": (
        mjml(f"<mjml><mj-body>{HEAD}[[ brand.postal_address ]]</mj-text></mj-column></mj-section></mj-body></mjml>"),
        "is missing",
        "mjml:0 {{ links.unsubscribe }}",
    ),
    "unsubscribe for some only": (
        TemplateSource(
            "test",
            "Hello",
            template().mjml,
            "{% if profile.a %}{{ links.unsubscribe }}{% endif %}\n[[ brand.postal_address ]]\n",
        ),
        "outside of any condition",
        "text:0 {{ links.unsubscribe }}",
    ),
    "address for some only": (
        TemplateSource(
            "test",
            "Hello",
            template().mjml,
            "{{ links.unsubscribe }}\n{% if profile.a %}[[ brand.postal_address ]]{% endif %}\n",
        ),
        "outside of any condition",
        "text:0 [[ brand.postal_address ]]",
    ),
    "an empty subject": (template(subject="  "), "empty", "subject:0"),
    "a slot with a bad name": (text("[[ slot:no-name ]]"), "name slots", "template:0 [[ slot:no-name ]]"),
}

ACCEPTED: dict[str, TemplateSource] = {
    "plain text": template(),
    "a fallback": template('Hi {{ profile.first_name | fallback("friend") }}'),
    "a fallback in the subject": template(subject='{{ profile.first_name | fallback("Hello") }}, look'),
    "a fallback then upper case": text('{{ profile.first_name | fallback("friend") | upper }}'),
    "upper case then a fallback": text('{{ profile.first_name | upper | fallback("friend") }}'),
    "cut, then trimmed": text('{{ profile.first_name | fallback("friend") | truncate(12) | trim }}'),
    "a number with a default": text("{{ profile.orders_count | number(0) }}"),
    "an ordered number": text("{% if profile.orders_count | number(0) >= 3 %}Thanks{% else %}Hi{% endif %}"),
    "a literal": text('{{ "Hello" }}'),
    "a set with fallback": text('{% set name = profile.first_name | fallback("friend") %}{{ name }}'),
    "a set in all branches": text(
        '{% if profile.country == "DE" %}{% set hi = "Hallo" %}{% else %}{% set hi = "Hello" %}{% endif %}{{ hi }}'
    ),
    "a set repaired": text('{% set n = profile.a %}{% set n = n | fallback("x") %}{{ n }}'),
    "a condition as a value": text('{{ "Hallo" if profile.country in ["DE", "AT"] else "Hello" }}'),
    "a condition over countries": text('{% if profile.country in ["DE", "AT"] %}Hallo{% else %}Hello{% endif %}'),
    "elif": text('{% if profile.a == "x" %}1{% elif not profile.b %}2{% else %}3{% endif %}'),
    "and, or, not": text("{% if profile.a and (profile.b or not profile.c) %}x{% else %}y{% endif %}"),
    "a loop with else": text(f"{ITEMS}{{{{ item.title }}}}{{% else %}}Nothing today{{% endfor %}}"),
    "a loop in its condition": text(
        f"{{% if slots.products.items %}}{ITEMS}{{{{ item.title }}}}{{% endfor %}}{{% else %}}Nothing{{% endif %}}"
    ),
    "a loop under and": text(
        f'{{% if profile.a == "x" and slots.products.items %}}{ITEMS}{{{{ item.url }}}}{{% endfor %}}{{% endif %}}'
    ),
    "a price where there is one": text(
        f"{ITEMS}{{% if item.price %}}{{{{ item.price }}}}{{% endif %}}{{% else %}}x{{% endfor %}}"
    ),
    "a price with a fallback": text(f'{ITEMS}{{{{ item.price | fallback("ask us") }}}}{{% else %}}x{{% endfor %}}'),
    "commas between": text(
        f"{ITEMS}{{{{ item.title }}}}{{% if not loop.last %}}, {{% endif %}}{{% else %}}x{{% endfor %}}"
    ),
    "numbered items": text(f"{ITEMS}{{{{ loop.index }}}}. {{{{ item.title }}}}{{% else %}}x{{% endfor %}}"),
    "how many": text("{% if slots.products.items | length > 2 %}Many{% else %}Few{% endif %}"),
    "a picture where there is one": template(
        f'{ITEMS}{{% if item.image_url %}}<img src="{{{{ item.image_url }}}}" alt="{{{{ item.title }}}}"/>{{% endif %}}'
        '<a href="{{ item.url }}">{{ item.title }}</a>{% else %}x{% endfor %}'
    ),
    "columns in a loop": template(
        body=f'<mj-section>{ITEMS}<mj-column width="33%"><mj-button href="{{{{ item.url }}}}">{{{{ item.title }}}}'
        "</mj-button></mj-column>{% else %}<mj-column><mj-text>x</mj-text></mj-column>{% endfor %}</mj-section>"
    ),
    "sections in a condition": template(
        body=f'{{% if profile.country == "DE" %}}{HEAD}Hallo</mj-text></mj-column></mj-section>{{% endif %}}'
    ),
    "a wrapper with a slot": template(body="<mj-wrapper>[[ slot:hero ]]</mj-wrapper>"),
    "slots everywhere": template(
        subject="[[ slot:subject ]]", text="[[ slot:hero ]]\n\n[[ slot:products ]]", body="[[ slot:hero ]]"
    ),
    "a slot's words": mjml(
        f"<mjml><mj-head><mj-title>[[ slot-text:hero ]]</mj-title></mj-head><mj-body>{HEAD}{FOOT}</mj-body></mjml>"
    ),
    "colours and links of the brand": template(
        '<p style="color:[[ brand.colours.ink ]]"><a href="[[ brand.shop_url ]]">[[ brand.name ]]</a></p>'
    ),
    "named characters": template("a&nbsp;b &copy; &euro; &amp; &lt;"),
    "a comment": template("<!-- for us --> x {# for us #}"),
    "braces as text": template("{ and }", text="{ and } and { }"),
    "styles for the dark": mjml(
        "<mjml><mj-head><mj-style>@media (prefers-color-scheme: dark){.x{color:#fff !important}}</mj-style></mj-head>"
        f"<mj-body>{HEAD}{FOOT}</mj-body></mjml>"
    ),
    "a table": template("<table><tr><td>x</td></tr></table>"),
    "an item's title as alt": template(
        f'{ITEMS}<a href="{{{{ item.url }}}}" title="{{{{ item.title }}}}">x</a>{{% else %}}y{{% endfor %}}'
    ),
    "white space control": text(
        '{%- if profile.a -%} x {%- else -%} y {%- endif %} {{- profile.b | fallback("z") -}} .'
    ),
}

REFUSED.update(
    {
        name: (text(entry["source"]), entry["mend"], f"text:{entry['line']} {entry['token']}")
        for name, entry in _yaml("refused").items()
    }
)
ACCEPTED.update({name: template(**entry) for name, entry in _yaml("accepted").items()})
