"""What the block editor shows: the form's rows by language, and the answer to each change while somebody types."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.forms import BoundField

from apps.decisioning.content.children import apart
from apps.decisioning.content.contracts import BrandSpec, Problem
from apps.decisioning.content.errors import ContentMisbehaved
from apps.decisioning.content.fields import Field, language_chain
from apps.decisioning.content.forms import BlockForm, content_name, content_of
from apps.decisioning.content.forms.blocks import IMAGE_PARTS, block_form_class, problem_field
from apps.decisioning.content.labels import WRITTEN
from apps.decisioning.content.models import BlockType
from apps.decisioning.content.models import Persona as PersonaRow
from apps.decisioning.content.pieces import SourceRefused
from apps.decisioning.content.previews import (
    PERSONAS,
    Persona,
    Preview,
    block_preview,
    has_dark_styles,
    preview_looked_at,
    sources_preview,
)
from apps.decisioning.content.selectors import fields_written
from apps.decisioning.content.short_messages import SHORT
from apps.decisioning.content.tables import language_title, value_shown
from apps.decisioning.content.taxonomy import name_fault
from apps.decisioning.content.trials import CLIPPED_OVER
from apps.decisioning.content.values import reading_note, words_of

from .devices import short_shown

PLACEHOLDER: Final = "qq"
"""The language of the empty panel that the page copies for a new language: one that no language has (ISO 639-3)."""
_BRACKET = re.compile(r"\[\[ (\w+) \]\]")
_MISSING = "is required"


@dataclass(slots=True)
class Row:
    """One field of the type in one language. shown: its value where it is fixed; more: of an image its other parts."""

    label: str
    kind: str
    bound: BoundField | None = None
    shown: str = ""
    more: list[BoundField] = field(default_factory=list)


@dataclass(slots=True)
class Panel:
    """A language of the block."""

    code: str
    title: str
    rows: list[Row]
    done: int = 0
    asked: int = 0
    wrong: bool = False


def panels(form: BlockForm, content: Mapping[str, Any]) -> list[Panel]:
    """A panel for each language of the form. content: what the block says, for counting what is written."""
    return [_panel(form, language, content.get(language) or {}) for language in form.languages]


def empty_panel(block_type: BlockType, declared: Sequence[Field]) -> Panel:
    """What the page copies for a language that somebody adds."""
    made = block_form_class(block_type=block_type, declared=declared, languages=[PLACEHOLDER], newest=None)
    return _panel(made(), PLACEHOLDER, {})


def _panel(form: BlockForm, language: str, values: Mapping[str, Any]) -> Panel:
    rows = []
    wrong = False
    for declared in form.declared:
        name = content_name(language, declared)
        if declared.fixed:
            shown = value_shown(declared, declared.value_in(language))
            rows.append(Row(declared.label, declared.kind, shown=shown))
        elif declared.kind == "products":
            rows.append(Row(declared.label, declared.kind))
        else:
            parts = [form[f"{name}__{part}"] for part in IMAGE_PARTS] if declared.kind == "image" else []
            rows.append(Row(declared.label, declared.kind, form[name], more=parts))
            wrong = wrong or bool(form[name].errors)
    done, asked = fields_written(form.declared, values)
    return Panel(language, language_title(language), rows, done, asked, wrong)


def personas_offered() -> list[Persona]:
    """Those that are built in, and those that people made."""
    own = [Persona(f"own-{row.pk}", row.name, row.profile) for row in PersonaRow.objects.all()[:100]]
    return [PERSONAS[0], *own, *PERSONAS[1:]]


def preview_answer(
    *,
    block_type: BlockType,
    declared: Sequence[Field],
    data: Mapping[str, str],
    languages: Sequence[str],
    spec: BrandSpec | None,
    persona: Persona,
) -> dict[str, Any]:
    """What the page shows of a form as it stands: problems at their fields, how it looks, and how far each language is.

    data: the form, with `preview_language`, `preview_dark` and `preview_pictures`; languages: those that it has.
    """
    content = content_of(declared, languages, data)
    language = data.get("preview_language", "")
    default = spec["default_language"] if spec is not None else "en"
    name = data.get("name", "").strip()[:120]
    answer: dict[str, Any] = {
        "language": language,
        "languages": [_progress(declared, code, content, default) for code in languages],
        "counts": _counts(declared, content),
        "notes": _notes(declared, content),
        "problems": [],
        "size": None,
        "clients": [],
        "html": "",
        "text": "",
    }
    problems = [Problem("name", 0, "", fault)] if name and (fault := name_fault(name, data.get("tier", ""))) else []
    if content:
        preview = _preview_made(
            block_type, declared, content, _language_shown(language, content, default), spec, persona,
            labels=[WRITTEN] if data.get("written_by_model") and block_type.layout.strip() else [],
        )  # fmt: skip
        problems += preview.problems
        answer["darkOwn"] = has_dark_styles(preview.html)
        looked = preview_looked_at(
            preview, dark=data.get("preview_dark", ""), pictures=data.get("preview_pictures") != "off"
        )
        answer |= {
            "html": looked.html,
            "text": looked.text,
            "line": looked.line,
            "clients": [{"text": note.text, "helps": note.helps} for note in preview.clients],
            "size": _size(preview) if preview.largest_bytes else None,
        }
    answer["problems"] = [_told(problem, declared, languages, language) for problem in problems]
    return answer


def template_answer(
    *,
    sources: Mapping[str, str],
    channel: str,
    data: Mapping[str, str],
    language: str,
    spec: BrandSpec | None,
    persona: Persona,
) -> dict[str, Any]:
    """What the page shows of a template's sources as they stand, with plain blocks in its slots; of an SMS or push, as
    a device shows it, and how long it is."""
    tidy = {name: text.replace("\r\n", "\n") for name, text in sources.items()}
    try:
        preview = apart(sources_preview, **tidy, language=language, persona=persona, brand=spec, channel=channel)
    except ContentMisbehaved as error:
        preview = Preview([error.problem])
    problems = [{"field": "", "text": str(one), "where": "", "missing": False} for one in preview.problems]
    if channel in SHORT:
        return {"problems": problems, **short_shown(channel, preview, spec["name"] if spec is not None else "")}
    looked = preview_looked_at(
        preview, dark=data.get("preview_dark", ""), pictures=data.get("preview_pictures") != "off"
    )
    return {
        "problems": problems,
        "html": looked.html,
        "text": looked.text,
        "darkOwn": has_dark_styles(preview.html),
        "clients": [{"text": note.text, "helps": note.helps} for note in preview.clients],
        "size": _size(preview) if preview.largest_bytes else None,
    }


def _preview_made(
    block_type: BlockType, declared: Sequence[Field], content: Mapping[str, Any], language: str, spec: BrandSpec | None,
    persona: Persona, *, labels: Sequence[str],
) -> Preview:  # fmt: skip
    try:
        return apart(
            block_preview,
            name="this block",
            fields=list(declared),
            layout=block_type.layout,
            text_layout=block_type.text_layout,
            content=content,
            language=language,
            persona=persona,
            brand=spec,
            labels=list(labels),
        )
    except ContentMisbehaved as error:
        return Preview([error.problem])


def _language_shown(wanted: str, content: Mapping[str, Any], default: str) -> str:
    """The language that people who speak the wanted one get; the first that is written where nothing fits."""
    return wanted if any(code in content for code in language_chain(wanted, default)) else next(iter(content))


def _progress(declared: Sequence[Field], code: str, content: Mapping[str, Any], default: str) -> dict[str, Any]:
    done, asked = fields_written(declared, content.get(code) or {})
    note = ""
    if asked and code not in content:
        instead = next((other for other in language_chain(code, default) if other in content), "")
        note = (
            f"Nothing is written. People who speak it get {language_title(instead)}."
            if instead
            else f"Nothing is written, and nothing stands behind it: write {language_title(default)}."
        )
    elif asked and done < asked:
        note = "A language is written in full or left out: a message doesn't mix two."
    return {"code": code, "done": done, "asked": asked, "note": note}


def _counts(declared: Sequence[Field], content: Mapping[str, Any]) -> dict[str, Any]:
    counts = {}
    for language, values in content.items():
        for one in declared:
            limit = one.limits_in(language).max_length
            if limit and not one.fixed and one.kind in ("text", "rich_text"):
                try:
                    used = len(words_of(one, str(values.get(one.name) or "")))
                except SourceRefused:
                    continue
                counts[content_name(language, one)] = {"used": used, "limit": limit}
    return counts


def _notes(declared: Sequence[Field], content: Mapping[str, Any]) -> dict[str, str]:
    return {
        content_name(language, one): note
        for language, values in content.items()
        for one in declared
        if not one.fixed and (note := reading_note(one, values.get(one.name), language))
    }


def _size(preview: Preview) -> dict[str, Any]:
    kilobytes, most = preview.largest_bytes / 1024, CLIPPED_OVER // 1024
    over = preview.largest_bytes > CLIPPED_OVER
    said = f"{kilobytes:.0f} kB of {most} kB at its largest"
    return {
        "share": min(100, round(100 * preview.largest_bytes / CLIPPED_OVER)),
        "over": over,
        "text": f"{said}. Gmail clips it: shorten it." if over else f"{said}.",
    }


def _told(problem: Problem, declared: Sequence[Field], languages: Sequence[str], language: str) -> dict[str, Any]:
    """A problem at its field. missing: it says only that something isn't written yet."""
    name = problem_field(problem.where, declared, languages) or ("name" if problem.where == "name" else "")
    if not name and (found := _BRACKET.search(problem.where)):
        meant = next((one for one in declared if one.name == found[1] and not one.fixed), None)
        name = content_name(language, meant) if meant is not None else ""
    text = f"{problem.token} {problem.mend}".strip()
    text = text if problem.token else text[:1].upper() + text[1:]
    return {"field": name, "text": text, "where": "" if name else problem.where, "missing": problem.mend == _MISSING}
