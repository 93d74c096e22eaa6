"""Writes about brands."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from apps.decisioning.content.contracts import BrandSpec, Problem, problems_refuse
from apps.decisioning.content.fields import colour_is_valid, language_is_valid
from apps.decisioning.content.labels import LABELS
from apps.decisioning.content.links import host_is_valid, link_fault
from apps.decisioning.content.models import Brand
from apps.decisioning.content.page_look import accent_fault, words_faults
from apps.decisioning.content.rendering import one_line
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.text import is_blank

from .rows import assign, created, known, locked, saved

MAX_LABEL = 120


def _brand_check(brand: Brand) -> None:
    problems: list[Problem] = []

    def wrong(field: str, mend: str) -> None:
        problems.append(Problem(field, 0, "", mend))

    for field in ("code", "name", "from_name", "postal_address"):
        value = getattr(brand, field)
        if is_blank(value) or one_line(value) != value.strip():
            wrong(field, "is needed, as one line of visible text")
    for field in ("from_email", "reply_to"):
        try:
            if field == "from_email" or getattr(brand, field):
                validate_email(getattr(brand, field))
        except ValidationError:
            wrong(field, "is not an e-mail address")
    hosts = brand.link_hosts if isinstance(brand.link_hosts, list) else []
    if not hosts or not all(isinstance(host, str) and host_is_valid(host) for host in hosts):
        wrong("link_hosts", "must be a list of host names, such as shop.example")
    else:
        fault = link_fault(brand.shop_url, hosts)
        if fault:
            wrong("shop_url", fault)
    colours = brand.colours if isinstance(brand.colours, dict) else {"": None}
    if not all(isinstance(name, str) and name.isidentifier() and colour_is_valid(c) for name, c in colours.items()):
        wrong("colours", 'must be names with colours, such as {"accent": "#1a2b3c"}')
    if not language_is_valid(brand.default_language):
        wrong("default_language", "must be a language tag such as en or de-AT")
    labels = brand.labels if isinstance(brand.labels, dict) else {"": None}
    for label, words in labels.items():
        if label not in LABELS or not isinstance(words, dict):
            wrong("labels", f"must be {' and '.join(LABELS)}, each by language")
            continue
        for language, text in words.items():
            if not language_is_valid(language):
                wrong("labels", f"{language} is not a language tag such as en or de-AT")
            elif not isinstance(text, str) or is_blank(text) or one_line(text) != text or len(text) > MAX_LABEL:
                wrong(
                    "labels", f"{label}, {language}: must be one line of visible text, at most {MAX_LABEL} characters"
                )
            elif any(bracket in text for bracket in "{}[]<>"):
                wrong("labels", f"{label}, {language}: must be plain words, without brackets")
    words = brand.unsafe_words if isinstance(brand.unsafe_words, list) else [None]
    if not all(isinstance(word, str) and 2 < len(word.strip()) <= 60 for word in words) or len(words) > 200:
        wrong("unsafe_words", "must be at most 200 words of 3 to 60 characters, one a line")
    if brand.page_accent and (fault := accent_fault(brand.page_accent)):
        wrong("page_accent", fault)
    for fault in words_faults(brand.page_words):
        wrong("page_words", fault)
    problems_refuse("brand_refused", problems, "The brand can't be saved")


_BRAND_FIELDS = frozenset(BrandSpec.__annotations__) | {"page_accent", "page_words"}


def brand_create(*, by: User, code: str, owner: User | None = None, **values: Any) -> Brand:
    """A brand, owned by `by` unless told. values: the other fields of the model.

    Raises Invalid, Conflict for a code in use, NotAllowed.
    """
    right_require(by, "add", Brand, what="add brands")
    brand = Brand(code=code, owner=owner or by, **known(values, _BRAND_FIELDS))
    _brand_check(brand)
    return created(brand, by, "content.brand.created", f"There is a brand {code} already")


def brand_update(*, brand_id: int, by: User, seen_at: datetime | None = None, why: str = "", **values: Any) -> Brand:
    """Change fields of a brand. why: for the history. Published versions keep the brand as it was.

    Raises Invalid, NotFound, NotAllowed.
    """
    with transaction.atomic():
        brand = locked(Brand, brand_id)
        right_require(by, "change", brand, what="change this brand")
        unchanged_since(brand, seen_at)
        changed = assign(brand, known(values, _BRAND_FIELDS - {"code"}))
        _brand_check(brand)
        return saved(brand, changed, by, "content.brand.changed", why)
