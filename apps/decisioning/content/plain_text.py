"""Rich text: cleaned, and as plain text."""

import re
from html.parser import HTMLParser

import nh3

RICH_TAGS = frozenset({"a", "b", "br", "em", "i", "li", "ol", "p", "strong", "u", "ul"})
_BREAKS = re.compile(r"\n{3,}")
_VOID = re.compile(r"<br\s*>")


def rich_text_clean(text: str) -> str:
    """Rich text with the tags of RICH_TAGS only, links by https only, as well-formed XML."""
    cleaned = nh3.clean(
        text, tags=set(RICH_TAGS), attributes={"a": {"href"}}, url_schemes={"https", "http"}, link_rel=None
    )
    return _VOID.sub("<br/>", cleaned)


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in ("p", "ul", "ol"):
            self.parts.append("\n\n")
        elif tag == "a":
            self._hrefs.append(dict(attrs).get("href") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._hrefs:
            href = self._hrefs.pop()
            if href:
                self.parts.append(f" ({href})")
        elif tag in ("p", "ul", "ol"):
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(re.sub(r"\s+", " ", data))


def rich_text_plain(html: str) -> str:
    """Cleaned rich text as plain text: a blank line between paragraphs, `- ` before list entries, links in brackets."""
    parser = _Plain()
    parser.feed(html)
    parser.close()
    lines = [line.strip() for line in "".join(parser.parts).split("\n")]
    return _BREAKS.sub("\n\n", "\n".join(lines)).strip()


def html_words(html: str) -> str:
    """What a person reads of an HTML document, roughly: for checks, not for show."""
    body = html[max(html.find("<body"), 0) :]
    parser = _Plain()
    parser.feed(re.sub(r"<!--.*?-->", "", body, flags=re.S))
    parser.close()
    return "".join(parser.parts)
