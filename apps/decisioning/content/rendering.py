"""Rendering a person: a compiled message, and a dict.

This is the hot path: sources become functions once for each process and digest, a context is plain data, and no
database is asked. The sandbox is the second wall; the first is `checking.py`, which lets nothing but outputs,
conditions and simple loops through. What the check showed is made true here before a template sees anything:

- profile values: text of one line or a number, blank ones left out;
- items: those with a title; `url` is a link that the brand allows, or its shop; `image_url` such a link, or "";
- links: the two that every message needs, and those of its own that it was made with.

What people have in common is rendered once for all of them (`variants.py`).

With a trace, the links of the HTML are those that tell that they were followed (`traces.py`).

So the same sources and context give the same bytes, always.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, Final

from jinja2 import Template, TemplateError, nodes

from apps.foundation.core.text import is_blank, lines_blank, visible

from .contracts import LINKS, SYSTEM_LINKS, CompiledSources, Rendered, SharedSlots
from .environment import HTML, TEXT, source_read, template_make
from .errors import RenderError
from .links import link_is_safe
from .traces import HONEYPOT, ITEMS, NAME, destinations_of, slot_numbers, source_traced
from .variants import TRACE, Frames, Program, frame_render, framed_fill, frames_join, late_values, program_make

MAX_ITEMS: Final = 24
"""Items of one slot; more are left out."""
MAX_VALUE: Final = 500
"""Characters of a profile value or a title; the rest is cut."""
MAX_SUBJECT: Final = 250
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
    line = one_line(text)
    if "=?" in line:
        line = one_line(line.replace("=?", "= ?"))
    if len(line) <= MAX_SUBJECT:
        return line
    cut = line[:MAX_SUBJECT].rstrip()
    # Characters that show nothing don't push out those that do.
    if is_blank(cut) and not is_blank(line):
        cut = visible(line).replace("=?", "= ?")[:MAX_SUBJECT].rstrip()
    return cut


@lru_cache(maxsize=512)
def _program(compiled: CompiledSources, *, traced: bool, parted: bool = True) -> Program:
    """The sources as functions, parted if they can be; kept by digest while the process lives. Raises RenderError."""
    html = source_traced(compiled.html) if traced else compiled.html
    return program_make(subject=compiled.subject, html=html, text=compiled.text, parted=parted)


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


def link_allowed(url: object, compiled: CompiledSources) -> str:
    """A link if its brand allows where it leads, else the brand's shop."""
    return _link_of(url, compiled.link_hosts, compiled.shop_url)


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
    return {
        "profile": _profile(compiled, context),
        "slots": _slots(compiled, context),
        "links": _links(compiled, context),
    }


def _profile(compiled: CompiledSources, context: Mapping[str, Any]) -> dict[str, Any]:
    profile = context.get("profile") or {}
    return {name: _value(profile.get(name)) for name in compiled.tokens}


def _slots(compiled: CompiledSources, context: Mapping[str, Any], trace: str = "") -> dict[str, Any]:
    """The slots; with a trace, the items' links lead by it."""
    given_slots = context.get("slots") or {}
    numbers = slot_numbers(given_slots) if trace else {}
    slots: dict[str, Any] = {}
    for name, given in given_slots.items():
        block = given.get("block") if isinstance(given, dict) else None
        slots[name] = {"block": "" if block is None else str(block)}
        if block is not None and "items" in given:
            items = _items(given["items"], compiled)
            if trace:
                items = [(at, {**card, "url": f"{trace}/{numbers[name] + at}"}) for at, card in items]
            slots[name]["items"] = [card for _, card in items]
    return slots


def _links(compiled: CompiledSources, context: Mapping[str, Any]) -> dict[str, str]:
    links = context.get("links") or {}
    needed = (*LINKS, *system_links(compiled))
    for name in needed:
        if not _LINK.fullmatch(str(links.get(name) or "")):
            raise RenderError("link_missing", f"A message needs links.{name}")
    return {name: links[name] for name in needed}


def destination_of(compiled: CompiledSources, slots: Mapping[str, Any], number: int) -> str:
    """Where the link of this number in a traced message leads. slots: as they were decided.

    A link that the brand does not allow, and the one that only machines find, lead to the brand's shop.
    Raises LookupError for a number that the message has not.
    """
    if number == HONEYPOT:
        return compiled.shop_url
    if 0 < number < ITEMS:
        return link_allowed(destinations_of(compiled.html)[number - 1], compiled)
    for name, first in slot_numbers(slots).items():
        if first <= number < first + MAX_ITEMS:
            return link_allowed(slots[name]["items"][number - first].get("url"), compiled)
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


@lru_cache(maxsize=2048)
def _words(source: str, markup: bool) -> Template:
    environment = HTML if markup else TEXT
    return template_make(environment, source_read(environment, source))


def words_render(source: str, profile: Mapping[str, Any], *, markup: bool) -> str:
    """What one field of a block says to somebody, for channels that lay it out themselves. Raises RenderError."""
    if "{{" not in source:
        return source
    try:
        return _words(source, markup).render({"profile": {name: _value(value) for name, value in profile.items()}})
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise RenderError("template_misbehaved", f"The words failed: {type(error).__name__}") from None


def render_ready(compiled: CompiledSources) -> None:
    """Make the functions of a message, as its first renders would. Raises RenderError."""
    for traced in (False, True):
        _program(compiled, traced=traced)


@lru_cache(maxsize=256)
def _subject_program(compiled: CompiledSources) -> Template:
    return template_make(TEXT, source_read(TEXT, compiled.subject))


def render_subject(compiled: CompiledSources, context: Mapping[str, Any]) -> str:
    """The subject that a message has by itself; context: as for `render`. Raises RenderError."""
    try:
        subject = header_line(_subject_program(compiled).render(context_plain(compiled, context)))
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
    try:
        return _rendered(compiled, context, trace)
    except TemplateError as error:
        raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        # What a condition over values of unforeseen types can raise; the check at save leaves none of them.
        raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None


def _rendered(compiled: CompiledSources, context: Mapping[str, Any], trace: str) -> Rendered:
    program = _program(compiled, traced=bool(trace))
    profile, links = _profile(compiled, context), _links(compiled, context)
    if trace:
        links[NAME] = trace
    framed = _framed(compiled, program, context, profile, trace=bool(trace))
    if framed is None:
        return _whole(compiled, context, profile, links)
    own = late_values(program.late, {"profile": profile, "links": links, **framed.asked})
    words = {**own, **links}
    for name, url in links.items():
        own[name] = url.replace("&", "&amp;")  # of what is to be escaped, a link holds nothing else (`_LINK`)
    return _looked_at(
        "".join(framed_fill(framed.subject, words)),
        tuple(framed_fill(framed.html, own)),
        "".join(framed_fill(framed.text, words)),
    )


def _whole(
    compiled: CompiledSources, context: Mapping[str, Any], profile: dict[str, Any], links: dict[str, str]
) -> Rendered:
    """A message that can't be parted."""
    trace = links.get(NAME, "")
    program = _program(compiled, traced=bool(trace), parted=False)
    data = {"profile": profile, "links": links, "slots": _slots(compiled, context)}
    shown = {**data, "slots": _slots(compiled, context, trace), NAME: trace} if trace else data
    return _looked_at(
        program.subject.template.render(data),
        (program.html.template.render(shown),),
        program.text.template.render(data),
    )


def _looked_at(subject: str, html: tuple[str, ...], text: str) -> Rendered:
    """The last look at a message as a whole. Raises RenderError."""
    subject, text = header_line(subject), text.strip() + "\n"
    if is_blank(subject) or not any(map(str.strip, html)) or lines_blank(text):
        raise RenderError("message_blank", "The subject, HTML or text of the message would be blank")
    return Rendered(subject, html, text)


# --- what is shared ---

FRAMES_KEPT: Final = 4_096
"""Frames of messages that a process keeps, the oldest go first: at 15 kB each, 60 MB."""
_frames: dict[Any, Frames] = {}
_frames_lock = Lock()


def _framed(
    compiled: CompiledSources, program: Program, context: Mapping[str, Any], profile: Mapping[str, Any], *, trace: bool
) -> Frames | None:
    """The frames of subject, HTML and text for somebody, from those of others like them; None: can't be parted."""
    if program.tokens is None:
        return None
    key = (compiled.digest, trace, *(_typed(profile.get(name)) for name in program.tokens), _slots_key(context))
    try:
        kept = _frames.get(key)
    except TypeError:  # what came in can't be a key: it is no text and no number
        return None
    if kept is not None:
        return kept
    data = {"profile": profile, "slots": _slots(compiled, context)}
    shown = {**data, "slots": _slots(compiled, context, TRACE)} if trace else data
    subject = frame_render(program.subject, data)
    html = frame_render(program.html, shown)
    text = frame_render(program.text, data)
    if subject is None or html is None or text is None:
        return None
    with _frames_lock:
        while len(_frames) >= FRAMES_KEPT:
            del _frames[next(iter(_frames))]
        _frames[key] = frames = frames_join(subject, html, text)
    return frames


def _typed(value: object) -> object:
    """A value as part of a key: 1, 1.0 and True are three."""
    return value if type(value) is str or value is None else (type(value), value)


_ITEM: Final = ("sku", "title", "price", "text", "url", "image_url")


def _slots_key(context: Mapping[str, Any]) -> tuple[Any, ...]:
    slots = context.get("slots") or {}
    if type(slots) is not SharedSlots:
        return _key_of(slots)
    try:
        return slots.key
    except AttributeError:
        slots.key = _key_of(slots)
        return slots.key


def _key_of(slots: Mapping[str, Any]) -> tuple[Any, ...]:
    key: list[Any] = []
    for name, given in slots.items():
        key.append(name)
        if isinstance(given, dict):
            key.append(_typed(given.get("block")))
            items = given.get("items")
            if isinstance(items, list | tuple):
                key.append(len(items))
                for item in items[:MAX_ITEMS]:
                    if isinstance(item, dict):
                        key.extend([_typed(item.get(field)) for field in _ITEM])
                    else:
                        key.append(None)
    return tuple(key)
