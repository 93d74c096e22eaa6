"""A message in two halves: frames, which all people of one kind share, and what is late, their own words and links.

Most of a message is the same for everybody with the same blocks, items and answers to its conditions. That is rendered
once for all of them, with a mark for each output that takes nothing but a profile's values or a message's links; these
are printed for each person, and put in. Both halves come of one tree, so together they are what the source gives by
itself, byte for byte: a partial evaluation (Jones, Gomard and Sestoft, 1993) whose static input are the slots and the
conditions' values. What can't be parted so is rendered whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from jinja2 import Template, nodes

from .environment import HTML, MAX_OUTPUT, TEXT, MessageEnvironment, source_read, template_make
from .errors import RenderError
from .traces import NAME

MARK: Final = "\0"
"""Around the number of what is late. No source has it (PostgreSQL takes none), and no value (they are cleaned)."""
TRACE: Final = f"{MARK}tT{MARK}"
"""Stands for a message's trace in the addresses of items; any filter that changes it is told by it."""
_LATE: Final = frozenset({"profile", "links", NAME})


@dataclass(frozen=True, slots=True)
class Frame:
    """A source without what is late. late: the names of that, by its number: of a link that stands alone its own, else
    the name by which a late template is asked; values: those of the second kind.
    """

    template: Template
    late: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """Prints what is late and no link alone, with a MARK behind each: those that are asked for by name."""

    template: Template
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled message as functions.

    tokens: the profile's values that its frames look at; None for a message that can't be parted: its frames are the
    whole. late: what is late of all three; None where nothing is.
    """

    subject: Frame
    html: Frame
    text: Frame
    tokens: tuple[str, ...] | None
    late: Late | None


def program_make(*, subject: str, html: str, text: str, parted: bool = True) -> Program:
    """Three compiled sources as functions; parted: if they can be. Raises RenderError."""
    parts = [_Parting(TEXT, subject, "s"), _Parting(HTML, html, "h"), _Parting(TEXT, text, "t")]
    if not (parted and all(part.parted for part in parts)):
        frames = [
            Frame(template_make(environment, source_read(environment, source)), (), ())
            for environment, source in ((TEXT, subject), (HTML, html), (TEXT, text))
        ]
        return Program(frames[0], frames[1], frames[2], None, None)
    made = [part.frame() for part in parts]
    return Program(
        made[0],
        made[1],
        made[2],
        tuple(sorted(set().union(*(part.tokens for part in parts)))),
        _late_template(words={**parts[0].values, **parts[2].values}, markup=parts[1].values),
    )


class _Parting:
    """One tree, parted: its late outputs are replaced by marks."""

    def __init__(self, environment: MessageEnvironment, source: str, letter: str) -> None:
        """letter: begins the names of its late values, so that two sources can share a late template."""
        self._environment = environment
        self._tree = source_read(environment, source)
        self._letter = letter
        self._late: list[str] = []
        self.values: dict[str, nodes.Expr] = {}
        self._written: dict[str, str] = {}
        self._part(self._tree)
        self.tokens: set[str] = set()
        self.parted = self._look()

    def frame(self) -> Frame:
        return Frame(template_make(self._environment, self._tree), tuple(self._late), tuple(self.values))

    def _part(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Macro | nodes.AssignBlock):
            return  # what they print may go through a filter
        if isinstance(node, nodes.Output):
            node.nodes = [self._marked(child) if _is_late(child) else child for child in node.nodes]
            return
        for child in node.iter_child_nodes():
            self._part(child)

    def _marked(self, late: nodes.Expr) -> nodes.Expr:
        self._late.append(_link_name(late) or self._value_name(late))
        mark = nodes.TemplateData(f"{MARK}{len(self._late) - 1}{MARK}", lineno=late.lineno)
        mark.set_environment(self._environment)
        return mark

    def _value_name(self, late: nodes.Expr) -> str:
        """By which name it is asked for: what is written twice is printed once."""
        name = self._written.setdefault(repr(late), f"{self._letter}{len(self.values)}")  # to Jinja 1 equals True
        self.values.setdefault(name, late)
        return name

    def _look(self) -> bool:
        """Whether the rest can be shared. It notes which values of a profile the rest looks at."""
        bare = {id(child) for output in self._tree.find_all(nodes.Output) for child in output.nodes}
        owned: set[int] = set()
        for path in self._tree.find_all(nodes.Getattr):
            if isinstance(path.node, nodes.Name) and path.node.name == "profile":
                self.tokens.add(path.attr)
                owned.add(id(path.node))
            elif path.attr == "url" and id(path) not in bare:
                return False  # the address of an item is asked or changed, and it is late in a message that is followed
        return all(
            id(name) in owned and name.ctx == "load" for name in self._tree.find_all(nodes.Name) if name.name in _LATE
        )


def _is_late(node: nodes.Node) -> bool:
    """Whether an output takes nothing but what is late."""
    if isinstance(node, nodes.TemplateData) or next(iter(node.find_all(nodes.Call)), None) is not None:
        return False
    names = {name.name for name in _names(node)}
    return bool(names) and names <= _LATE


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    return chain([node] if isinstance(node, nodes.Name) else [], node.find_all(nodes.Name))


def _link_name(node: nodes.Node) -> str:
    """The name of a link that is printed as it is; that of the trace; "" for any other output."""
    if isinstance(node, nodes.Name):
        return node.name if node.name == NAME else ""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "links":
        return node.attr
    return ""


def _late_template(*, words: Mapping[str, nodes.Expr], markup: Mapping[str, nodes.Expr]) -> Late | None:
    """Prints those values that are asked for by name, with a MARK behind each, asked for or not; those of the HTML are
    escaped, those of subject and text are not.
    """
    if not words and not markup:
        return None
    plain = nodes.ScopedEvalContextModifier(lineno=1)
    plain.options, plain.body = [nodes.Keyword("autoescape", nodes.Const(False))], _asked(words)
    tree = nodes.Template([plain, *_asked(markup)], lineno=1)
    tree.set_environment(HTML)
    tree.set_lineno(1)
    return Late(template_make(HTML, tree), (*words, *markup))


def _asked(values: Mapping[str, nodes.Expr]) -> list[nodes.Node]:
    body: list[nodes.Node] = []
    for name, value in values.items():
        body.append(nodes.If(nodes.Name(name, "load"), [nodes.Output([value])], [], []))
        body.append(nodes.Output([nodes.TemplateData(MARK)]))
    return body


def late_values(late: Late | None, data: dict[str, Any]) -> dict[str, str]:
    """What is late for one person, as it is printed, by name: "" for what their frames do not print to them.

    data: with the profile and the links also which values are asked for, by name (`Framed.asked`). What stands in a
    branch that is not theirs is not looked at: it may be blank. Raises RenderError, and what Jinja raises.
    """
    if late is None:
        return {}
    template = late.template  # what its `render` does, without a copy of what is printed and of the globals, of which
    parts = template.root_render_func(template.new_context(data, shared=True))  # there are none
    printed = template.environment.concat(parts).split(MARK)
    if len(printed) != len(late.names) + 1 or printed[-1]:
        raise RenderError("template_misbehaved", "A value holds a character that no value may hold")
    return dict(zip(late.names, printed, strict=False))


@dataclass(frozen=True, slots=True)
class Framed:
    """A frame as it was rendered: the texts between what is late (one more than those), the names of that; which late
    values are to be printed for it, by name; and how many characters its texts have.
    """

    texts: tuple[str, ...]
    late: tuple[str, ...]
    asked: Mapping[str, bool]
    size: int


def frame_render(frame: Frame, data: Mapping[str, Any]) -> Framed | None:
    """The frame; None where a filter touched a mark, so that it can't be parted for these people."""
    printed = frame.template.render(data)
    pieces = printed.split(MARK)
    if not len(pieces) % 2:
        return None
    late: list[str] = []
    for mark in pieces[1::2]:
        if mark == TRACE.strip(MARK):
            late.append(NAME)
        elif mark.isascii() and mark.isdigit() and int(mark) < len(frame.late):
            late.append(frame.late[int(mark)])
        else:
            return None
    texts = tuple(pieces[::2])
    return Framed(texts, tuple(late), {name: name in late for name in frame.values}, sum(map(len, texts)))


@dataclass(frozen=True, slots=True)
class Frames:
    """Those of a whole message. asked: which late values are to be printed for them, by name."""

    subject: Framed
    html: Framed
    text: Framed
    asked: Mapping[str, bool]


def frames_join(subject: Framed, html: Framed, text: Framed) -> Frames:
    """The frames of a message: names of late values differ from source to source."""
    return Frames(subject, html, text, {**subject.asked, **html.asked, **text.asked})


def framed_fill(framed: Framed, own: Mapping[str, str]) -> list[str]:
    """The pieces that a person gets, in turns of the frame and of what is late; joined they are the whole.

    own: what is late for them, by name, links and the trace among it. Raises RenderError when it is over MAX_OUTPUT.
    """
    filled = [own[name] for name in framed.late]
    if framed.size + sum(map(len, filled)) > MAX_OUTPUT:
        raise _too_large()
    pieces = [""] * (2 * len(filled) + 1)
    pieces[::2], pieces[1::2] = framed.texts, filled
    return pieces


def _too_large() -> RenderError:
    return RenderError("message_too_large", f"The message is over {MAX_OUTPUT} characters")
