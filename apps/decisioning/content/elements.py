"""The elements and attributes that a message may be made of; what is not here is refused."""

import re
from collections.abc import Mapping

RAW = "mj-raw"
HTML_TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "div",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
    ]
)
STRUCTURE: Mapping[str, frozenset[str]] = {
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset({"mj-title", "mj-preview", "mj-attributes", "mj-style", "mj-breakpoint", RAW}),
    "mj-body": frozenset({"mj-wrapper", "mj-section", RAW}),
    "mj-wrapper": frozenset({"mj-section", RAW}),
    "mj-section": frozenset({"mj-column", "mj-group", RAW}),
    "mj-group": frozenset({"mj-column", RAW}),
    "mj-column": frozenset({"mj-text", "mj-image", "mj-button", "mj-divider", "mj-spacer", "mj-table", RAW}),
    "mj-image": frozenset(),
    "mj-divider": frozenset(),
    "mj-spacer": frozenset(),
    "mj-breakpoint": frozenset(),
}
"""What may stand in which element, where text may not."""
FLOWING = frozenset({"mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column"})
"""Elements of the structure in which statements may stand."""
TEXT = frozenset({"mj-text", "mj-button", "mj-table", RAW, "mj-title", "mj-preview"})
PLAIN_TEXT = frozenset({"mj-title", "mj-preview", "mj-style"})
STYLED = frozenset({*STRUCTURE, *TEXT, "mj-all", "mj-class"}) - {"mjml", "mj-head"}
LINK_ATTRIBUTES = frozenset({"href", "src", "background-url", "background"})
WORD_ATTRIBUTES = frozenset({"alt", "title", "aria-label"})
HTML_ATTRIBUTES = frozenset(
    [
        "style",
        "class",
        "id",
        "title",
        "lang",
        "dir",
        "align",
        "valign",
        "width",
        "height",
        "role",
        "aria-label",
        "aria-hidden",
        "bgcolor",
        "border",
        "cellpadding",
        "cellspacing",
        "colspan",
        "rowspan",
        "scope",
        "href",
        "src",
        "alt",
        "target",
        "rel",
    ]
)
ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z-]{0,40}")
BAD_STYLE = re.compile(r"url\s*\(|expression\s*\(|@import|javascript:|behavior\s*:|-moz-binding|[<\\]|/\*", re.I)
HINTS = {
    "mj-include": "includes are not allowed: use a slot",
    "script": "scripts are not allowed in messages",
    "style": "write styles in mj-style",
    "mj-font": "remote fonts are not allowed: name fonts that people have",
    "mj-social": "loads pictures from a third party: write links in mj-text",
}
