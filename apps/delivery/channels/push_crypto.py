"""Web Push on the wire: what a browser alone can read (RFC 8291, RFC 8188), signed by us (VAPID, RFC 8292). Pure."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD: Final = 4096
"""Bytes of the one record; push services take no larger body (RFC 8030, 7.2)."""
MOST: Final = RECORD - 16 - 4 - 1 - 65 - 16 - 1
"""Bytes of a message: without salt, size, length, key, tag and the delimiter."""
_CURVE: Final = ec.SECP256R1()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser that takes messages. p256dh: its public key, 65 bytes; auth: its secret, 16 bytes."""

    endpoint: str
    p256dh: bytes
    auth: bytes


def b64(raw: bytes) -> str:
    """Base64url without padding (RFC 7515, 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of base64url. Raises ValueError."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (Base64Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None


def key_read(text: str) -> ec.EllipticCurvePrivateKey:
    """A private key: base64url of its 32 bytes. Raises ValueError, without the key in it."""
    raw = unb64(text)
    if len(raw) != 32:
        raise ValueError("a key for push has 32 bytes, as base64url")
    try:
        return ec.derive_private_key(int.from_bytes(raw), _CURVE)
    except ValueError:
        raise ValueError("this is no key for push") from None


def key_new() -> str:
    """A new private key, as `key_read` takes it."""
    return b64(ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32))


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as browsers want it: an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encrypt(plain: bytes, to: Subscription, *, own: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """The body of a push message, in one record. own: a key for this message alone; salt: 16 random bytes.

    Raises ValueError for keys of a subscription that are none, and for what is longer than MOST.
    """
    if len(plain) > MOST:
        raise ValueError("too long for one record")
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, to.p256dh)
        shared = own.exchange(ec.ECDH(), theirs)
    except (ValueError, InvalidKey):
        raise ValueError("the subscription's key is none") from None
    ours = public_bytes(own)
    secret = _derive(shared, to.auth, b"WebPush: info\0" + to.p256dh + ours, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(key).encrypt(nonce, plain + b"\x02", None)
    return salt + RECORD.to_bytes(4) + bytes([len(ours)]) + ours + sealed


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def vapid_header(key: ec.EllipticCurvePrivateKey, *, audience: str, contact: str, expires: int) -> str:
    """Who sends: the Authorization of a push message. audience: the push service's origin; contact: `mailto:` or
    `https:`; expires: seconds since 1970, at most a day ahead.
    """
    parts = ({"typ": "JWT", "alg": "ES256"}, {"aud": audience, "exp": expires, "sub": contact})
    signed = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"vapid t={signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}, k={b64(public_bytes(key))}"
