"""What consent keeps by digests, when an address is digested anew (`profiles.lookup`): it goes over with it."""

from collections.abc import Mapping, Sequence
from typing import Final

from django.db import connection, models

from apps.data.profiles.lookup import Moved, digest_follower, digests_by_version

from .models import AddressVerdict, AwaitedWithdrawal, OptIn, Suppression

_CARRY: Final = """
WITH moved AS (SELECT * FROM unnest(%s::bytea[], %s::bytea[]) AS moved(before, after)),
old AS (
  UPDATE consent_suppression AS suppression SET carried = true FROM moved WHERE suppression.digest = moved.before
  RETURNING moved.after, suppression.kind, suppression.reason, suppression.note, suppression.actor_id,
            suppression.created_at)
INSERT INTO consent_suppression (digest, carried, kind, reason, note, actor_id, created_at)
SELECT DISTINCT ON (after) after, false, kind, reason, note, actor_id, created_at FROM old ORDER BY after, created_at
ON CONFLICT DO NOTHING
"""
_OPT_INS: Final = """
UPDATE consent_optin AS opt_in SET address_digest = moved.after
FROM unnest(%s::bytea[], %s::bytea[]) AS moved(before, after) WHERE opt_in.address_digest = moved.before
"""
# a withdrawal that waits under both is one
_AWAITED: Final = """
UPDATE consent_awaitedwithdrawal AS awaited SET digest = moved.after
FROM unnest(%s::bytea[], %s::bytea[]) AS moved(before, after) WHERE awaited.digest = moved.before
  AND NOT EXISTS (SELECT FROM consent_awaitedwithdrawal AS other WHERE other.kind = awaited.kind
    AND other.digest = moved.after AND other.purpose_id = awaited.purpose_id AND other.channel = awaited.channel)
"""


_VERDICTS: Final = """
WITH moved AS (SELECT * FROM unnest(%s::bytea[], %s::bytea[]) AS moved(before, after)),
old AS (DELETE FROM consent_addressverdict AS verdict USING moved WHERE verdict.digest = moved.before
        RETURNING moved.after, verdict.verdict, verdict.code, verdict.looked_at, verdict.good_until)
INSERT INTO consent_addressverdict (digest, verdict, code, looked_at, good_until)
SELECT DISTINCT ON (after) * FROM old ORDER BY after, looked_at DESC
ON CONFLICT DO NOTHING
"""


def _suppressions_follow(moved: Sequence[Moved]) -> None:
    """The old row stays, for who still has the old digest; the newest version has one of its own."""
    with connection.cursor() as cursor:
        cursor.execute(_CARRY, [[one.before for one in moved], [one.after for one in moved]])


def _opt_ins_follow(moved: Sequence[Moved]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_OPT_INS, [[one.before for one in moved], [one.after for one in moved]])


def _awaited_follow(moved: Sequence[Moved]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_AWAITED, [[one.before for one in moved], [one.after for one in moved]])


def _verdicts_follow(moved: Sequence[Moved]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_VERDICTS, [[one.before for one in moved], [one.after for one in moved]])


def _versions(model: type[models.Model], column: str, where: str = "") -> Mapping[int, int]:
    return digests_by_version(model._meta.db_table, column, where)


def following_register() -> None:
    """Tell `profiles.lookup` who holds digests here."""
    digest_follower(
        "suppressions that stand under no newer version",
        _suppressions_follow,
        lambda: _versions(Suppression, "digest", "NOT carried"),
    )
    digest_follower(
        "withdrawals of people who are not known", _awaited_follow, lambda: _versions(AwaitedWithdrawal, "digest")
    )
    digest_follower("what addresses were found to be", _verdicts_follow, lambda: _versions(AddressVerdict, "digest"))
    digest_follower("opt-ins", _opt_ins_follow, lambda: _versions(OptIn, "address_digest"))
