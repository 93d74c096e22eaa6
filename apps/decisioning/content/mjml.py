"""MJML to HTML, once, at publish: by a parser of our own that refuses what is not known, then mrml.

Outputs and statements stand in the document as opaque words while it is parsed and rendered, so that neither Jinja
nor anything of a person reaches an MJML parser. mrml (0.2.4) crashes on deep nesting, passes scripts through and
says no lines; so expat reads the document first, with entities and DOCTYPE refused, bounded in size and depth, the
tree is held against tables of elements and attributes, and what mrml gets is written from that tree.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from html.entities import html5
from typing import Final
from xml.parsers import expat

import mrml
from jinja2 import nodes

from .contracts import Problem
from .elements import (
    ATTRIBUTE,
    BAD_STYLE,
    FLOWING,
    HINTS,
    HTML_ATTRIBUTES,
    HTML_TAGS,
    LINK_ATTRIBUTES,
    PLAIN_TEXT,
    RAW,
    STRUCTURE,
    STYLED,
    WORD_ATTRIBUTES,
)
from .environment import HTML
from .links import link_fault
from .pieces import Kind, Piece
from .proof import path_of

MAX_DEPTH: Final = 50
MAX_BYTES: Final = 256 * 1024

# mrml would link fonts of a third party, which sees who opens the message.
_NO_FONTS = mrml.RenderOptions(fonts={})
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_XML_ENTITIES = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_CSS_BRACE = re.compile(r"\{(?=[{%#])|\}(?=\})")
_CONDITIONALS = re.compile(
    r"(<!--\[if [^\]]*\]>)(?!<!-->)(?>.*?<!\[endif\]-->)(?:\1(?!<!-->)(?>.*?<!\[endif\]-->))+", re.S
)
_STYLE = re.compile(r"(<style[^<>]*>)([^<]*)(?=</style>)")
_CSS_STRING = re.compile(r"""("[^"\\\n]*"|'[^'\\\n]*')""")
_CSS_ODD = re.compile(r"""["'\\]|/\*|url\(""", re.I)
_CSS_SPACE = re.compile(r"[ \t\r\n\f]*([{};])[ \t\r\n\f]*|[ \t\r\n\f]+")


@dataclass(slots=True)
class Node:
    """An element: `at` is the byte of the document where it begins."""

    tag: str
    attributes: dict[str, str]
    at: int
    children: "list[Node | str]" = field(default_factory=list)


class _Stop(Exception):
    """Parsing can't go on."""

    def __init__(self, at: int, token: str, mend: str) -> None:
        super().__init__(mend)
        self.at, self.token, self.mend = at, token, mend


class Document:
    """An MJML document put together from pieces: parse it, check it, turn it into a Jinja source of HTML."""

    def __init__(self, pieces: Sequence[Piece], *, hosts: Collection[str] | None) -> None:
        self._pieces = [piece for piece in pieces if piece.text]
        self._hosts = hosts
        self.problems: list[Problem] = []
        data = "".join(piece.text for piece in self._pieces if piece.kind is Kind.DATA)
        word = "jq"
        while word in data:
            word += "q"
        self._token = re.compile(rf"{word}(\d+)z")
        self._words = {
            number: f"{word}{number}z" for number, piece in enumerate(self._pieces) if piece.kind is not Kind.DATA
        }
        self._parts = [
            _entities(piece.text) if piece.kind is Kind.DATA else self._words[number]
            for number, piece in enumerate(self._pieces)
        ]
        self._starts: list[int] = []
        at = 0
        for part in self._parts:
            self._starts.append(at)
            at += len(part.encode())
        self.bytes = at

    def html(self) -> str:
        """The HTML as a Jinja source; "" with `problems` when it is refused."""
        root = self._parse()
        if root is not None:
            self._check(root)
        if root is None or self.problems:
            return ""
        try:
            html: str = mrml.to_html(self._write(root), None, _NO_FONTS).content
        except OSError as error:
            at = self._refused(root)
            self._problem(at.at, f"<{at.tag}>", f"the MJML renderer refuses what is in it: {error}")
            return ""
        html = _STYLE.sub(lambda found: found[1] + _sheet_shortened(found[2]), _conditionals_joined(html))
        # Only styles can hold braces here (text and attributes have them as references); none may become Jinja, nor
        # look as if it was.
        html = _CSS_BRACE.sub(r"\g<0> ", html)
        missing = [number for number, word in self._words.items() if word not in html]
        for number in missing:
            self.problems.append(self._pieces[number].problem("would be lost here: put it into mj-text"))
        return self._token.sub(lambda found: self._pieces[int(found[1])].text, html)

    # --- places ---

    def _problem(self, at: int, token: str, mend: str) -> None:
        index = max(bisect_right(self._starts, at) - 1, 0)
        if not self._pieces:
            self.problems.append(Problem("mjml", 0, token, mend))
            return
        piece, part = self._pieces[index], self._parts[index]
        line = piece.line + part.encode()[: max(at - self._starts[index], 0)].count(b"\n")
        token = self._token.sub(lambda found: self._pieces[int(found[1])].text, token)
        problem = Problem(piece.where, line, token[:120], mend)
        if problem not in self.problems:
            self.problems.append(problem)

    # --- reading ---

    def _parse(self) -> Node | None:
        if self.bytes > MAX_BYTES:
            self.problems.append(Problem("mjml", 0, "", f"is over {MAX_BYTES // 1024} kB: shorten it"))
            return None
        parser = expat.ParserCreate("utf-8")
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.ordered_attributes = False
        stack: list[Node] = []
        roots: list[Node] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            node = Node(tag, attributes, parser.CurrentByteIndex)
            if len(stack) >= MAX_DEPTH:
                raise _Stop(node.at, f"<{tag}>", f"is nested deeper than {MAX_DEPTH}: flatten it")
            (stack[-1].children if stack else roots).append(node)
            stack.append(node)

        def end(tag: str) -> None:
            stack.pop()

        def text(data: str) -> None:
            children = stack[-1].children
            if children and isinstance(children[-1], str):
                children[-1] += data
            else:
                children.append(data)

        def refuse(*_: object) -> None:
            raise _Stop(parser.CurrentByteIndex, "<!", "DOCTYPE, entities and processing instructions are not allowed")

        def comment(data: str) -> None:
            if data.lstrip().startswith("[") or self._token.search(data):
                raise _Stop(
                    parser.CurrentByteIndex,
                    "<!--",
                    "conditional comments and template code in comments are not allowed",
                )

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler, parser.CommentHandler = text, comment
        parser.StartDoctypeDeclHandler = refuse
        parser.EntityDeclHandler = refuse
        parser.ProcessingInstructionHandler = refuse
        try:
            parser.Parse("".join(self._parts).encode(), True)
        except _Stop as stop:
            self._problem(stop.at, stop.token, stop.mend)
            return None
        except expat.ExpatError as error:
            inside = f" in <{stack[-1].tag}>" if stack else ""
            self._problem(
                parser.ErrorByteIndex,
                "",
                f"is not well-formed XML{inside}: {expat.ErrorString(error.code)}; "
                "close every element (<br/> too) and write & as &amp;",
            )
            return None
        if roots[0].tag != "mjml":
            self._problem(roots[0].at, f"<{roots[0].tag}>", "the outermost element must be mjml")
            return None
        return roots[0]

    # --- checking ---

    def _check(self, root: Node) -> None:
        if [child.tag for child in root.children if isinstance(child, Node)].count("mj-body") != 1:
            self._problem(root.at, "<mjml>", "needs exactly one mj-body")
        self._element(root, "")

    def _element(self, node: Node, parent: str) -> None:
        tag = node.tag
        if tag in HINTS:
            return self._problem(node.at, f"<{tag}>", HINTS[tag])
        if parent == "mj-attributes":
            if tag not in STYLED or node.children:
                self._problem(node.at, f"<{tag}>", "mj-attributes holds empty elements with attributes only")
            return self._attributes(node)
        if parent == "head-raw":
            if tag != "meta" or set(node.attributes) - {"name", "content"} or node.children:
                self._problem(node.at, f"<{tag}>", "mj-raw in the head holds <meta name content/> only")
            return None
        if not parent:
            allowed = tag == "mjml"
        elif parent in STRUCTURE:
            allowed = tag in STRUCTURE[parent]
        else:
            allowed = tag in HTML_TAGS and parent not in PLAIN_TEXT
        if not allowed:
            return self._problem(node.at, f"<{tag}>", f"is not allowed in {parent or 'a message'}")
        self._attributes(node)
        self._balanced(node)
        name = "head-raw" if tag == RAW and parent == "mj-head" else tag
        for child in node.children:
            if isinstance(child, Node):
                self._element(child, name)
            else:
                self._text(node, child)
        return None

    def _text(self, node: Node, text: str) -> None:
        tag = node.tag
        if tag == "mj-style":
            if self._token.search(text) or BAD_STYLE.search(text):
                self._problem(
                    node.at, "<mj-style>", "holds plain CSS only: no template code, url(), @import, comments or escapes"
                )
        elif tag in STRUCTURE or tag == "mj-attributes":
            rest = self._token.sub("", text)
            if rest.strip():
                self._problem(node.at, " ".join(rest.split())[:60], f"is text in {tag}: put it into mj-text")
            for found in self._token.finditer(text):
                piece = self._pieces[int(found[1])]
                if tag not in FLOWING:
                    self.problems.append(piece.problem(f"can't stand in {tag}"))
                elif piece.kind is Kind.OUTPUT or piece.opens in ("macro", "set"):
                    self.problems.append(piece.problem(f"is text in {tag}: put it into mj-text"))

    def _balanced(self, node: Node) -> None:
        """What a statement opens must be closed in the same element, or the HTML of some people would be broken."""
        open_: list[Piece] = []
        for child in node.children:
            if isinstance(child, Node):
                continue
            for found in self._token.finditer(child):
                piece = self._pieces[int(found[1])]
                if piece.kind is Kind.OUTPUT:
                    continue
                if piece.opens:
                    open_.append(piece)
                elif piece.closes or piece.word in ("elif", "else"):
                    if not open_ or (piece.closes and open_[-1].opens != piece.closes):
                        mend = f"must stand in the same {node.tag} as its if, for, macro or set"
                        self.problems.append(piece.problem(mend))
                        return
                    if piece.closes:
                        open_.pop()
        for piece in open_:
            self.problems.append(piece.problem(f"must be closed in the same element ({node.tag})"))

    def _attributes(self, node: Node) -> None:
        mjml = node.tag.startswith("mj")
        for name, value in node.attributes.items():
            if not ATTRIBUTE.fullmatch(name) or (not mjml and name not in HTML_ATTRIBUTES):
                self._problem(node.at, f"{name}=", f"is not allowed on {node.tag}")
            elif name in LINK_ATTRIBUTES:
                self._link(node, name, value)
            elif self._token.search(value) and (
                name not in WORD_ATTRIBUTES or any(piece.kind is Kind.STATEMENT for piece in self._inside(value))
            ):
                self._problem(
                    node.at, f'{name}="{value}"', "template code may stand in text, links, alt and title only"
                )
            elif name not in WORD_ATTRIBUTES and BAD_STYLE.search(value):
                self._problem(node.at, f'{name}="{value}"', "holds what styles of messages may not: url(), scripts, <")
        if node.tag in ("img", "mj-image"):
            for needed in ("src", "alt"):
                if needed not in node.attributes:
                    self._problem(node.at, f"<{node.tag}>", f'needs {needed} (alt="" for ornaments)')

    def _inside(self, value: str) -> list[Piece]:
        return [self._pieces[int(found[1])] for found in self._token.finditer(value)]

    def _link(self, node: Node, name: str, value: str) -> None:
        value = value.strip()
        inside = self._inside(value)
        if not inside:
            fault = link_fault(value, self._hosts)
            if fault:
                self._problem(node.at, f'{name}="{value}"', fault)
        elif len(inside) > 1 or self._token.sub("", value) or not _is_link(inside[0]):
            self._problem(
                node.at,
                f'{name}="{value}"',
                "a link is either written out, or one of {{ item.url }}, {{ item.image_url }}, "
                "{{ links.unsubscribe }}, {{ links.preferences }}, or in system mail one of its own links",
            )

    # --- writing ---

    def _refused(self, root: Node) -> Node:
        """The part of the body that mrml refuses also when it stands alone: its errors say no place."""
        for body in root.children:
            for part in body.children if isinstance(body, Node) and body.tag == "mj-body" else ():
                if isinstance(part, Node):
                    try:
                        mrml.to_html(f"<mjml><mj-body>{self._write(part)}</mj-body></mjml>", None, _NO_FONTS)
                    except OSError:
                        return part
        return root

    def _write(self, node: Node) -> str:
        attributes = "".join(f' {name}="{_quote(value.strip())}"' for name, value in node.attributes.items())
        inner: list[str] = []
        for child in node.children:
            if isinstance(child, Node):
                inner.append(self._write(child))
            elif node.tag == "mj-style":
                inner.append(child)
            elif node.tag in FLOWING:
                inner.extend(f"<mj-raw>{found[0]}</mj-raw>" for found in self._token.finditer(child))
            else:
                inner.append(_quote(child))
        if not inner and node.tag in ("br", "hr", "img", "meta"):
            return f"<{node.tag}{attributes} />"
        return f"<{node.tag}{attributes}>{''.join(inner)}</{node.tag}>"


def _conditionals_joined(html: str) -> str:
    """Conditional comments with nothing between them and one condition become one, as MJML's own compiler does and
    mrml does not. Statements stand in `html` as words, so none is between two that are joined.
    """
    return _CONDITIONALS.sub(lambda run: run[0].replace("<![endif]-->" + run[1], ""), html)


def _sheet_shortened(sheet: str) -> str:
    """A style sheet without white space that means nothing: around braces and semicolons none, else a single space.

    What stands in quotes is kept. A sheet with a comment, an escape, an address or an open quote stays as it is.
    """
    parts = _CSS_STRING.split(sheet)
    if any(map(_CSS_ODD.search, parts[::2])):
        return sheet
    parts[::2] = [_CSS_SPACE.sub(lambda found: found[1] or " ", part) for part in parts[::2]]
    return "".join(parts).strip(" \t\r\n\f")


def _entities(text: str) -> str:
    """HTML's named characters as what they mean: XML knows five of them only."""
    return _ENTITY.sub(lambda found: found[0] if found[1] in _XML_ENTITIES else html5.get(found[1], found[0]), text)


def _quote(text: str) -> str:
    """Text for XML and HTML alike, in which no brace can begin a template construct."""
    for character, reference in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ('"', "&quot;"),
        ("{", "&#123;"),
        ("}", "&#125;"),
        ("\u00a0", "&#160;"),
    ):
        text = text.replace(character, reference)
    return text


def _is_link(piece: Piece) -> bool:
    """Whether an output is a link and nothing else; that it is not blank is for the proof."""
    if piece.kind is not Kind.OUTPUT:
        return False
    body = HTML.parse(piece.text).body  # it was parsed before, by the proof
    output = body[0] if len(body) == 1 else None
    if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
        return False
    path = path_of(output.nodes[0])
    return len(path) == 2 and (
        path[0] == "links" or (path[0] not in ("profile", "slots", "loop") and path[1] in ("url", "image_url"))
    )
