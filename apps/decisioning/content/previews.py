"""How a block looks before it is saved: for invented people, in one language, in the worst size, in dark and without
pictures. Pure; the pages ask for it in a child process."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from .checking import SHELL, STAND_IN, TEXT_SHELL, block_beside, slots_filled, template_problems
from .clients import ClientNote, client_notes
from .compiling import BlockSource, Compilation, TemplateSource
from .contracts import BrandSpec, CompiledSources, Problem, Rendered
from .errors import RenderError
from .fields import Field, content_problems, language_chain
from .rendering import render
from .short_messages import SHORT
from .trials import LINKS, sample_items, trials_run


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
    """problems: what is wrong with it; html and text: how it looks all the same, empty where it can't be shown.

    line: it has no layout, and stands in a subject or the like: `text` is all there is; largest_bytes: HTML of the
    largest trial render, with the little message around it; clients: what main clients don't show of it.
    """

    problems: Sequence[Problem]
    html: str = ""
    text: str = ""
    line: bool = False
    largest_bytes: int = 0
    clients: Sequence[ClientNote] = ()

    @property
    def shown(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.html or self.text)


def _as_seen(sources: CompiledSources, persona: Persona, slots: Mapping[str, Any]) -> Rendered:
    """The message as a persona gets it. Raises RenderError."""
    profile = {token: persona.profile.get(token) for token in sources.tokens}
    return render(sources, {"profile": profile, "slots": slots, "links": LINKS})


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
    labels: Sequence[str] = (),
) -> Preview:
    """A block alone in a message of `brand` (or of a stand-in), as `persona` would see it.

    Problems of every language are told; the look is that of `language`, as far as it can be made. labels: those that
    the message shows below it.
    """
    problems = content_problems(fields, content, f"block {name}")
    block = BlockSource("1", name, tuple(fields), content, layout, text_layout, tuple(labels))
    line = not layout.strip()
    spec = brand or STAND_IN
    work = Compilation(
        TEXT_SHELL if line else SHELL,
        brand=spec,
        slots={"block": block_beside(block)},
        language=language,
        hosts=spec["link_hosts"],
    )
    sources = work.compile()
    if sources is None:
        # What can't be put together because of a value that was told already is not told twice.
        shown_in = next((tag for tag in language_chain(language, spec["default_language"]) if tag in content), "")
        known = any(problem.where.startswith(f"block {name}, {shown_in},") for problem in problems)
        return Preview(problems if known else [*problems, *work.problems], line=line)
    report = trials_run(sources, {"block": ["1", "0"]}, address=spec["postal_address"])
    problems = [*problems, *report.problems]
    # A block of products is looked at with products, whoever looks: without them its slot shows something else.
    shown = {"block": "1", "items": sample_items(spec["shop_url"])}
    try:
        out = _as_seen(sources, persona, {"block": shown})
    except RenderError as error:
        return Preview([*problems, Problem(name, 0, "", error.message)], line=line)
    if line:
        return Preview(problems, text=out.subject, line=True)
    text = out.text.removesuffix(f"{LINKS['unsubscribe']}\n{spec['postal_address']}\n").strip()
    return Preview(
        problems,
        html=out.html,
        text=text,
        largest_bytes=report.largest_bytes,
        clients=client_notes(out.html),
    )


def sources_preview(
    *,
    subject: str,
    mjml: str,
    text: str,
    language: str,
    persona: Persona,
    brand: BrandSpec | None,
    channel: str = "email",
) -> Preview:
    """A template with a plain block in each slot, as `persona` would see it."""
    spec = brand or STAND_IN
    template = TemplateSource("template", subject, mjml, text, channel)
    problems, slots = template_problems(template)
    if problems:
        return Preview(_as_named(problems, channel))
    blocks = slots_filled(slots)
    work = Compilation(template, brand=spec, slots=blocks, language=language, hosts=spec["link_hosts"])
    sources = work.compile()
    if sources is None:
        return Preview(_as_named(work.problems, channel))
    standing = {name: [block.id for block in given] for name, given in blocks.items()}
    report = trials_run(sources, standing, address=spec["postal_address"], short=channel in SHORT)
    try:
        out = _as_seen(sources, persona, {})
    except RenderError as error:
        return Preview([Problem("template", 0, "", error.message)])
    return Preview(
        _as_named(report.problems, channel),
        html=out.html,
        text=f"{out.subject}\n\n{out.text}",
        largest_bytes=report.largest_bytes,
        clients=client_notes(out.html),
    )


def _as_named(problems: Sequence[Problem], channel: str) -> list[Problem]:
    """Problems by the names that the form of the channel has: the subject of a push message is its title."""
    if channel != "push":
        return list(problems)
    return [replace(one, where="title") if one.where == "subject" else one for one in problems]


# --- how it is looked at ---

_DARK = re.compile(r"@media[^{]*prefers-color-scheme\s*:\s*dark[^{]*(?=\{)", re.I)
_LIGHT = re.compile(r"@media[^{]*prefers-color-scheme\s*:\s*light[^{]*(?=\{)", re.I)
_HEAD_END = re.compile(r"</head\s*>", re.I)
_NO_PICTURES = '<meta http-equiv="Content-Security-Policy" content="img-src \'none\'">'
_INVERTED = (
    "<style>html{background:#111;filter:invert(1) hue-rotate(180deg)}body{background:#eee}"
    "img{filter:invert(1) hue-rotate(180deg)}</style>"
)
DARK_OWN: Final = "own"
DARK_INVERTED: Final = "inverted"


def has_dark_styles(html: str) -> bool:
    """Whether a message has colours of its own for dark mode."""
    return _DARK.search(html) is not None


def html_looked_at(html: str, *, dark: str = "", pictures: bool = True) -> str:
    """The HTML as it looks in dark mode, or without pictures: a simulation, for the preview only.

    dark: `own` shows the message's own dark styles, as clients do that know prefers-color-scheme (Apple Mail,
    Outlook.com); `inverted` turns all colours, as some apps do by themselves; each has its own way, this is the plain
    one. Without pictures their alternative texts stand there.
    """
    added = ""
    if dark == DARK_OWN:
        html = _LIGHT.sub("@media not all ", _DARK.sub("@media all ", html))
        added = "<style>:root{color-scheme:dark}</style>"
    elif dark == DARK_INVERTED:
        added = _INVERTED
    if not pictures:
        added = _NO_PICTURES + added
    return _HEAD_END.sub(lambda end: added + end[0], html, count=1) if added else html


def preview_looked_at(preview: Preview, *, dark: str, pictures: bool) -> Preview:
    """A preview whose HTML is that of `html_looked_at`."""
    return (
        replace(preview, html=html_looked_at(preview.html, dark=dark, pictures=pictures)) if preview.html else preview
    )


def template_preview(
    *, template: TemplateSource, slots: Sequence[str], language: str, persona: Persona, brand: BrandSpec | None
) -> Preview:
    """A template with a plain block in each slot, which says the slot's name, as `persona` would see it."""
    spec = brand or STAND_IN
    section = "<mj-section><mj-column><mj-text>Slot: {}</mj-text></mj-column></mj-section>"
    standing = {
        slot: [BlockSource("1", slot, (), {language: {}}, section.format(slot), f"Slot: {slot}")] for slot in slots
    }
    work = Compilation(template, brand=spec, slots=standing, language=language, hosts=None)
    sources = work.compile()
    if sources is None:
        return Preview(work.problems)
    shown = {slot: {"block": "1", "items": sample_items(spec["shop_url"])} for slot in slots}
    try:
        out = _as_seen(sources, persona, shown)
    except RenderError as error:
        return Preview([Problem(template.name, 0, "", error.message)])
    return Preview((), html=out.html, text=f"Subject: {out.subject}\n\n{out.text}")
