"""Rendering a person: a compiled message, and a dict.

This is the hot path: sources become functions once for each process and digest, a context is plain data, and no
database is asked. The sandbox is the second wall; the first is `checking.py`, which lets nothing but outputs,
conditions and simple loops through. What the check showed is made true here before a template sees anything:

- profile values: text of one line or a number, blank ones left out;
- items: those with a title; `url` is a link that the brand allows, or its shop; `image_url` such a link, or "";
- links: the two that every message needs, and those of its own that it was made with.

With a trace, the links of the HTML are those that tell that they were followed (`traces.py`).

So the same sources and context give the same bytes, always.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from apps.foundation.core.text import is_blank, visible

from .contracts import LINKS, SYSTEM_LINKS, CompiledSources, Rendered
from .errors import RenderError
from .filters import FILTERS, TESTS
from .links import link_is_safe
from .traces import HONEYPOT, ITEMS, NAME, destinations_of, slot_numbers, source_traced

MAX_OUTPUT: Final = 1_048_576
"""Characters of a rendered HTML or text part; more is an error."""
MAX_ITEMS: Final = 24
"""Items of one slot; more are left out."""
MAX_VALUE: Final = 500
"""Characters of a profile value or a title; the rest is cut."""
MAX_SUBJECT: Final = 250
LOOP_FIELDS: Final = frozenset({"index", "index0", "revindex", "revindex0", "length", "first", "last"})
"""What templates may ask `loop` for."""
_BRACKETS = ("{{", "{%", "[[")
_LINK = re.compile(r"https?://[^\s\"'<>\\]+")
_ASCII_LINE = re.compile(r"[ -~]*")


def one_line(text: str) -> str:
    """`text` as one line: control characters, line and paragraph separators become spaces, bidirectional controls,
    surrogates, private and unassigned characters go, runs of white space become one space.
    """
    if _ASCII_LINE.fullmatch(text):
        return text if "  " not in text and text.strip() == text else " ".join(text.split())
    kept = []
    for c in text:
        category = unicodedata.category(c)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif category in ("Cs", "Cn", "Co") or (category == "Cf" and c not in "\u200c\u200d\u00ad"):
            continue  # joiners are part of how some scripts and emoji are written
        else:
            kept.append(c)
    return " ".join("".join(kept).split())


def header_line(text: str) -> str:
    """A rendered subject as it may stand in a header: one line, no encoded word (RFC 2047, 2), bounded."""
    line = one_line(one_line(text).replace("=?", "= ?"))
    cut = line[:MAX_SUBJECT].rstrip()
    # Characters that show nothing don't push out those that do.
    if is_blank(cut) and not is_blank(line):
        cut = visible(line).replace("=?", "= ?")[:MAX_SUBJECT].rstrip()
    return cut


def _printed(value: object) -> object:
    """The last look at each value before it is printed: promise 2, whatever the check at save thought."""
    kind = type(value)
    if kind is str or kind is Markup:
        if not is_blank(value):
            return value
    elif kind is int or kind is float:
        return value
    raise RenderError("blank_token", "A token of the template would print nothing")


def _joined(parts: Iterable[str]) -> str:
    """What a template printed, as one text: its length is looked at before there is one."""
    parts = list(parts)
    if sum(map(len, parts)) > MAX_OUTPUT:
        raise RenderError("message_too_large", f"The message is over {MAX_OUTPUT} characters")
    return "".join(parts)


class MessageEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with nothing in it but the filters of `filters.py`; of plain data only what is stored can be reached.

    A missing value is None: blank for `fallback`, false in a condition, refused by `_printed`.
    """

    concat = staticmethod(_joined)

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=not html,
            lstrip_blocks=not html,
            cache_size=0,
        )
        self.globals.clear()
        self.tests.clear()
        self.tests.update({name: entry.run for name, entry in TESTS.items()})
        self.filters.clear()
        self.filters.update({name: entry.run for name, entry in FILTERS.items()})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What a dict holds under that name, never a method of it: `slots.x.items` is the list."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        if type(obj) is dict or obj is None:
            return () if attribute == "items" else None  # a slot that nobody filled has no items
        if type(obj) is LoopContext and attribute in LOOP_FIELDS:
            return super().getattr(obj, attribute)
        if isinstance(obj, StrictUndefined):
            return super().getattr(obj, attribute)
        return self.unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Square brackets reach what dots reach."""
        return self.getattr(obj, argument) if type(argument) is str else self.undefined(obj=obj, name=str(argument))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Nothing but a macro of the template itself can be called."""
        if type(__obj) is not Macro:
            raise SecurityError("only macros can be called")
        return super().call(__context, __obj, *args, **kwargs)


HTML: Final = MessageEnvironment(html=True)
TEXT: Final = MessageEnvironment(html=False)


@dataclass(frozen=True, slots=True)
class _Program:
    subject: Template
    html: Template
    text: Template


@lru_cache(maxsize=256)
def _program(compiled: CompiledSources) -> _Program:
    """The sources as functions; kept by digest for as long as the process lives. Raises RenderError."""
    return _Program(_function(TEXT, compiled.subject), _function(HTML, compiled.html), _function(TEXT, compiled.text))


@lru_cache(maxsize=256)
def _program_traced(compiled: CompiledSources) -> _Program:
    """The same for messages whose links are followed. Raises RenderError."""
    plain = _program(compiled)
    return _Program(plain.subject, _function(HTML, source_traced(compiled.html)), plain.text)


def _function(environment: MessageEnvironment, source: str) -> Template:
    try:
        tree = environment.parse(source)
        # Brackets that were left unfilled are looked for here, once: later they can only be part of a person's data.
        for data in tree.find_all(nodes.TemplateData):
            for bracket in _BRACKETS:
                if bracket in data.data:
                    raise RenderError("bracket_unfilled", f"The message would show {bracket}")
        return Template.from_code(environment, environment.compile(tree), {})
    except (TemplateError, SyntaxError, RecursionError, ValueError):
        raise RenderError("template_broken", "The compiled template can't be read") from None


_safe_link = lru_cache(maxsize=16_384)(link_is_safe)


def _value(value: object) -> str | int | float | bool | None:
    """A profile value as a template may see it: one line, a number, yes or no; None when it would be blank."""
    if type(value) is str:
        # Cut first: what is kept is at most MAX_VALUE long, so a value of megabytes costs no more than a long one.
        text = one_line(value[: 4 * MAX_VALUE])[:MAX_VALUE].rstrip()
        return None if is_blank(text) else text
    if type(value) is bool:
        return value
    if type(value) is int:
        return value if abs(value) < 10**15 else None
    if type(value) is float:
        return value if abs(value) < 1e15 else None  # not for NaN either
    return None


# Titles and prices are the shop's, the same for many people: cleaned once.
_goods_text = lru_cache(maxsize=16_384)(_value)


def _goods(value: object) -> str | int | float | None:
    """Text or number of an item, None for anything else."""
    cleaned = _goods_text(value) if type(value) is str else _value(value)
    return None if cleaned is True or cleaned is False else cleaned


def _link_of(url: object, hosts: tuple[str, ...], instead: str) -> str:
    return url if type(url) is str and _safe_link(url, hosts) else instead


def _items(items: object, compiled: CompiledSources) -> list[tuple[int, dict[str, Any]]]:
    """The items that can be shown, each with its place among those that were decided."""
    if not isinstance(items, list | tuple):
        return []
    shown: list[tuple[int, dict[str, Any]]] = []
    for at, item in enumerate(items[:MAX_ITEMS]):
        title = _goods(item.get("title")) if isinstance(item, dict) else None
        if title is None:
            continue
        card = {
            "sku": _goods(item.get("sku")) or "",
            "title": title,
            "price": _goods(item.get("price")) or "",
            "text": _goods(item.get("text")) or "",
            "url": _link_of(item.get("url"), compiled.link_hosts, compiled.shop_url),
            "image_url": _link_of(item.get("image_url"), compiled.link_hosts, ""),
        }
        shown.append((at, card))
    return shown


def context_plain(compiled: CompiledSources, context: Mapping[str, Any]) -> dict[str, Any]:
    """The context as templates see it, whatever came in: see the head of this file.

    Raises RenderError without the links that every message needs, and those that it names.
    """
    profile = context.get("profile") or {}
    slots: dict[str, Any] = {}
    for name, given in (context.get("slots") or {}).items():
        block = given.get("block") if isinstance(given, dict) else None
        slots[name] = {"block": "" if block is None else str(block)}
        if block is not None and "items" in given:
            slots[name]["items"] = [card for _, card in _items(given["items"], compiled)]
    links = context.get("links") or {}
    needed = (*LINKS, *system_links(compiled))
    for name in needed:
        if not _LINK.fullmatch(str(links.get(name) or "")):
            raise RenderError("link_missing", f"A message needs links.{name}")
    return {
        "profile": {name: _value(profile.get(name)) for name in compiled.tokens},
        "slots": slots,
        "links": {name: links[name] for name in needed},
    }


def _data_traced(
    compiled: CompiledSources, context: Mapping[str, Any], data: Mapping[str, Any], trace: str
) -> dict[str, Any]:
    """What the HTML sees of a message whose links are followed: `data`, with the items' links leading by its trace."""
    given = context.get("slots") or {}
    slots = {
        name: {
            **slot,
            "items": [{**card, "url": f"{trace}/{first + at}"} for at, card in _items(given[name]["items"], compiled)],
        }
        if "items" in (slot := data["slots"][name])
        else slot
        for name, first in slot_numbers(given).items()
    }
    return {**data, "slots": slots, NAME: trace}


def destination_of(compiled: CompiledSources, slots: Mapping[str, Any], number: int) -> str:
    """Where the link of this number in a traced message leads. slots: as they were decided.

    A link that the brand does not allow, and the one that only machines find, lead to the brand's shop.
    Raises LookupError for a number that the message has not.
    """
    if number == HONEYPOT:
        return compiled.shop_url
    if 0 < number < ITEMS:
        return _link_of(destinations_of(compiled.html)[number - 1], compiled.link_hosts, compiled.shop_url)
    for name, first in slot_numbers(slots).items():
        if first <= number < first + MAX_ITEMS:
            url = slots[name]["items"][number - first].get("url")
            return _link_of(url, compiled.link_hosts, compiled.shop_url)
    raise LookupError(number)


@lru_cache(maxsize=256)
def system_links(compiled: CompiledSources) -> tuple[str, ...]:
    """Which of the links that only certain messages have a message names (`contracts.SYSTEM_LINKS`)."""
    named = {
        node.attr
        for source in (compiled.subject, compiled.html, compiled.text)
        if "links" in source
        for node in HTML.parse(source).find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "links"
    }
    return tuple(name for name in SYSTEM_LINKS if name in named)


def conditions_count(compiled: CompiledSources) -> int:
    """Conditions that people wrote into a message, in all three sources: what may differ from person to person, and
    costs time at each. The choice of a slot's block is none: it was made before, by the decision.
    """
    count = 0
    for source in (compiled.subject, compiled.html, compiled.text):
        tree = HTML.parse(source)
        branches = [node for node in tree.find_all(nodes.If) if not _asks_for_block(node.test)]
        filtered = [loop for loop in tree.find_all(nodes.For) if loop.test is not None]
        count += len(branches) + len(filtered) + sum(1 for _ in tree.find_all(nodes.CondExpr))
    return count


def _asks_for_block(test: nodes.Node) -> bool:
    """Whether it asks which block stands in a slot, as compiling writes it."""
    asked = test.left if isinstance(test, nodes.And) else test
    subject = asked.expr if isinstance(asked, nodes.Compare) else None
    return isinstance(subject, nodes.Getattr) and subject.attr == "block" and "slots" in _roots(subject)


def _roots(node: nodes.Node) -> set[str]:
    return {name.name for name in node.find_all(nodes.Name)}


def render_ready(compiled: CompiledSources) -> None:
    """Make the functions of a message, as its first renders would. Raises RenderError."""
    _program_traced(compiled)


def render_subject(compiled: CompiledSources, context: Mapping[str, Any]) -> str:
    """The subject that a message has by itself; context: as for `render`. Raises RenderError."""
    try:
        subject = header_line(_program(compiled).subject.render(context_plain(compiled, context)))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None
    if is_blank(subject):
        raise RenderError("message_blank", "The subject of the message would be blank")
    return subject


def render(compiled: CompiledSources, context: Mapping[str, Any]) -> Rendered:
    """One person's message.

    context: `{"profile": {…}, "slots": {"hero": {"block": "12"}, "products": {"block": "9", "items": […]}},
    "links": {"unsubscribe": …, "preferences": …}, "trace": …}`; trace: before the numbers of links that are followed,
    "" or left out where none are (promise 8 of the design).

    Raises RenderError when something would be blank, the source has an unfilled bracket, the output is over
    MAX_OUTPUT, or the template misbehaved.
    """
    trace = str(context.get("trace") or "")
    if trace and not _LINK.fullmatch(trace):
        raise RenderError("trace_broken", "What its links are followed by is no address")
    program = _program_traced(compiled) if trace else _program(compiled)
    data = context_plain(compiled, context)
    shown = _data_traced(compiled, context, data, trace) if trace else data
    try:
        subject = header_line(program.subject.render(data))
        html = program.html.render(shown)
        text = program.text.render(data).strip() + "\n"
    except TemplateError as error:
        raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        # What a condition over values of unforeseen types can raise; the check at save leaves none of them.
        raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None
    if is_blank(subject) or not html.strip() or all(is_blank(line) for line in text.splitlines()):
        raise RenderError("message_blank", "The subject, HTML or text of the message would be blank")
    return Rendered(subject, html, text)
