"""DKIM signatures (RFC 6376, RFC 8463) over a message's finished bytes.

Relaxed canonicalization of header and body. `h=` names every header that we write, both List-Unsubscribe headers among
them (RFC 8058, 4), and From once more than it is there, so that none can be added. Written here because the message is
ours and its form known: one SHA-256 of the body for all keys, and no parser.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

SIGNED: Final = (
    "from", "to", "subject", "date", "message-id", "reply-to", "list-id", "list-unsubscribe", "list-unsubscribe-post",
    "mime-version", "content-type", "content-transfer-encoding",
)  # fmt: skip
RSA_BITS_MIN: Final = 1024
"""RFC 8301, 3.2: shorter keys are worth nothing; 2,048 are what one should have."""
_SPACE = re.compile(rb"[ \t]+")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_LINE: Final = 70


@dataclass(frozen=True, slots=True)
class DkimKey:
    """One key of a domain. algorithm: `rsa-sha256` or `ed25519-sha256`."""

    domain: str
    selector: str
    algorithm: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def record(self) -> str:
        """What stands in DNS at `selector._domainkey.domain`."""
        kind = self.algorithm.partition("-")[0]
        if isinstance(self.private, Ed25519PrivateKey):
            raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            raw = self.private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        return f"v=DKIM1; k={kind}; p={b64encode(raw).decode()}"


def key_read(domain: str, selector: str, path: str) -> DkimKey:
    """A private key from a PEM file. Raises ValueError that says what is wrong, never with the key in it."""
    if not _NAME.fullmatch(domain) or not _NAME.fullmatch(selector):
        raise ValueError(f"DKIM_KEYS: {selector!r} of {domain!r} is no name that DNS has")
    try:
        private = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"DKIM_KEYS: {path} can't be read ({type(error).__name__})") from None
    except (ValueError, TypeError):
        raise ValueError(f"DKIM_KEYS: {path} holds no private key in PEM without a password") from None
    if isinstance(private, Ed25519PrivateKey):
        return DkimKey(domain, selector, "ed25519-sha256", private)
    if isinstance(private, RSAPrivateKey) and private.key_size >= RSA_BITS_MIN:
        return DkimKey(domain, selector, "rsa-sha256", private)
    raise ValueError(f"DKIM_KEYS: {path} is neither RSA of {RSA_BITS_MIN} bits at least nor Ed25519")


class Signer:
    """Signs with the keys of a message's domain. given: domain → selector → path of a PEM file."""

    def __init__(self, given: Mapping[str, Mapping[str, str]]) -> None:
        """Raises ValueError."""
        self.keys: dict[str, list[DkimKey]] = {
            domain.lower(): [key_read(domain.lower(), selector, path) for selector, path in of_domain.items()]
            for domain, of_domain in given.items()
        }

    def sign(self, content: bytes, *, from_email: str, at: int) -> bytes:
        """`content` with a signature by each key of the sender's domain, or of the nearest one above it that has keys.

        at: seconds since 1970. Without a key the content is as it was.
        """
        keys = self._keys_of(from_email.rpartition("@")[2].lower())
        if not keys:
            return content
        head, _, body = content.partition(b"\r\n\r\n")
        fields = _fields(head + b"\r\n")
        signed = [name for name in SIGNED if name in fields]
        covered = b"".join(fields[name] for name in signed)
        names = ":".join(("from", *signed))
        digest = b64encode(sha256(_body_relaxed(body)).digest()).decode()
        headers = [_signature(key, names, covered, digest, at) for key in keys]
        return b"".join(headers) + content

    def _keys_of(self, domain: str) -> Sequence[DkimKey]:
        while domain:
            if domain in self.keys:
                return self.keys[domain]
            domain = domain.partition(".")[2]
        return ()


def _signature(key: DkimKey, names: str, covered: bytes, digest: str, at: int) -> bytes:
    """One DKIM-Signature header (RFC 6376, 3.5), with its CRLF."""
    value = (
        f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n s={key.selector}; t={at};\r\n"
        f" h={_folded(names)};\r\n bh={digest};\r\n b="
    )
    said = covered + b"dkim-signature:" + _value_relaxed(value.encode())
    if isinstance(key.private, Ed25519PrivateKey):
        made = key.private.sign(sha256(said).digest())  # RFC 8463, 3: of the digest
    else:
        made = key.private.sign(said, PKCS1v15(), SHA256())
    text = b64encode(made).decode()
    lines = "\r\n ".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))
    return f"DKIM-Signature: {value}{lines}\r\n".encode()


@lru_cache(maxsize=32)
def _folded(names: str) -> str:
    """A list of names in lines."""
    lines = [""]
    for name in names.split(":"):
        if len(lines[-1]) + len(name) > _LINE:
            lines.append("")
        lines[-1] += name + ":"
    return "\r\n  ".join(lines)[:-1]


def _fields(head: bytes) -> dict[str, bytes]:
    """The headers in relaxed form (RFC 6376, 3.4.2), each with its CRLF, by name; each of ours is there once."""
    found: dict[str, bytes] = {}
    for field in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").split(b"\r\n")[:-1]:
        name, _, value = field.partition(b":")
        low = name.strip().lower()
        found[low.decode("ascii", "replace")] = low + b":" + _value_relaxed(value) + b"\r\n"
    return found


def _value_relaxed(value: bytes) -> bytes:
    return _SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")


def _body_relaxed(body: bytes) -> bytes:
    """A body in relaxed form (RFC 6376, 3.4.4)."""
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n")
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    if body == b"\r\n":
        return b""
    return body if not body or body.endswith(b"\r\n") else body + b"\r\n"
