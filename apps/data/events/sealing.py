"""What was sent, sealed while it is on its way and while it lies with the dead letters.

It names people before anybody knows whom, so no person's key can seal it: keys are derived from a master key and a
random salt (HMAC-SHA256 as a KDF, NIST SP 800-108r1, 4.1). A process takes a new salt after 2²⁰ values, which keeps
each key far from the 2³² of random nonces (SP 800-38D, 8.3). Salt and the master key's id stand before the value.
"""

import hmac
import os
from functools import lru_cache
from itertools import count
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from apps.data.profiles.errors import MasterKeyMissing
from apps.foundation.core.crypto import Tampered, seal, unseal

_SALT: Final = 16
_USES: Final = 2**20


class EventSealer:
    """Seals values for one use of them."""

    def __init__(self, use: str) -> None:
        self._use = use
        self._renew()

    def _renew(self) -> None:
        self._salt, self._left = os.urandom(_SALT), count(_USES, -1)

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """A value sealed with the newest master key, bound to what it belongs to."""
        if next(self._left) <= 0:
            self._renew()
        salt = self._salt
        name, master = next(iter(settings.MASTER_KEYS.items()))
        head = name.encode()
        return bytes((len(head),)) + head + salt + seal(_cipher(self._use, master, salt), plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed. Raises Tampered, and MasterKeyMissing where its master key isn't in MASTER_KEYS."""
        if not sealed or len(sealed) < 1 + sealed[0] + _SALT:
            raise Tampered("a sealed value is cut")
        start = 1 + sealed[0]
        name = sealed[1:start].decode(errors="replace")
        master = settings.MASTER_KEYS.get(name)
        if master is None:
            raise MasterKeyMissing(
                "master_key_missing",
                f"Events that were sent can't be read: the master key {name} is not in MASTER_KEYS. Put it back.",
            )
        cipher = _cipher(self._use, master, sealed[start : start + _SALT])
        return unseal(cipher, sealed[start + _SALT :], bound)


@lru_cache(maxsize=256)
def _cipher(use: str, master: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(master, b"tessera\0events\0" + use.encode() + b"\0" + salt, "sha256"))
