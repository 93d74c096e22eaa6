"""Promotions: what is offered for a while."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound

from .models import Promotion

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PROMOTION_FIELDS: Final = ("title", "category", "countries", "discount_percent", "url", "starts_at", "ends_at")


def promotion_put(*, code: str, fields: Mapping[str, Any]) -> tuple[Promotion, bool]:
    """Have the promotion of this code say this; what is not named stays. Without one it is made, which needs `title`
    and `starts_at`. Returns it, and whether it is new. Raises Invalid.
    """
    if not code.strip():
        raise Invalid("code_missing", "Give the promotion its code", {"field": "code"})
    with transaction.atomic():
        known = Promotion.objects.select_for_update().filter(code=code).first()
        if known is not None:
            return _set(known, fields), False
        for name in ("title", "starts_at"):
            if not fields.get(name):
                raise Invalid("field_missing", f"A new promotion needs its {name}", {"field": name})
        _check(Promotion(code=code, **_known(fields)))
        made, new = Promotion.objects.get_or_create(code=code, defaults=dict(fields))
        return (made, True) if new else (_set(made, fields), False)


def promotion_change(*, promotion_id: int, fields: Mapping[str, Any], seen: int | None = None) -> Promotion:
    """Change a promotion. seen: its version as the caller read it. Raises Invalid, NotFound, Conflict."""
    with transaction.atomic():
        promotion = Promotion.objects.select_for_update().filter(pk=promotion_id).first()
        if promotion is None:
            raise NotFound("promotion_unknown", "There is no such promotion")
        if seen is not None and promotion_version(promotion) != seen:
            raise Conflict("changed_meanwhile", "The promotion was changed meanwhile: read it again")
        return _set(promotion, fields)


def promotion_version(promotion: Promotion) -> int:
    """What differs after each change: the moment of the last one, in microseconds."""
    return (promotion.updated_at - _EPOCH) // timedelta(microseconds=1)


def promotions_active(*, places: Sequence[tuple[datetime, str]]) -> list[list[Promotion]]:
    """For each moment and country ("" where none is known) the promotions that hold then and there, those that end
    first in front. One query.

    They hold by what is said of them now; one that was told of after a moment does not count for it.
    """
    if not places:
        return []
    first, last = min(at for at, _ in places), max(at for at, _ in places)
    rows = Promotion.objects.filter(Q(ends_at=None) | Q(ends_at__gt=first), starts_at__lte=last, created_at__lte=last)
    some = list(rows.order_by("ends_at", "pk"))
    return [[one for one in some if _holds(one, at, country)] for at, country in places]


def _holds(promotion: Promotion, at: datetime, country: str) -> bool:
    begun = promotion.starts_at <= at and promotion.created_at <= at
    there = not promotion.countries or country in promotion.countries
    return begun and there and (promotion.ends_at is None or at < promotion.ends_at)


def _set(promotion: Promotion, fields: Mapping[str, Any]) -> Promotion:
    changed = [name for name, value in _known(fields).items() if getattr(promotion, name) != value]
    if changed:
        for name in changed:
            setattr(promotion, name, fields[name])
        _check(promotion)
        promotion.updated_at = max(now(), promotion.updated_at + timedelta(microseconds=1))
        promotion.save(update_fields=[*changed, "updated_at"])
    return promotion


def _known(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := sorted(fields.keys() - set(PROMOTION_FIELDS)):
        raise Invalid("field_unknown", f"A promotion has no {unknown[0]}", {"field": unknown[0]})
    return fields


def _check(promotion: Promotion) -> None:
    if promotion.ends_at is not None and promotion.ends_at <= promotion.starts_at:
        raise Invalid("promotion_ends", "A promotion ends after it starts", {"field": "ends_at"})
    if promotion.discount_percent is not None and not 0 < promotion.discount_percent <= 100:
        raise Invalid("promotion_discount", "A discount is above 0 and at most 100", {"field": "discount_percent"})
