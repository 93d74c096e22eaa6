"""Whence choices came: kept sealed under the person's key, and forgotten before the choice is.

A record is bound to it by a keyed digest (`ConsentRecord.origin_digest`, under the record's seal). A random part is in
what is digested: the addresses of the internet are few enough to try them all.
"""

import hmac
import logging
import secrets
from base64 import b64encode
from datetime import datetime
from typing import Final

import orjson
from django.conf import settings

from apps.data.profiles.vault import Erased, MasterKeyMissing, Place, Tampered, keys_make, vault_open

from .contracts import Origin
from .models import ConsentOrigin

logger = logging.getLogger(__name__)

TABLE: Final = ConsentOrigin._meta.db_table
_LONGEST_AGENT: Final = 400


def origin_keep(*, profile_id: int, origin: Origin | None) -> bytes:
    """Keep an origin, in the caller's transaction. Its digest; b"" where there is nothing to keep or to keep it by.

    A choice is recorded with or without it: that the vault can't be opened keeps nobody from leaving.
    """
    if origin is None or not (origin.ip or origin.user_agent):
        return b""
    plain = orjson.dumps(
        {
            "ip": origin.ip,
            "user_agent": origin.user_agent[:_LONGEST_AGENT],
            "nonce": b64encode(secrets.token_bytes(16)).decode(),
        }
    )
    digest = _digest(plain)
    try:
        keys_make([profile_id])
        sealed = vault_open([profile_id]).seal(profile_id, _place(digest), plain)
    except (Erased, MasterKeyMissing) as error:
        logger.warning("a choice is recorded without its origin: %s", type(error).__name__)
        return b""
    ConsentOrigin.objects.create(profile_id=profile_id, digest=digest, sealed=sealed)
    return digest


def origin_read(*, digest: bytes) -> Origin | None:
    """An origin by its digest; None when it was forgotten, its person erased, or it is not what was kept."""
    row = ConsentOrigin.objects.filter(digest=digest).first() if digest else None
    if row is None:
        return None
    try:
        plain = vault_open([row.profile_id]).open(row.profile_id, _place(digest), bytes(row.sealed))
    except (Erased, Tampered, MasterKeyMissing):
        return None
    if not hmac.compare_digest(_digest(plain), digest):
        return None
    said = orjson.loads(plain)
    return Origin(said["ip"], said["user_agent"])


def origins_forget(before: datetime, limit: int) -> int:
    """Remove origins kept before a moment, at most `limit`. Returns how many."""
    old = ConsentOrigin.objects.filter(kept_at__lt=before).order_by("kept_at").values("pk")[:limit]
    return ConsentOrigin.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]


def _digest(plain: bytes) -> bytes:
    return hmac.digest(settings.LEDGER_KEY, b"origin\0" + plain, "sha256")


def _place(digest: bytes) -> Place:
    return Place(TABLE, "sealed", digest.hex())
