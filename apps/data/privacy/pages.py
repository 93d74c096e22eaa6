"""An export as a page that people can read, told piece by piece. No script, nothing from elsewhere."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any

from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.html import escape, format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .registry import ExportPart, Row

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1f2937;background:#f8fafc;margin:0 auto;max-width:60rem;
padding:2rem 1rem}
h1{font-size:1.75rem;line-height:1.25}h2{font-size:1.25rem;margin-block:2.5rem .75rem}
section,nav{background:#fff;border:1px solid #e2e8f0;border-radius:8px;padding:.25rem 1.25rem 1.25rem;margin-block:1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{text-align:start;vertical-align:top;padding:.5rem .75rem;border-block-end:1px solid #e2e8f0}
th{font-weight:600;color:#475569}dl{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;gap:.4rem 1rem}
dt{color:#475569}dd{margin:0;overflow-wrap:anywhere}.none{color:#64748b}a{color:#0f766e}
@media print{body{background:#fff}section,nav{border:0;padding-inline:0}}
@media (max-width:34rem){dl{grid-template-columns:1fr}dd{margin-block-end:.5rem}}
"""
_NOTHING = gettext_lazy("Nothing.")


def head(parts: Iterable[ExportPart], *, made_at: datetime) -> str:
    """The beginning of the page, with its list of parts."""
    language = translation.get_language() or "en"
    direction = "rtl" if translation.get_language_bidi() else "ltr"
    links = "".join(format_html('<li><a href="#{}">{}</a></li>', part.name, str(part.title)) for part in parts)
    said = _("All that we know about you, as of %(moment)s.") % {"moment": _moment(made_at)}
    return (
        f'<!doctype html><html lang="{escape(language)}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(_("Your data"))}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(_('Your data'))}</h1><p>{escape(said)}</p>"
        f'<nav aria-labelledby="parts"><h2 id="parts">{escape(_("What is in here"))}</h2><ul>{links}</ul></nav><main>'
    )


def part_told(part: ExportPart, rows: Iterator[Row]) -> Iterator[str]:
    """One part: nothing, one thing as a list of facts, or a table."""
    yield str(format_html('<section aria-labelledby="{0}"><h2 id="{0}">{1}</h2>', part.name, str(part.title)))
    first = list(islice(rows, 2))
    if not first:
        yield str(format_html('<p class="none">{}</p>', str(_NOTHING)))
    elif len(first) == 1:
        yield "<dl>"
        for name, words in part.words.items():
            if first[0].get(name) not in (None, "", [], {}):
                yield f"<dt>{escape(str(words))}</dt><dd>{said(first[0][name])}</dd>"
        yield "</dl>"
    else:
        yield '<div class="wide"><table><thead><tr>'
        yield "".join(f'<th scope="col">{escape(str(words))}</th>' for words in part.words.values())
        yield "</tr></thead><tbody>"
        for row in chain(first, rows):
            yield "<tr>" + "".join(f"<td>{said(row.get(name))}</td>" for name in part.words) + "</tr>"
        yield "</tbody></table></div>"
    yield "</section>"


def foot() -> str:
    """Its end."""
    return "</main></body></html>"


def said(value: Any) -> str:
    """A value for people, as HTML."""
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return str(escape(_("yes") if value else _("no")))
    if isinstance(value, datetime):
        return str(escape(_moment(value)))
    if isinstance(value, dict):
        pairs = "".join(f"<dt>{escape(str(name))}</dt><dd>{said(one)}</dd>" for name, one in value.items())
        return f"<dl>{pairs}</dl>"
    if isinstance(value, list | tuple):
        return "<br>".join(said(one) for one in value)
    return str(escape(str(value)))


def _moment(at: datetime) -> str:
    return f"{date_format(at.astimezone(timezone.get_default_timezone()), 'DATETIME_FORMAT')} UTC"
