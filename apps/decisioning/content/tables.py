"""Parts of the admin's pages: tables, sources, colours."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language_info

from .fields import Field, fields_read, values_of
from .limits import Limits
from .models import BlockVersion
from .values import image_value, sizes_asked


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
        several = isinstance(field.value, dict) and not (field.kind == "image" and "url" in field.value)
        return "; ".join(f"{k}: {v}" for k, v in field.value.items()) if several else value_shown(field, field.value)
    parts = [*limits_said(field.limits), "" if field.required else "may stay empty"]
    parts += [f"{language}: {', '.join(limits_said(limits))}" for language, limits in field.by_language.items()]
    return "; ".join(part for part in parts if part)


def limits_said(limits: Limits) -> list[str]:
    """Limits in words, one phrase each."""
    said = [f"at most {limits.max_length} characters"] if limits.max_length else []
    said += [f"one of {', '.join(limits.choices)}"] if limits.choices else []
    said += [f"links to {', '.join(limits.hosts)} only"] if limits.hosts else []
    said += ["with alternative text"] if limits.alt_required else []
    said += sizes_asked(limits)
    said += [f"at least {limits.minimum:g}"] if limits.minimum is not None else []
    said += [f"at most {limits.maximum:g}"] if limits.maximum is not None else []
    said += [f"in steps of {limits.step:g}"] if limits.step is not None else []
    said += [f"reading ease {limits.reading_ease:g} or more"] if limits.reading_ease is not None else []
    return said


def value_shown(field: Field, value: Any) -> str:
    """A value for reading; of an image its address, text and size."""
    if field.kind != "image":
        return "" if value is None else str(value)
    image = image_value(value)
    size = f"{image['width']} × {image['height']}" if image["width"] and image["height"] else ""
    return ", ".join(part for part in (image["url"], f"“{image['alt']}”" if image["alt"] else "", size) if part)


def content_table_shown(version: BlockVersion) -> SafeString:
    """What a version of a block says, in each of its languages."""
    fields = fields_read(version.fields, [])
    rows: list[tuple[Any, ...]] = []
    for language, own in version.content.items():
        values = values_of(fields, own, language)
        rows.extend(
            (
                language_title(language),
                field.label,
                value_shown(field, values[field.name]) or "—",
                "fixed" if field.fixed else "",
            )
            for field in fields
            if field.kind != "products"
        )
    return table_shown(("Language", "Field", "Text", ""), rows)
