"""What is checked when a template or a block type is saved, before any playbook uses it.

A stand-in takes the place of what is not known yet: a brand, and a plain block in each slot. Then it is compiled and
rendered like the real thing, so that a template that was saved can be published with blocks that were saved.
"""

from collections.abc import Sequence
from typing import Any, Final

from apps.foundation.core.text import is_blank

from .compiling import BlockSource, Compilation, TemplateSource, slots_named
from .contracts import BrandSpec, CompiledSources, Problem
from .fields import Field
from .mjml import MAX_BYTES
from .pieces import SourceRefused
from .short_messages import SHORT
from .trials import trials_run

MAX_SOURCE: Final = MAX_BYTES


class _AnyColour(dict[str, str]):
    """Colours of a brand that is not known yet."""

    def get(self, key: str, default: Any = None) -> Any:
        return "#336699" if key.isidentifier() else default


STAND_IN: Final[BrandSpec] = {
    "code": "stand-in",
    "name": "Your brand",
    "from_name": "Your brand",
    "from_email": "hello@shop.example",
    "reply_to": "",
    "postal_address": "1 Example Street, Example Town",
    "shop_url": "https://shop.example/",
    "link_hosts": ["shop.example"],
    "colours": _AnyColour(),
    "default_language": "en",
}
SHELL = TemplateSource(
    "shell",
    "Subject",
    '<mjml><mj-body>[[ slot:block ]]<mj-section><mj-column><mj-text font-size="12px" line-height="18px">'
    '[[ brand.postal_address ]] · <a href="{{ links.unsubscribe }}" style="color:#5b6664">Unsubscribe</a></mj-text>'
    "</mj-column></mj-section></mj-body></mjml>",
    "[[ slot:block ]]\n{{ links.unsubscribe }}\n[[ brand.postal_address ]]\n",
)
_PLAIN = BlockSource(
    "0", "stand-in", (), {"en": {}}, "<mj-section><mj-column><mj-text>Block</mj-text></mj-column></mj-section>", "Block"
)
_LEGAL_SLOT = "legal"
_LEGAL = BlockSource(
    "0",
    "stand-in",
    (),
    {"en": {}},
    '<mj-section><mj-column><mj-text><a href="{{ links.unsubscribe }}">Unsubscribe</a> [[ brand.postal_address ]]'
    "</mj-text></mj-column></mj-section>",
    "{{ links.unsubscribe }} [[ brand.postal_address ]]",
)
"""What the law asks for may come from the block in the slot `legal`; publishing looks whether the real one has it."""
TEXT_SHELL = TemplateSource("shell", "[[ slot:block ]]", SHELL.mjml.replace("[[ slot:block ]]", ""), SHELL.text)


def template_problems(template: TemplateSource) -> tuple[list[Problem], list[str]]:
    """What is wrong with a template's sources, and the slots that it names."""
    problems = [
        Problem(name, 0, "", "is empty" if is_blank(source) else f"is over {MAX_SOURCE // 1024} kB: shorten it")
        for name, source in (("subject", template.subject), ("mjml", template.mjml), ("text", template.text))
        if is_blank(source) or len(source.encode()) > MAX_SOURCE
    ]
    if problems:
        return problems, []
    try:
        slots = slots_named(template)
    except SourceRefused as refused:
        return [refused.problem], []
    for name in slots:
        if not name.isidentifier() or not name.isascii() or name.startswith("_") or len(name) > 40:
            problems.append(Problem("template", 0, f"[[ slot:{name} ]]", "name slots by letters, digits and _"))
    if not problems:
        problems, _ = _compiled(template, slots_filled(slots))
    return problems, slots


def slots_filled(slots: Sequence[str]) -> dict[str, list[BlockSource]]:
    """A plain block in each slot, and what the law asks for in the slot `legal`."""
    return {name: [_LEGAL if name == _LEGAL_SLOT else _PLAIN] for name in slots}


def block_problems(block: BlockSource, *, language: str = "en") -> list[Problem]:
    """What is wrong with a block's layouts and what it says in one language, wherever it will stand."""
    shell = SHELL if not is_blank(block.layout) else TEXT_SHELL
    problems, _ = _compiled(shell, {"block": block_beside(block)}, language=language)
    return problems


def block_beside(block: BlockSource) -> list[BlockSource]:
    """A block as the first choice of a slot, a plain one behind it."""
    return [block, _PLAIN]


def block_type_problems(fields: Sequence[Field], *, name: str, layout: str, text_layout: str) -> list[Problem]:
    """What is wrong with a type's layouts, tried with a value for each field."""
    sources = (("layout", layout), ("text layout", text_layout))
    problems = [
        Problem(f"block {name}, {where}", 0, "", f"is over {MAX_SOURCE // 1024} kB: shorten it")
        for where, source in sources
        if len(source.encode()) > MAX_SOURCE
    ]
    if is_blank(text_layout):
        problems.append(Problem(f"block {name}, text layout", 0, "", "is empty: say the same as plain text"))
    if problems:
        return problems
    content = {field.name: sample_value(field) for field in fields if not field.fixed}
    return block_problems(BlockSource("1", name, tuple(fields), {"en": content}, layout, text_layout))


def sample_value(field: Field, language: str = "en") -> Any:
    """A value that fits a field and its limits in a language."""
    limits = field.limits_in(language)
    address = f"https://{limits.hosts[0]}/" if limits.hosts else STAND_IN["shop_url"]
    match field.kind:
        case "link":
            return address
        case "image":
            return {
                "url": f"{address}picture.png",
                "alt": "A picture",
                "width": limits.min_width or limits.max_width or 600,
                "height": limits.min_height or limits.max_height or 300,
            }
        case "colour":
            return limits.choices[0] if limits.choices else "#336699"
        case "choice":
            return limits.choices[0]
        case "number":
            first = limits.minimum if limits.minimum is not None else limits.maximum
            return f"{first:g}" if first is not None else "0" if limits.step else "10"
        case "rich_text":
            return f"<p>{'Sample'[: limits.max_length]}</p>"
        case "products":
            return None
        case _:
            return "Sample"[: limits.max_length]


def _compiled(
    template: TemplateSource, slots: dict[str, list[BlockSource]], *, language: str = "en"
) -> tuple[list[Problem], CompiledSources | None]:
    work = Compilation(template, brand=STAND_IN, slots=slots, language=language, hosts=None)
    compiled = work.compile()
    if compiled is None:
        return work.problems, None
    blocks = {name: [block.id for block in given] for name, given in slots.items()}
    short = template.channel in SHORT
    return trials_run(compiled, blocks, address=STAND_IN["postal_address"], short=short).problems, compiled
