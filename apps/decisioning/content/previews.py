"""How a block looks before it is saved: for a few invented people, in one language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .checking import SHELL, STAND_IN, TEXT_SHELL, block_beside
from .compiling import BlockSource, Compilation
from .contracts import BrandSpec, Problem
from .errors import RenderError
from .fields import Field, content_problems
from .rendering import render
from .trials import LINKS, sample_items


@dataclass(frozen=True, slots=True)
class Persona:
    """An invented person to look at a message as."""

    code: str
    title: str
    profile: Mapping[str, Any]


PERSONAS: Final = (
    Persona("anna", "Anna, known well", {"first_name": "Anna", "last_name": "Berger", "country": "DE"}),
    Persona("nobody", "Somebody we know nothing of", {}),
    Persona(
        "long", "A long name", {"first_name": "Wolfeschlegelsteinhausen-Bergerdorff", "last_name": "Featherstonehaugh"}
    ),
    Persona("hostile", "A hostile name", {"first_name": "<script>{{7*7}}</script>", "last_name": "=?utf-8?q?x?="}),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """problems: why it can't be shown; else the HTML and the plain text."""

    problems: Sequence[Problem]
    html: str = ""
    text: str = ""


def block_preview(
    *,
    name: str,
    fields: Sequence[Field],
    layout: str,
    text_layout: str,
    content: Mapping[str, Mapping[str, Any]],
    language: str,
    persona: Persona,
    brand: BrandSpec | None,
) -> Preview:
    """A block alone in a message of `brand` (or of a stand-in), as `persona` would see it."""
    problems = content_problems(fields, content, f"block {name}")
    if problems:
        return Preview(problems)
    block = BlockSource("1", name, tuple(fields), content, layout, text_layout)
    shell = SHELL if layout.strip() else TEXT_SHELL
    spec = brand or STAND_IN
    work = Compilation(
        shell, brand=spec, slots={"block": block_beside(block)}, language=language, hosts=spec["link_hosts"]
    )
    sources = work.compile()
    if sources is None:
        return Preview(work.problems)
    profile = {token: persona.profile.get(token) for token in sources.tokens}
    # A block of products is looked at with products, whoever looks: without them its slot shows something else.
    shown = {"block": "1", "items": sample_items(spec["shop_url"])}
    try:
        out = render(sources, {"profile": profile, "slots": {"block": shown}, "links": LINKS})
    except RenderError as error:
        return Preview([Problem(name, 0, "", error.message)])
    if not layout.strip():
        return Preview((), text=out.subject)
    text = out.text.removesuffix(f"{LINKS['unsubscribe']}\n{spec['postal_address']}\n").strip()
    return Preview((), html=out.html, text=text)
