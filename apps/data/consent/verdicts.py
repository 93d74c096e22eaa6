"""What addresses were found to be, kept by their digests; and what is known of them from before."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import Max

from apps.data.profiles.address_check import domains_above
from apps.data.profiles.rules import Judged
from apps.foundation.core.signing import address_digests

from .models import AddressVerdict, Suppression

K = TypeVar("K")

# Always in the order of the digests, so that two looks wait for each other and never in a circle.
_KEEP: Final = """
INSERT INTO consent_addressverdict AS kept (digest, verdict, code, looked_at, good_until)
SELECT digest, verdict, code, %s, good_until
FROM unnest(%s::bytea[], %s::text[], %s::text[], %s::timestamptz[]) AS found(digest, verdict, code, good_until)
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET verdict = excluded.verdict, code = excluded.code, looked_at = excluded.looked_at,
    good_until = excluded.good_until
WHERE kept.looked_at <= excluded.looked_at
"""


def verdicts_keep(found: Mapping[bytes, Judged], *, at: datetime) -> None:
    """Keep what addresses were found to be at a moment, in place of what was found before."""
    if not found:
        return
    judged = list(found.values())
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            [
                at,
                list(found),
                [one.verdict.value for one in judged],
                [one.code for one in judged],
                [at + one.good_for for one in judged],
            ],
        )


def verdicts_read(digests: Sequence[bytes], *, good_at: datetime) -> dict[bytes, str]:
    """What is held of those of these addresses whose verdict is good at a moment: `verdict:code`.

    What was found before a domain of traps came to be known is not good any more.
    """
    rows = AddressVerdict.objects.filter(digest__in=list(digests), good_until__gt=good_at)
    newest = Suppression.objects.filter(kind=Suppression.DOMAIN).aggregate(Max("created_at"))["created_at__max"]
    if newest is not None:
        rows = rows.filter(looked_at__gt=newest)
    return {
        bytes(digest): f"{verdict}:{code}" for digest, verdict, code in rows.values_list("digest", "verdict", "code")
    }


def addresses_gone(digests: Collection[bytes]) -> dict[bytes, str]:
    """Which of these addresses bounced for good or are spam traps, with the reason of their suppression."""
    reasons = (Suppression.Reason.BOUNCE, Suppression.Reason.SPAM_TRAP)
    rows = Suppression.objects.filter(digest__in=list(digests), reason__in=reasons)
    return {bytes(digest): reason for digest, reason in rows.values_list("digest", "reason")}


def traps_among(domains: Collection[str]) -> set[str]:
    """Which of these domains are of spam traps, by themselves or by one above them."""
    by_digest: dict[bytes, str] = {}
    below: dict[str, set[str]] = {}
    for domain in domains:
        for one in domains_above(domain):
            below.setdefault(one, set()).add(domain)
    for one in below:
        by_digest |= dict.fromkeys(address_digests(Suppression.DOMAIN, one), one)
    rows = Suppression.objects.filter(digest__in=list(by_digest), reason=Suppression.Reason.SPAM_TRAP)
    return {domain for digest in rows.values_list("digest", flat=True) for domain in below[by_digest[bytes(digest)]]}


def traps_met(addresses: Mapping[K, str]) -> set[K]:
    """Which of these addresses lie in a domain of traps. A promise only under `services.gate_lock`, in its transaction.

    Batches pass here, so this process remembers which domains are known, and asks only whether they still are the same.
    """
    if not addresses or not (traps := _traps_known()):
        return set()
    keys = tuple(settings.LOOKUP_KEYS.items())
    domains = {key: address.rpartition("@")[2] for key, address in addresses.items()}
    met = {domain for domain in set(domains.values()) if not traps.isdisjoint(_digests_above(domain, keys))}
    return {key for key, domain in domains.items() if domain in met}


_remembered: tuple[Any, frozenset[bytes]] = (None, frozenset())
"""The moment of the newest domain of traps and how many there are, and the digests of all."""


def _traps_known() -> frozenset[bytes]:
    global _remembered  # one tuple, replaced as a whole
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(created_at), count(*) FROM consent_suppression WHERE kind = 'domain'")
        stand = cursor.fetchone()
        if _remembered[0] != stand:
            cursor.execute("SELECT digest FROM consent_suppression WHERE kind = 'domain' AND reason = 'spam_trap'")
            _remembered = stand, frozenset(bytes(digest) for (digest,) in cursor.fetchall())
    return _remembered[1]


@lru_cache(maxsize=65_536)
def _digests_above(domain: str, keys: tuple[tuple[int, bytes], ...]) -> tuple[bytes, ...]:
    """The digests of a domain and of those above it. keys: those that they are made with, by version."""
    return tuple(digest for one in domains_above(domain) for digest in address_digests(Suppression.DOMAIN, one))


def verdicts_forget(before: datetime, limit: int) -> int:
    """Forget what was found before a moment, of at most so many addresses. Returns of how many."""
    old = AddressVerdict.objects.filter(good_until__lt=before).order_by("good_until").values_list("pk", flat=True)
    count, _kinds = AddressVerdict.objects.filter(pk__in=list(old[:limit])).delete()
    return count
