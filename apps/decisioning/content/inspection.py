"""A rendered message looked at from outside, as a mail client reads it: whole HTML, links that may be there, nothing
that acts. It knows nothing of how the message was made, so it finds what the checks before it missed.

Outlook reads what stands in conditional comments and others don't, so both readings are looked at.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import Final, NamedTuple

from .links import link_fault

_TAG = re.compile(
    r"<(?:!--(?P<comment>.*?)-->|!doctype[^<>]*>|/(?P<close>[a-z][\w:-]*)\s*>"
    r"|(?P<open>[a-z][\w:-]*)(?P<attributes>(?:\s+[a-z_:][\w:.-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'))?)*)\s*(?P<empty>/?)>)",
    re.S | re.I,
)
_ATTRIBUTE = re.compile(r"([a-z_:][\w:.-]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'))?", re.I)
_REVEALED = re.compile(r"<!--\[if ([^\]]*)\]><!-->(.*?)<!--<!\[endif\]-->", re.S)
_CONDITIONAL = re.compile(r"<!--\[if ([^\]]*)\]>(.*?)<!\[endif\]-->", re.S)
_STYLE_URL = re.compile(r"url\(\s*([\"']?)(.*?)\1\s*\)", re.S | re.I)
_STYLE_ACTS = re.compile(r"expression\s*\(|@import|behaviou?r\s*:|-moz-binding|javascript:", re.I)
_TEXT_LINK = re.compile(r"(?:https?://|\b(?:ftp|file|data|javascript|vbscript):)[^\s<>\"]+", re.I)

_VOID: Final = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_ACTING: Final = frozenset(
    {
        "applet", "audio", "base", "button", "embed", "form", "frame", "frameset", "iframe", "input", "link", "math",
        "object", "portal", "script", "select", "svg", "template", "textarea", "video",
    }
)  # fmt: skip
_URLS: Final = frozenset(
    {
        "action", "background", "cite", "codebase", "data", "dynsrc", "formaction", "href", "longdesc", "lowsrc",
        "manifest", "ping", "poster", "src", "srcset", "usemap", "xlink:href",
    }
)  # fmt: skip
_META: Final = frozenset({"content-type", "x-ua-compatible"})
_RAW: Final = frozenset({"style", "title", "xml"})
_KNOWN_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class _Rules:
    """hosts: those that links may go to, None for any; links: addresses that may stand there besides."""

    hosts: tuple[str, ...] | None
    links: tuple[str, ...]

    def fault(self, url: str) -> str:
        return "" if url in self.links else link_fault(url, self.hosts)


@dataclass(slots=True)
class Looked:
    """faults: (piece, what is wrong with it), none if nothing is; words: what a person reads of it, roughly."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    words: str = ""


def html_look(html: str, *, hosts: Collection[str] | None, links: Collection[str]) -> Looked:
    """Look at a rendered HTML part.

    hosts: those that links may go to, None for any; links: addresses that may stand there besides, as they are.
    """
    looked = Looked()
    rules = _Rules(None if hosts is None else tuple(hosts), tuple(links))
    words = _read(_REVEALED.sub(r"\2", html), looked, rules, "")
    looked.words = " ".join(unescape("".join(words)).split())
    outlook = _REVEALED.sub("", html)
    if "<!--[if" in outlook:
        _read(_CONDITIONAL.sub(r"\2", outlook), looked, rules, ", as Outlook reads it")
    return looked


def text_look(text: str, *, hosts: Collection[str] | None, links: Collection[str]) -> list[tuple[str, str]]:
    """The addresses in a plain text part that may not stand there: mail clients make links of them."""
    faults = []
    for found in _TEXT_LINK.findall(text):
        url = found.rstrip(".,;:!?)]}»'’”")
        fault = "" if url in links or found in links else link_fault(url, hosts)
        if fault:
            faults.append((url[:120], fault))
    return faults


class _Tag(NamedTuple):
    """A tag as it was read: where it ends, its name, whether it closes and whether something may stand in it."""

    size: int
    name: str
    closes: bool
    holds: bool
    faults: Sequence[tuple[str, str]]


def _read(html: str, looked: Looked, rules: _Rules, reading: str) -> list[str]:
    """Go through the tags of one reading; the text between them."""

    def fault(token: str, mend: str) -> None:
        entry = (" ".join(token.split())[:120], mend + reading)
        if entry not in looked.faults and (entry[0], mend) not in looked.faults:
            looked.faults.append(entry)

    known = _tags_known(rules)
    words: list[str] = []
    open_: list[str] = []
    at, begin = 0, html.find("<")
    while True:
        text = html[at:] if begin < 0 else html[at:begin]
        if not open_ or open_[-1] not in _RAW:
            words.append(text)
        elif open_[-1] == "style":
            for token, mend in _style(text, rules):
                fault(token, mend)
        if begin < 0:
            break
        after = html.find("<", begin + 1)
        piece = html[begin:] if after < 0 else html[begin:after]
        tag = known.get(piece)
        if tag is None:
            found = _TAG.match(html, begin)
            if found is None:
                fault(html[begin : begin + 40], "is no whole tag: the HTML would be broken")
                at, begin = begin + 1, after
                continue
            tag = _tag_read(found, rules)
            if tag.size <= len(piece):  # the rest of the message doesn't matter to it
                if len(known) >= _KNOWN_MAX:
                    known.clear()
                known[piece] = tag
        at = begin + tag.size
        opening, begin = begin, after if tag.size <= len(piece) else html.find("<", at)
        for token, mend in tag.faults:
            fault(token, mend)
        if tag.closes:
            if tag.name not in open_:
                fault(html[opening:at], "closes what is not open: the HTML would be broken")
                continue
            while (inner := open_.pop()) != tag.name:
                fault(f"<{inner}>", f"is not closed before </{tag.name}>: the HTML would be broken")
        elif tag.holds:
            open_.append(tag.name)
    for name in open_:
        fault(f"<{name}>", "is not closed: the HTML would be broken")
    return words


@lru_cache(maxsize=4)
def _tags_known(rules: _Rules) -> dict[str, _Tag]:
    """Tags by themselves and what follows up to the next: the same few make up all trial renders of a message."""
    return {}


def _tag_read(found: re.Match[str], rules: _Rules) -> _Tag:
    comment, close, name, attributes, empty = found.groups()
    size = found.end() - found.start()
    if name:
        name = name.lower()
        return _Tag(size, name, False, name not in _VOID and not empty, _tag_faults(name, attributes, rules))
    if close:
        return _Tag(size, close.lower(), True, False, ())
    faults = [("<!--", "stands in another comment")] if comment and "<!--" in comment else []
    return _Tag(size, "", False, False, faults)


def _tag_faults(tag: str, attributes: str, rules: _Rules) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    if tag in _ACTING:
        faults.append((f"<{tag}>", "may not be in a message"))
    for name, double, single in _ATTRIBUTE.findall(attributes):
        name = name.lower()
        value = unescape(double or single)
        if name.startswith("on"):
            faults.append((f"{name}=", f"acts, and may not be on {tag}"))
        elif name in _URLS:
            wrong = rules.fault(value)
            if wrong:
                faults.append((f'{name}="{value}"', wrong))
        elif name == "style":
            faults.extend(_style(value, rules))
        elif tag == "meta" and name == "http-equiv" and value.strip().lower() not in _META:
            faults.append((f'http-equiv="{value}"', "may not be in a message"))
    return faults


def _style(text: str, rules: _Rules) -> list[tuple[str, str]]:
    faults = []
    for _, url in _STYLE_URL.findall(text) if "url" in text.lower() else ():
        wrong = rules.fault(url)
        if wrong:
            faults.append((f"url({url})", wrong))
    acts = _STYLE_ACTS.search(text)
    if acts:
        faults.append((acts[0], "may not be in a style"))
    return faults
