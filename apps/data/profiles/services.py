"""Definitions of attributes: made, changed, made sensitive, made clear again. Their values: `attributes.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg2.errors import LockNotAvailable

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.queue import enqueue_on_commit
from apps.foundation.governance.services import audit_record

from .attribute_values import ITEM_LIMIT, LIST_LIMIT, value_read
from .attributes import name_check, shape_of
from .models import AttributeDefinition, SealedAttribute
from .normalize import language_tag, text_clean
from .registry import sensitive_objections
from .tasks import attribute_values_move

Kind, Moving = AttributeDefinition.Kind, AttributeDefinition.Moving
_LABEL_LIMIT: Final = 80
_MOST_DAYS: Final = 36_500


def attribute_define(
    *,
    name: str,
    by: User,
    kind: str = Kind.TEXT,
    labels: Mapping[str, str] | None = None,
    description: str = "",
    required: bool = False,
    sensitive: bool = False,
    correctable: bool = False,
    allowed: Sequence[str] = (),
    fallback: object = None,
    fresh_days: int | None = None,
    owner: User | None = None,
) -> AttributeDefinition:
    """Define an attribute. Values that came in before stay, and are sealed in the background where it is sensitive.

    owner: who looks after it, the one who defines it unless given. Raises NotAllowed, Invalid, and Conflict for a name
    that is defined already.
    """
    right_require(by, "add", AttributeDefinition, what="define attributes")
    row = AttributeDefinition(name=name.strip(), owner=owner or by)
    try:
        name_check(row.name)
    except ValueError as error:
        raise Invalid("attribute_name", f"The name {error}", {"field": "name"}) from None
    _fill(row, kind, labels or {}, description, required, correctable, allowed, fallback, fresh_days)
    with transaction.atomic():
        if sensitive:
            _become_sensitive(row)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise Conflict(
                "attribute_defined", f"“{row.name}” is defined already: change that", {"field": "name"}
            ) from None
        audit_record(action="profiles.attribute.defined", actor=by, subject=row, data=_told(row))
        if sensitive:
            enqueue_on_commit(attribute_values_move, row.pk)
    return row


def attribute_change(
    *,
    definition_id: int,
    by: User,
    kind: str,
    labels: Mapping[str, str],
    description: str,
    required: bool,
    sensitive: bool,
    correctable: bool,
    allowed: Sequence[str],
    fallback: object,
    fresh_days: int | None,
    owner: User | None = None,
    seen_at: datetime | None = None,
) -> AttributeDefinition:
    """Change a definition; its name stays. Values that no longer fit stay as they are, until they come in anew.

    Made sensitive, its values are sealed in the background. seen_at: its `updated_at` as the editor saw it.
    Raises NotAllowed, NotFound, Invalid, and Conflict: for a change meanwhile, for rules that a sensitive attribute
    could not answer, for a new type of values that are sealed, and for making it clear again (`attribute_open`).
    """
    with transaction.atomic():
        row = _locked(definition_id)
        right_require(by, "change", row, what="change this definition")
        unchanged_since(row, seen_at)
        before = _told(row)
        if row.sensitive and not sensitive:
            raise Conflict(
                "attribute_sensitive",
                "A sensitive attribute is made clear again by a step of its own, “Make it clear again”",
                {"field": "sensitive"},
            )
        if row.sensitive and kind != row.kind and SealedAttribute.objects.filter(definition_id=row.pk).exists():
            raise Conflict(
                "attribute_kind_sealed",
                "Its values are sealed and found by their type: the type stays. Define another attribute instead",
                {"field": "kind"},
            )
        _fill(row, kind, labels, description, required, correctable, allowed, fallback, fresh_days)
        if sensitive and not row.sensitive:
            _become_sensitive(row)
            enqueue_on_commit(attribute_values_move, row.pk)
        row.owner = owner or row.owner
        row.updated_at = now()
        row.save()
        after = _told(row)
        changed = {key: value for key, value in after.items() if before[key] != value}
        audit_record(action="profiles.attribute.changed", actor=by, subject=row, data=changed)
    return row


def attribute_open(*, definition_id: int, by: User, name: str) -> AttributeDefinition:
    """Make a sensitive attribute clear again: its values are opened in the background, and it is sensitive to the last.

    name: typed once more, for nothing seals what was read meanwhile. Raises NotAllowed, NotFound, Invalid, Conflict.
    """
    with transaction.atomic():
        row = _locked(definition_id)
        right_require(by, "open", row, what="make a sensitive attribute clear again")
        if name.strip() != row.name:
            raise Invalid("name_differs", "This is not the name of the attribute: look at which one you open")
        if not row.sensitive or row.moving:
            raise Conflict("attribute_moving", "It is not sensitive, or its values are on their way already")
        row.moving, row.moving_since, row.moved, row.updated_at = Moving.OPENING, now(), 0, now()
        row.save()
        audit_record(action="profiles.attribute.opened", actor=by, subject=row)
        enqueue_on_commit(attribute_values_move, row.pk)
    return row


def _locked(definition_id: int) -> AttributeDefinition:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")  # an import that merges holds it for as long as that takes
            row = AttributeDefinition.objects.select_for_update().filter(pk=definition_id).first()
            cursor.execute("SET LOCAL lock_timeout = 0")
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        raise Conflict(
            "attribute_busy", "An import is writing values of it at this moment: try again in a minute"
        ) from None
    if row is None:
        raise NotFound("attribute_unknown", "There is no such definition")
    return row


def _become_sensitive(row: AttributeDefinition) -> None:
    """Raises Conflict for rules that could not be answered any more."""
    if used := [words for objection in sensitive_objections for words in objection(row.name)]:
        raise Conflict(
            "attribute_in_rules",
            "A sensitive attribute can be asked for by is, is one of and is known alone. Change first: "
            + "; ".join(used),
            {"field": "sensitive"},
        )
    row.sensitive, row.moving, row.moving_since, row.moved = True, Moving.SEALING, now(), 0


def _fill(
    row: AttributeDefinition,
    kind: str,
    labels: Mapping[str, str],
    description: str,
    required: bool,
    correctable: bool,
    allowed: Sequence[str],
    fallback: object,
    fresh_days: int | None,
) -> None:
    if kind not in Kind.values:
        raise Invalid("attribute_kind", f"A type is one of: {', '.join(Kind.values)}", {"field": "kind"})
    row.kind, row.required, row.correctable, row.description = kind, required, correctable, description.strip()
    row.labels = _labels_read(labels)
    row.allowed = _allowed_read(kind, allowed)
    if fresh_days is not None and not 0 < fresh_days <= _MOST_DAYS:
        raise Invalid("attribute_fresh", f"Days are from 1 to {_MOST_DAYS:,}", {"field": "fresh_days"})
    row.fresh_days = fresh_days
    try:
        row.fallback = value_read(shape_of(row), fallback)
    except ValueError as error:
        raise Invalid("attribute_fallback", f"The fallback {error}", {"field": "fallback"}) from None


def _labels_read(labels: Mapping[str, str]) -> dict[str, str]:
    read = {}
    for language, given in labels.items():
        code, text = language_tag(language).lower(), text_clean(given)
        if not code:
            raise Invalid(
                "language_unknown", "There is no such language: write one as de or pt-br", {"field": "labels"}
            )
        if len(text) > _LABEL_LIMIT:
            raise Invalid("label_long", f"A label has at most {_LABEL_LIMIT} characters", {"field": "labels"})
        if text:
            read[code] = text
    return read


def _allowed_read(kind: str, allowed: Sequence[str]) -> list[str]:
    texts = list(dict.fromkeys(text for one in allowed if (text := text_clean(one))))
    if kind == Kind.CHOICE and not texts:
        raise Invalid("attribute_allowed", "Say which values it may have, one a line", {"field": "allowed"})
    if texts and kind not in (Kind.CHOICE, Kind.TEXTS):
        raise Invalid(
            "attribute_allowed", "Only one of a list, and a list of texts, have allowed values", {"field": "allowed"}
        )
    if len(texts) > LIST_LIMIT or any(len(text) > ITEM_LIMIT for text in texts):
        raise Invalid(
            "attribute_allowed", f"At most {LIST_LIMIT} values of {ITEM_LIMIT} characters", {"field": "allowed"}
        )
    return texts


def _told(row: AttributeDefinition) -> dict[str, Any]:
    """What the audit log keeps of a definition."""
    names = ("kind", "labels", "description", "required", "sensitive", "correctable", "allowed", "fallback")
    return {name: getattr(row, name) for name in names} | {"fresh_days": row.fresh_days, "owner": row.owner_id}
