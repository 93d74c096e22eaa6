"""Reads of imports."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.foundation.core.clock import now

from .models import Import

# one word each; {} is the figure
_FIGURES: tuple[tuple[str, str], ...] = (
    ("lines_read", "lines read"),
    ("lines_bad", "bad lines, left out"),
    ("values_bad", "bad values, left out of good lines"),
    ("profiles", "profiles"),
    ("buying_customers", "buying customers"),
    ("orders", "orders"),
    ("purchase_orders", "purchase orders"),
    ("cancelled_orders", "cancelled orders"),
    ("purchase_lines", "purchase lines"),
    ("cancelled_lines", "cancelled lines"),
    ("other_lines", "other lines that are no purchase"),
    ("lines_without_customer", "lines without a customer, among the last two"),
    ("items", "items"),
    ("purchased_items", "purchased items"),
)


def amount_text(amount: str | Decimal) -> str:
    """An amount with marks for thousands: two decimals, or as many as it needs."""
    value = Decimal(amount)
    places = max(2, -int(value.normalize().as_tuple().exponent)) if value else 2  # a finite amount's is a number
    return f"{value:,.{places}f}"


def figures_list(counts: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of an import as people read them: what, how many."""
    listed = [(words, f"{counts[name]:,}") for name, words in _FIGURES if name in counts]
    listed += [(f"revenue {code}".strip(), amount_text(amount)) for code, amount in counts.get("revenue", {}).items()]
    listed += [
        (f"consents recorded for {purpose}", f"{count:,}") for purpose, count in counts.get("consents", {}).items()
    ]
    if undefined := counts.get("undefined"):
        listed.append((f"attributes kept that nobody defined ({', '.join(undefined)})", f"{len(undefined):,}"))
    return listed


def percent_done(job: Import) -> int:
    """How much of the file was read, in percent. 100 only when the import is done."""
    if job.state == Import.State.DONE:
        return 100
    if job.progress.get("complete") or not job.bytes_total:
        return 99 if job.progress.get("complete") else 0
    return min(99, job.bytes_done * 100 // job.bytes_total)


def people_range(import_id: int) -> tuple[int, int, int]:
    """The lowest and the highest profile of an import's people, and how many lines there are of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(min(profile_id), 0), coalesce(max(profile_id), 0), count(*) FROM imports_stagedperson"
            " WHERE import_id = %s",
            [import_id],
        )
        first, last, count = cursor.fetchone()
        return first, last, count


def grants_next(
    *, job: Import, purpose: str, by_column: bool, after: int, until: int, limit: int
) -> list[tuple[int, datetime]]:
    """The next people of an import who get a grant, by profile id: `(profile id, when they agreed)`.

    after, until: behind which profile, and up to which; by_column: only those of whom some line says yes and none says
    no; else everybody in the file. Those whose data is restricted are left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, coalesce(min(agreed_at) FILTER (WHERE %(purpose)s = ANY (agreed)), %(opened)s)"
            " FROM imports_stagedperson AS staged WHERE import_id = %(import)s"
            "  AND profile_id > %(after)s AND profile_id <= %(until)s"
            # one look-up for each: as a list of all who are restricted, each batch would read all profiles
            "  AND (SELECT restricted_at IS NULL FROM profiles_profile AS person WHERE person.id = staged.profile_id)"
            " GROUP BY profile_id"
            " HAVING NOT %(by_column)s"
            "  OR (bool_or(%(purpose)s = ANY (agreed)) AND NOT bool_or(%(purpose)s = ANY (declined)))"
            " ORDER BY profile_id LIMIT %(limit)s",
            {
                "purpose": purpose,
                "opened": job.created_at,
                "import": job.pk,
                "after": after,
                "until": until,
                "by_column": by_column,
                "limit": limit,
            },
        )
        return [(row[0], row[1]) for row in cursor.fetchall()]


def imports_left_alone(*, idle_seconds: int = 60) -> list[int]:
    """Imports of the background that nobody has worked on for a while: their worker died, or was never woken."""
    return list(
        Import.objects.filter(
            in_background=True,
            state__in=[Import.State.WAITING, Import.State.READING, Import.State.MERGING],
            updated_at__lt=now() - timedelta(seconds=idle_seconds),
        ).values_list("pk", flat=True)
    )
