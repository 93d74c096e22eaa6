"""The Jinja that renders people: a sandbox with nothing in it but our filters, which prints no blank."""

from collections.abc import Iterable
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from apps.foundation.core.text import is_blank

from .errors import RenderError
from .filters import FILTERS, TESTS

MAX_OUTPUT: Final = 1_048_576
"""Characters of a rendered HTML or text part; more is an error."""
LOOP_FIELDS: Final = frozenset({"index", "index0", "revindex", "revindex0", "length", "first", "last"})
"""What templates may ask `loop` for."""
_BRACKETS = ("{{", "{%", "[[")


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


def template_make(environment: MessageEnvironment, tree: nodes.Template) -> Template:
    """A tree as a function. Raises RenderError."""
    try:
        return Template.from_code(environment, environment.compile(tree), {})
    except (TemplateError, SyntaxError, RecursionError, ValueError):
        raise RenderError("template_broken", "The compiled template can't be read") from None


def source_read(environment: MessageEnvironment, source: str) -> nodes.Template:
    """A compiled source as a tree. Raises RenderError."""
    try:
        tree = environment.parse(source)
    except (TemplateError, RecursionError):
        raise RenderError("template_broken", "The compiled template can't be read") from None
    # Brackets that were left unfilled are looked for here, once: later they can only be part of a person's data.
    for data in tree.find_all(nodes.TemplateData):
        for bracket in _BRACKETS:
            if bracket in data.data:
                raise RenderError("bracket_unfilled", f"The message would show {bracket}")
    return tree
