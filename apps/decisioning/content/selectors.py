"""Reads about content."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from guardian.shortcuts import get_objects_for_user

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may
from apps.foundation.core.errors import NotFound

from .contracts import BrandSpec, CompiledSources
from .fields import Field
from .models import Block, Brand, CompiledTemplate, Market
from .rights import WORK_IN
from .values import value_is_empty


def markets_of(user: User) -> QuerySet[Market]:
    """The markets for which a user may write blocks: all for the central team, else those they work in."""
    if user.has_perm("content.add_block"):
        return Market.objects.all()
    if not may(user, "add", Block):
        return Market.objects.none()
    found: QuerySet[Market] = get_objects_for_user(user, WORK_IN, accept_global_perms=False)
    return found


@lru_cache(maxsize=512)
def compiled_load(compiled_id: int) -> CompiledSources:
    """The sources of a CompiledTemplate; rows never change, so each is read once for each process. Raises NotFound."""
    row = CompiledTemplate.objects.filter(pk=compiled_id).first()
    if row is None:
        raise NotFound("compiled_template_unknown", f"There is no compiled template {compiled_id}")
    return CompiledSources(
        digest=row.digest,
        language=row.language,
        subject=row.subject,
        html=row.html,
        text=row.text,
        tokens=tuple(row.tokens),
        link_hosts=tuple(row.link_hosts),
        shop_url=row.shop_url,
    )


def languages_written() -> list[str]:
    """The languages that brands speak and blocks are written in; those of brands first."""
    spoken = list(Brand.objects.order_by("pk").values_list("default_language", flat=True)) or ["en"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT jsonb_object_keys(newest.content) FROM "
            "(SELECT DISTINCT ON (block_id) content FROM content_blockversion ORDER BY block_id, number DESC) newest"
        )
        written = sorted(row[0] for row in cursor.fetchall())
    return list(dict.fromkeys([*spoken, *written]))


def brand_spec(brand: Brand) -> BrandSpec:
    """A brand as it is now, as plain data."""
    spec: BrandSpec = {
        "code": brand.code,
        "name": brand.name,
        "from_name": brand.from_name,
        "from_email": brand.from_email,
        "reply_to": brand.reply_to,
        "postal_address": brand.postal_address,
        "shop_url": brand.shop_url,
        "link_hosts": list(brand.link_hosts),
        "colours": dict(brand.colours),
        "default_language": brand.default_language,
    }
    if brand.labels:
        spec["labels"] = dict(brand.labels)
    if brand.unsafe_words:
        spec["unsafe_words"] = list(brand.unsafe_words)
    return spec


def tags_used() -> list[str]:
    """The tags that blocks have, the most used first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tag FROM content_block, jsonb_array_elements_text(tags) AS tag GROUP BY tag"
            " ORDER BY count(*) DESC, tag LIMIT 60"
        )
        return [row[0] for row in cursor.fetchall()]


def fields_written(fields: Sequence[Field], values: Mapping[str, Any]) -> tuple[int, int]:
    """How many of the required flexible fields have something in them, and how many there are."""
    asked = [field for field in fields if field.required and not field.fixed and field.kind != "products"]
    return sum(not value_is_empty(field, values.get(field.name)) for field in asked), len(asked)


def brands_offered() -> list[tuple[str, str]]:
    """All brands: code and name."""
    return list(Brand.objects.order_by("name").values_list("code", "name"))


def markets_offered() -> list[tuple[str, str]]:
    """All markets: code and name."""
    return list(Market.objects.order_by("name").values_list("code", "name"))
