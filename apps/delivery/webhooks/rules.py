"""When a webhook is tried again, and when an endpoint is left alone. Pure."""

import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

KINDS: Final[dict[str, str]] = {
    "consent.changed": "Somebody agreed to something, or withdrew it",
    "preference.changed": "What somebody chose (topics, channels, when) changed, by whichever way: as in the feed",
    "suppression.added": "An address gets nothing any more",
    "profile.changed": "Something known of a person changed, by whichever way: as in the feed of changes",
    "profile.corrected": "Something known of a person was corrected by them, or for them",
    "profile.restricted": "A person's data may only be kept, or that ended",
    "profile.merged": "Two profiles turned out to be one person",
    "profile.unmerged": "A merge of two profiles was undone",
    "profile.erased": "A person was erased: forget them too (GDPR, Article 19)",
    "quality.fell": "A measure of data quality fell below its threshold",
    "quality.recovered": "A measure of data quality is above its threshold again",
    "webhook.test": "A test, sent from the admin",
}
"""Kinds of news and their words for people."""

PAUSES: Final[Sequence[timedelta]] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After each try that failed; about three days in all (Standard Webhooks 1.0.0, «Retries»)."""
JITTER: Final = 0.2
BREAKER_AFTER: Final = 5
"""Failures in a row after which an endpoint is left alone…"""
_BREAKER_FIRST: Final = timedelta(seconds=30)
_BREAKER_MOST: Final = timedelta(minutes=30)


def pause_after(attempts: int, *, chance: float) -> timedelta | None:
    """How long to wait after so many tries (from 1); None: no more. chance: from 0 to 1, for the jitter."""
    if attempts > len(PAUSES):
        return None
    return PAUSES[attempts - 1] * (1 + JITTER * (2 * chance - 1))


def breaker_pause(failures: int) -> timedelta | None:
    """How long an endpoint is left alone after so many failures in a row; None: not at all."""
    if failures < BREAKER_AFTER:
        return None
    doubled: timedelta = _BREAKER_FIRST * 2 ** min(failures - BREAKER_AFTER, 12)
    return min(_BREAKER_MOST, doubled)


def secret_of(key: bytes, endpoint_id: int, nonce: bytes) -> bytes:
    """The secret of an endpoint, 32 bytes: made of a key outside the database and a nonce inside."""
    return hmac.digest(key, b"webhook\0" + endpoint_id.to_bytes(8, "big") + nonce, "sha256")
