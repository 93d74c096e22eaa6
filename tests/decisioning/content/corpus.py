"""Templates that must be refused, each with the reason, and templates that must be accepted."""

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


ITEMS = "{% for item in slots.products.items %}"

# name → template, words of the problem
REFUSED: dict[str, tuple[TemplateSource, str]] = {
    # what may be blank
    "a bare attribute": (text("Hi {{ profile.first_name }}"), "may be blank"),
    "a bare attribute in the subject": (template(subject="{{ profile.first_name }}, hello"), "may be blank"),
    "a bare attribute in HTML": (template("Hi {{ profile.first_name }}"), "may be blank"),
    "default instead of fallback": (text('{{ profile.first_name | default("friend") }}'), "default does not catch"),
    "d instead of fallback": (text('{{ profile.first_name | d("friend") }}'), "default does not catch"),
    "an empty fallback": (text('{{ profile.first_name | fallback("") }}'), "blank itself"),
    "a blank fallback": (text('{{ profile.first_name | fallback(" \u200b ") }}'), "blank itself"),
    "a fallback that says None": (text('{{ profile.first_name | fallback("None") }}'), "blank itself"),
    "a fallback that is another attribute": (text("{{ profile.first_name | fallback(profile.nick) }}"), "literal"),
    "a fallback without a text": (text("{{ profile.first_name | fallback }}"), "literal"),
    "a fallback that is a number": (text("{{ profile.first_name | fallback(3) }}"), "literal"),
    "a fallback by keyword": (text('{{ profile.first_name | fallback(instead="x") }}'), "literal"),
    "or": (text('{{ profile.first_name or "friend" }}'), "or"),
    "an empty literal": (text('{{ "" }}'), "may be blank"),
    "a literal of spaces": (text('{{ "\u00a0\u2003" }}'), "may be blank"),
    "none": (text("{{ none }}"), "can't be printed"),
    "true": (text("{{ true }}"), "can't be printed"),
    "a condition without else": (text('{{ "Anna" if profile.first_name }}'), "needs an else"),
    "a condition with a blank else": (text('{{ "Anna" if profile.first_name else "" }}'), "may be blank"),
    "a condition that shows the attribute": (text('{{ profile.a if profile.a else "x" }}'), "may be blank"),
    "an attribute within its own condition": (text("{% if profile.a %}{{ profile.a }}{% endif %}"), "may be blank"),
    "an untaken branch": (text('{% if profile.a == "x" %}x{% else %}{{ profile.b }}{% endif %}'), "may be blank"),
    "an elif": (text("{% if profile.a %}x{% elif profile.b %}{{ profile.c }}{% else %}y{% endif %}"), "may be blank"),
    "a set attribute": (text("{% set name = profile.first_name %}{{ name }}"), "may be blank"),
    "a set in one branch only": (text("{% if profile.a %}{% set name = 'x' %}{% endif %}{{ name }}"), "not known"),
    "a set that one branch spoils": (
        text("{% set name = 'x' %}{% if profile.a %}{% set name = profile.a %}{% endif %}{{ name }}"),
        "may be blank",
    ),
    "a set that comes too late": (text("{{ name }}{% set name = 'x' %}"), "not known"),
    "a set in a loop used behind it": (
        text(f"{ITEMS}{{% set name = item.title %}}x{{% else %}}y{{% endfor %}}{{{{ name }}}}"),
        "not known",
    ),
    "a set in a loop used before it": (
        text(f"{{% set n = 'x' %}}{ITEMS}{{{{ n }}}}{{% set n = item.price %}}{{% else %}}y{{% endfor %}}"),
        "not known",
    ),
    "a filter behind which it may be blank": (text("{{ profile.first_name | upper }}"), "may be blank"),
    "a loop without else": (text(f"{ITEMS}{{{{ item.title }}}}{{% endfor %}}"), "may have no items"),
    "a loop whose items were looked for elsewhere": (
        text(f"{{% if slots.other.items %}}{ITEMS}{{{{ item.title }}}}{{% endfor %}}{{% endif %}}"),
        "may have no items",
    ),
    "a loop in the wrong branch": (
        text(f"{{% if slots.products.items %}}x{{% else %}}{ITEMS}y{{% endfor %}}{{% endif %}}"),
        "may have no items",
    ),
    "a loop under or": (
        text(f"{{% if slots.products.items or profile.a %}}{ITEMS}y{{% endfor %}}{{% endif %}}"),
        "may have no items",
    ),
    "an item's price": (text(f"{ITEMS}{{{{ item.price }}}}{{% else %}}x{{% endfor %}}"), "may be blank"),
    "an item's picture": (text(f"{ITEMS}{{{{ item.image_url }}}}{{% else %}}x{{% endfor %}}"), "may be blank"),
    "an item after its loop": (text(f"{ITEMS}x{{% else %}}y{{% endfor %}}{{{{ item.title }}}}"), "not known"),
    "an item in the else of its loop": (text(f"{ITEMS}x{{% else %}}{{{{ item.title }}}}{{% endfor %}}"), "not known"),
    "an unknown field of an item": (text(f"{ITEMS}{{{{ item.colour }}}}{{% else %}}x{{% endfor %}}"), "not known"),
    "an unknown name": (text("{{ customer.name }}"), "not known"),
    "an unknown link": (text("{{ links.home }}"), "not known"),
    "the block of a slot": (text("{{ slots.hero.block }}"), "can't be printed"),
    # what could do harm
    "dunder": (text("{{ profile.__class__ }}"), "not a name"),
    "dunder in a condition": (text("{% if profile.__class__ %}x{% endif %}"), "not a name"),
    "dunder of a literal": (text('{{ "".__class__ }}'), "not a name"),
    "square brackets": (text('{{ profile["first_name"] }}'), "square brackets"),
    "a call": (text("{{ profile.first_name.upper() }}"), "called"),
    "range": (text("{% for i in range(999999999) %}x{% endfor %}"), "slots.NAME.items"),
    "lipsum": (text("{{ lipsum(100) }}"), "called"),
    "format bomb": (text('{{ "%1000000000d" | format(1) }}'), "format is not allowed"),
    "modulo bomb": (text('{{ "%1000000000d" % 1 }}'), "not allowed"),
    "multiplied text": (text('{{ "x" * 1000000000 }}'), "not allowed"),
    "a power": (text("{{ 9 ** 9 ** 9 }}"), "not allowed"),
    "center": (text('{{ "x" | center(1000000000) }}'), "center is not allowed"),
    "safe": (template('{{ profile.first_name | fallback("x") | safe }}'), "safe is not allowed"),
    "attr": (text('{{ profile | attr("__class__") }}'), "attr is not allowed"),
    "map": (text('{{ slots.products.items | map("upper") }}'), "map is not allowed"),
    "a macro": (text("{% macro m() %}x{% endmacro %}"), "macros"),
    "a call block": (text("{% call m() %}x{% endcall %}"), "call blocks"),
    "an include": (text('{% include "x" %}'), "includes"),
    "an import": (text('{% import "x" as x %}'), "imports"),
    "a from import": (text('{% from "x" import y %}'), "imports"),
    "extends": (text('{% extends "x" %}'), "extend"),
    "a block": (text("{% block x %}y{% endblock %}"), "blocks of Jinja"),
    "with": (text("{% with x = 'y' %}{{ x }}{% endwith %}"), "with"),
    "a filter block": (text("{% filter upper %}x{% endfilter %}"), "filter blocks"),
    "a set block": (text("{% set x %}y{% endset %}{{ x }}"), "set"),
    "autoescape": (template("{% autoescape false %}x{% endautoescape %}"), "autoescaping"),
    "raw": (text("{% raw %}{{ x }}{% endraw %}"), "raw"),
    "concatenation": (text('{{ "no" ~ "ne" }}'), "~"),
    "a test": (text("{% if profile.a is defined %}x{% endif %}"), "is"),
    "a nested loop": (text(f"{ITEMS}{ITEMS}x{{% else %}}y{{% endfor %}}{{% else %}}y{{% endfor %}}"), "inside another"),
    "another loop within a loop": (
        text(f"{ITEMS}{{% for b in slots.b.items %}}x{{% else %}}y{{% endfor %}}{{% else %}}y{{% endfor %}}"),
        "inside another",
    ),
    "a recursive loop": (text("{% for i in slots.p.items recursive %}x{% else %}y{% endfor %}"), "recursive"),
    "a loop with a condition": (text("{% for i in slots.p.items if i.price %}x{% else %}y{% endfor %}"), "condition"),
    "a loop over letters": (text("{% for c in profile.first_name %}x{% else %}y{% endfor %}"), "slots.NAME.items"),
    "a loop that unpacks": (text("{% for a, b in slots.p.items %}x{% else %}y{% endfor %}"), "single name"),
    "setting a root": (text("{% set profile = 'x' %}y"), "has a meaning"),
    "setting an attribute": (text("{% set profile.a = 'x' %}y"), "one plain name"),
    "ordering what may be no number": (text("{% if profile.age > 18 %}x{% endif %}"), "only numbers"),
    "searching in a text": (text('{% if "x" in profile.a %}y{% endif %}'), "as a list"),
    "a number of a million digits": (text("{{ " + "9" * 6000 + " }}"), "too long"),
    "brackets a thousand deep": (text("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"), "nested"),
    "an unclosed output": (text("{{ profile.a"), "is not closed"),
    "an unclosed if": (text("{% if profile.a %}x"), "not understood"),
    "an unknown statement": (text("{% debug %}"), "not understood"),
    # brackets filled at publish
    "an unknown bracket": (text("[[ customer.name ]]"), "not known"),
    "an unknown value of the brand": (text("[[ brand.secret ]]"), "not known"),
    "a field in a template": (text("[[ headline ]]"), "not known"),
    # MJML
    "not well-formed": (template("<b>x"), "not well-formed"),
    "br left open": (template("x<br>y"), "not well-formed"),
    "a bare ampersand": (template("Harbour & Pine"), "not well-formed"),
    "an unknown element": (template(body="<mj-carousel/>"), "not allowed in mj-body"),
    "an include of MJML": (template(body='<mj-include path="/etc/passwd"/>'), "includes"),
    "a script": (template("<script>alert(1)</script>"), "scripts"),
    "a script in mj-raw": (template(body="<mj-raw><script>x</script></mj-raw>"), "scripts"),
    "an iframe": (template('<iframe src="https://shop.example/"></iframe>'), "not allowed in mj-text"),
    "a form": (template("<form><b>x</b></form>"), "not allowed in mj-text"),
    "svg": (template("<svg><b>x</b></svg>"), "not allowed in mj-text"),
    "an event handler": (template('<p onclick="x()">y</p>'), "not allowed on p"),
    "an event handler in MJML": (template(body='<mj-section onclick="x()"></mj-section>'), "not allowed on mj-section"),
    "javascript": (template('<a href="javascript:alert(1)">x</a>'), "not a web address"),
    "javascript behind a reference": (template('<a href="java&#115;cript:alert(1)">x</a>'), "not a web address"),
    "data": (template('<a href="data:text/html,x">x</a>'), "not a web address"),
    "http": (template('<a href="http://shop.example/">x</a>'), "not encrypted"),
    "user information in a link": (template('<a href="https://shop.example@evil.example/">x</a>'), "not a web address"),
    "a person's value in a link": (
        template('<a href="https://shop.example/{{ profile.id | fallback("x") }}">x</a>'),
        "a link is either",
    ),
    "a person's value as a link": (template('<a href="{{ profile.site | fallback("x") }}">x</a>'), "a link is either"),
    "a condition in a link": (template('<a href="{% if profile.a %}x{% endif %}">x</a>'), "a link is either"),
    "a person's value in a style": (
        template('<p style="color:{{ profile.colour | fallback("red") }}">x</p>'),
        "template code may stand",
    ),
    "a picture in a style": (template('<p style="background:url(https://evil.example/)">x</p>'), "url()"),
    "an import in a style": (
        mjml(f'<mjml><mj-head><mj-style>@import "x";</mj-style></mj-head><mj-body>{HEAD}{FOOT}</mj-body></mjml>'),
        "plain CSS",
    ),
    "a picture without alt": (template('<img src="https://shop.example/a.png"/>'), "needs alt"),
    "DOCTYPE": (mjml(f"<!DOCTYPE mjml><mjml><mj-body>{HEAD}{FOOT}</mj-body></mjml>"), "DOCTYPE"),
    "an entity bomb": (
        mjml('<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><mjml><mj-body>&b;</mj-body></mjml>'),
        "DOCTYPE",
    ),
    "a processing instruction": (template("<?php x ?>"), "processing instructions"),
    "a conditional comment": (template("<!--[if mso]><b>x</b><![endif]-->"), "comments"),
    "2,000 wrappers deep": (
        mjml("<mjml><mj-body>" + "<mj-wrapper>" * 2000 + "</mj-wrapper>" * 2000 + "</mj-body></mjml>"),
        "nested deeper",
    ),
    "10,000 div deep": (template("<div>" * 10_000 + "</div>" * 10_000), "nested deeper"),
    "over 256 kB": (template("x" * 300_000), "over 256 kB"),
    "an if across elements": (template("<p>{% if profile.a %}x</p><p>{% endif %}y</p>"), "must be closed in the same"),
    "text outside of text": (template(body="hello"), "put it into mj-text"),
    "an output outside of text": (template(body='{{ profile.a | fallback("x") }}'), "put it into mj-text"),
    "no MJML": (mjml("<html><body>x</body></html>"), "outermost"),
    "no body": (mjml("<mjml></mjml>"), "mj-body"),
    # what the law asks
    "no address": (
        mjml(
            f'<mjml><mj-body>{HEAD}<a href="{{{{ links.unsubscribe }}}}">x</a></mj-text></mj-column></mj-section>'
            "</mj-body></mjml>"
        ),
        "is missing",
    ),
    "no unsubscribe": (
        mjml(f"<mjml><mj-body>{HEAD}[[ brand.postal_address ]]</mj-text></mj-column></mj-section></mj-body></mjml>"),
        "is missing",
    ),
    "unsubscribe for some only": (
        TemplateSource(
            "test",
            "Hello",
            template().mjml,
            "{% if profile.a %}{{ links.unsubscribe }}{% endif %}\n[[ brand.postal_address ]]\n",
        ),
        "outside of any condition",
    ),
    "address for some only": (
        TemplateSource(
            "test",
            "Hello",
            template().mjml,
            "{{ links.unsubscribe }}\n{% if profile.a %}[[ brand.postal_address ]]{% endif %}\n",
        ),
        "outside of any condition",
    ),
    "an empty subject": (template(subject="  "), "empty"),
    "a slot with a bad name": (text("[[ slot:no-name ]]"), "name slots"),
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
