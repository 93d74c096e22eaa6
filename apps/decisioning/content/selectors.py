"""Reads about content."""

from django.db import connection

from .contracts import BrandSpec
from .models import Brand


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
    return {
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
