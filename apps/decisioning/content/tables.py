"""Parts of the admin's pages: tables, sources, colours."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language_info

from .fields import Field, fields_read, values_of
from .models import BlockVersion


def language_title(language: str) -> str:
    """A language's English name, with its tag."""
    try:
        return f"{get_language_info(language.lower())['name']} ({language})"
    except KeyError:
        return language


def table_shown(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> SafeString:
    """Rows below their heads."""
    head = format_html_join("", "<th>{}</th>", ((title,) for title in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html(
        '<div class="t-scroll"><table class="t-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        head,
        body,
    )


def source_shown(text: str) -> SafeString:
    """Text as it is, in monospace."""
    return format_html('<pre class="t-source" tabindex="0">{}</pre>', text)


def swatch_shown(colour: str) -> SafeString:
    """A colour, seen and written."""
    return format_html('<span class="t-swatch" style="background:{}"></span> {}', colour, colour)


def limits_shown(field: Field) -> str:
    """The limits of a flexible field, or the value of a fixed one."""
    if field.fixed:
        shown = (
            field.value if not isinstance(field.value, dict) else "; ".join(f"{k}: {v}" for k, v in field.value.items())
        )
        return str(shown)
    parts = [f"at most {field.max_length}" if field.max_length else "", ", ".join(field.choices)]
    return "; ".join(part for part in (*parts, "" if field.required else "may stay empty") if part)


def content_table_shown(version: BlockVersion) -> SafeString:
    """What a version of a block says, in each of its languages."""
    fields = fields_read(version.fields, [])
    rows: list[tuple[Any, ...]] = []
    for language, own in version.content.items():
        values = values_of(fields, own, language)
        rows.extend(
            (language_title(language), field.label, values[field.name] or "—", "fixed" if field.fixed else "")
            for field in fields
            if field.kind != "products"
        )
    return table_shown(("Language", "Field", "Text", ""), rows)
