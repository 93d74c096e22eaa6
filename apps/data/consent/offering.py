"""Topics and interests as staff offer them: who may, what they need, and their words in each language."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import IntegrityError, transaction

from apps.data.profiles.normalize import language_tag
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record

from .models import Interest, Offered, Topic

M = TypeVar("M", Topic, Interest)


def offered_put(
    *,
    model: type[M],
    by: User,
    code: str,
    name: str,
    description: str = "",
    translations: Mapping[str, Mapping[str, str]] | None = None,
    position: int = 0,
    offered: bool = True,
) -> M:
    """Add or change a topic or interest. translations: by language, `name` and `description`; blanks are left out.

    It is never deleted: what people chose names it. Raises Invalid, NotAllowed.
    """
    with transaction.atomic():
        row = model.objects.select_for_update().filter(pk=code).first()
        action = "change" if row is not None else "add"
        right_require(by, action, row if row is not None else model, what=f"{action} {model._meta.verbose_name_plural}")
        if is_blank(name):
            raise Invalid("name_missing", "Give it a name that customers understand")
        values: dict[str, Any] = {
            "name": name.strip(),
            "description": description.strip(),
            "translations": _translations_read(translations or {}),
            "position": position,
            "offered": offered,
        }
        try:
            with transaction.atomic():
                row, created = model.objects.update_or_create(pk=code, defaults=values)
        except IntegrityError:
            raise Conflict("code_taken", f"There is {code} already: choose another code") from None
        what = "created" if created else "changed"
        audit_record(action=f"consent.{model._meta.model_name}.{what}", actor=by, subject=row)
    return row


def _translations_read(given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    read = {}
    for language, words in given.items():
        if language_tag(language) != language:
            raise Invalid("language_unknown", f"There is no language {language!r}: write one as de or pt-BR")
        kept = {key: words[key].strip() for key in ("name", "description") if not is_blank(words.get(key, ""))}
        if kept:
            read[language] = kept
    return read


def words_in(row: Any, language: str) -> tuple[str, str]:
    """Name and description of what has `translations`, in a language: `de-AT`, then `de`, then as they are."""
    words: dict[str, str] = {}
    for tag in (language.partition("-")[0], language):
        words |= row.translations.get(tag, {})
    return words.get("name", row.name), words.get("description", row.description)


def offered_in(model: type[Offered], language: str) -> list[tuple[str, str, str]]:
    """Code, name and description of what is offered, in the page's order."""
    rows: Any = model._default_manager.filter(offered=True)
    return [(row.pk, *words_in(row, language)) for row in rows]
