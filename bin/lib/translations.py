"""The customers' texts, gathered from templates and code, and their translations. It needs no gettext programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from bin.lib.venv import ROOT

PLACES = (
    "templates/preferences",
    "templates/tracking",
    "apps/surfaces/preferences",
    "apps/data/consent",
)
"""Where the texts of customers are. Staff's are in English."""

_KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)  # a file without dates of its own changes only with its texts


def texts_gather(root: Path = ROOT) -> Catalog:
    """Every text of the customers' pages, by where it is."""
    catalog = Catalog(project="Tessera", charset="utf-8", creation_date=_LONG_AGO)
    for place in PLACES:
        for path in sorted((root / place).rglob("*")):
            if path.suffix in (".py", ".html", ".txt") and "migrations" not in path.parts:
                for line, text, comments, context in _texts_of(path):
                    name = str(path.relative_to(root))
                    catalog.add(text, None, [(name, line)], auto_comments=comments, context=context)
    return catalog


def _texts_of(path: Path) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    source = path.read_text("utf-8")
    if path.suffix != ".py":
        lines = templatize(source, origin=str(path)).splitlines()
        source = "\n".join(line.strip() for line in lines)
    yield from extract("python", BytesIO(source.encode()), keywords=_KEYWORDS, comment_tags=["Translators:"])


def languages_there(root: Path = ROOT) -> list[str]:
    """The folders of `locale`, each a language."""
    return sorted(folder.parent.name for folder in (root / "locale").glob("*/LC_MESSAGES"))


def translations_read(language: str, root: Path = ROOT) -> Catalog:
    """The translations of a language as its file has them; none without a file."""
    path = _file(language, root, "po")
    if not path.exists():
        return Catalog(locale=language, charset="utf-8", creation_date=_LONG_AGO)
    with path.open("rb") as source:
        return read_po(source, locale=language, charset="utf-8")


def translations_updated(language: str, texts: Catalog, root: Path = ROOT) -> Catalog:
    """The translations of a language for these texts and no others; empty where there is none."""
    catalog = translations_read(language, root)
    catalog.update(texts, no_fuzzy_matching=True, update_creation_date=False)
    catalog.revision_date = _LONG_AGO
    catalog.fuzzy = False
    catalog.project, catalog.version = "Tessera", ""
    catalog.header_comment = "# Texts of the customers' pages. Call bin/translate after a change."
    catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = ""
    return catalog


def faults(catalog: Catalog) -> list[str]:
    """What is wrong with translations: the texts without one, and those with another's placeholders."""
    found = []
    for message in catalog:
        if not message.id:
            continue
        whole = all(message.string) if isinstance(message.string, list | tuple) else bool(message.string)
        if not whole or message.fuzzy:
            found.append(f"{catalog.locale}: not translated: {_first(message)}")
            continue
        found.extend(f"{catalog.locale}: {error}: {_first(message)}" for error in message.check(catalog))
    return found


def _first(message: Message) -> str:
    return repr(message.id if isinstance(message.id, str) else message.id[0])


def po_bytes(catalog: Catalog) -> bytes:
    """The file of translations: sorted, without line numbers or versions, so that it changes only with the texts."""
    out = BytesIO()
    write_po(out, catalog, width=120, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return b"".join(line for line in out.getvalue().splitlines(True) if not line.startswith(b'"Generated-By'))


def mo_bytes(catalog: Catalog) -> bytes:
    """The compiled file that Django reads."""
    out = BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def stale(root: Path = ROOT) -> list[str]:
    """What is missing or out of date, in words."""
    texts = texts_gather(root)
    found = []
    for language in languages_there(root):
        catalog = translations_updated(language, texts, root)
        found.extend(faults(catalog))
        written, compiled = _file(language, root, "po"), _file(language, root, "mo")
        if _texts(translations_read(language, root)) != _texts(texts):  # where they stand does not matter
            found.append(f"{written.relative_to(root)} is not up to date: call bin/translate")
        if not compiled.exists() or _compiled(compiled.read_bytes()) != _compiled(mo_bytes(catalog)):
            found.append(f"{compiled.relative_to(root)} is not up to date: call bin/translate")
    return found


def _texts(catalog: Catalog) -> set[tuple[str | None, str]]:
    return {(message.context, str(message.id)) for message in catalog if message.id}


def _compiled(content: bytes) -> dict[Any, Any]:
    """The translations in a compiled file, by context and text."""
    return {(message.context, str(message.id)): message.string for message in read_mo(BytesIO(content)) if message.id}


def write_all(root: Path = ROOT) -> list[str]:
    """Bring every language up to date. Returns what is still missing."""
    texts = texts_gather(root)
    found = []
    for language in languages_there(root):
        catalog = translations_updated(language, texts, root)
        _file(language, root, "po").write_bytes(po_bytes(catalog))
        _file(language, root, "mo").write_bytes(mo_bytes(catalog))
        found.extend(faults(catalog))
    return found


def language_add(name: str, root: Path = ROOT) -> None:
    """Give a language its folder, by its name as `pt_BR`."""
    _file(name, root, "po").parent.mkdir(parents=True, exist_ok=True)


def _file(language: str, root: Path, kind: str) -> Path:
    return root / "locale" / language / "LC_MESSAGES" / f"django.{kind}"
