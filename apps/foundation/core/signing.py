"""Signed tokens for links: short, scoped, and verifiable after the key was changed.

A token is `base64url(payload ‖ tag)` behind the id of its key: `k1.…`. The tag is the first 16 bytes of
HMAC-SHA256 (RFC 2104; truncation per RFC 2104, 5) over scope and payload, so that a token for one use
is worth nothing for another.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings

from .crypto import digest_keyed, digester_keyed

_TAG = 16
_URLSAFE = bytes.maketrans(b"+/", b"-_")


class BadToken(Exception):
    """The token was forged, cut or mixed up, or its key is gone."""


@lru_cache(maxsize=1)
def _keys() -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for entry in settings.LINK_KEYS:
        name, _, secret = entry.partition(":")
        if not name.isalnum() or len(secret) < 16:
            raise ValueError("LINK_KEYS needs entries `id:secret`, the secret of 16 characters at least")
        keys[name] = secret.encode()
    if not keys:
        raise ValueError("LINK_KEYS is empty: give one key at least, as `id:secret`")
    return keys


def signing_keys() -> dict[str, bytes]:
    """The keys by id, the one that signs now first: for what has a form of its own."""
    return _keys()


def signing_key_id() -> str:
    """The id of the key that signs now."""
    return next(iter(_keys()))


@lru_cache(maxsize=64)
def _signer(scope: str, key: bytes) -> Callable[[bytes], bytes]:
    return digester_keyed(key, scope.encode() + b"\0")


def token_sign(scope: str, payload: bytes, *, key_id: str | None = None) -> str:
    """A token for `payload`, good only for `scope`.

    key_id: sign with this key instead of the current one (to make the same link again).
    Raises BadToken when that key is gone.
    """
    key_id = key_id or signing_key_id()
    key = _keys().get(key_id)
    if key is None:
        raise BadToken("the key is gone")
    raw = payload + _signer(scope, key)(payload)[:_TAG]
    # what `urlsafe_b64encode` gives, in half of its time
    return f"{key_id}.{b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b'=').decode()}"


def token_read(scope: str, token: str) -> bytes:
    """The payload of a token. Raises BadToken."""
    key_id, _, body = token.partition(".")
    key = _keys().get(key_id)
    if key is None or len(body) > 400 or not body.isascii():
        raise BadToken("unknown key or too long")
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (Base64Error, ValueError):
        raise BadToken("not a token") from None
    payload, tag = raw[:-_TAG], raw[-_TAG:]
    good = hmac.digest(key, scope.encode() + b"\0" + payload, "sha256")[:_TAG]
    if not hmac.compare_digest(good, tag) or urlsafe_b64encode(raw).rstrip(b"=").decode() != body:
        raise BadToken("the signature is wrong")
    return payload


def address_digest(kind: str, normalized: str) -> bytes:
    """The keyed digest (HMAC-SHA256) by which an address or other identifier is stored, of the newest version.

    Version 1 is 32 bytes; of a later one the version goes before, so that each says which key made it.
    """
    return address_digests(kind, normalized)[0]


def address_digester(kind: str) -> Callable[[str], bytes]:
    """What gives `address_digest` of this kind, for whoever digests by the thousand."""
    version, key = next(iter(settings.LOOKUP_KEYS.items()))
    digest = digester_keyed(key, f"{kind}\0".encode())
    if version == 1:
        return lambda normalized: digest(normalized.encode())
    before = bytes((version,))
    return lambda normalized: before + digest(normalized.encode())


def address_digests(kind: str, normalized: str) -> list[bytes]:
    """The digests of all versions that are live, the newest first: whoever looks something up tries them all."""
    said = f"{kind}\0{normalized}".encode()
    return [
        (bytes((version,)) if version > 1 else b"") + digest_keyed(key, said)
        for version, key in settings.LOOKUP_KEYS.items()
    ]


def digest_version(digest: bytes) -> int:
    """The version of the key that made a digest."""
    return 1 if len(digest) == 32 else digest[0]
