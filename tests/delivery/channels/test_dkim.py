"""Signatures, judged by dkimpy."""

from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from apps.delivery.channels.dkim import Signer

HEAD = (
    b"From: The Shop <news@shop.example>\r\nTo: customer@example.com\r\n"
    b"Subject: =?utf-8?b?abc?=\r\n =?utf-8?b?def?=\r\n"
    b"List-Unsubscribe: <https://shop.example/u/x>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="x"\r\n\r\n'
)
AT = 1_790_000_000


def put(path: Path, key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    """A key in a file."""
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(path)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A domain with a key of either kind."""
    folder = tmp_path_factory.mktemp("keys")
    rsa = put(folder / "rsa.pem", generate_private_key(public_exponent=65537, key_size=2048))
    return Signer({"shop.example": {"r1": rsa, "e1": put(folder / "ed.pem", Ed25519PrivateKey.generate())}})


def dns(signer: Signer) -> Callable[..., bytes]:
    """What stands in DNS."""
    records = {
        f"{key.selector}._domainkey.{key.domain}.": key.record.encode() for keys in signer.keys.values() for key in keys
    }
    return lambda name, timeout=5: records[name.decode() if isinstance(name, bytes) else name]


def good(signer: Signer, content: bytes) -> list[bool]:
    """Whether each signature holds."""
    return [_holds(content, at, dns(signer)) for at in range(content.count(b"DKIM-Signature:"))]


def _holds(content: bytes, at: int, records: Callable[..., bytes]) -> bool:
    try:
        return bool(dkim.DKIM(content).verify(idx=at, dnsfunc=records))
    except dkim.ValidationError:
        return False


@given(body=st.text(alphabet=" \tab=.\n", max_size=60))
def test_both_signatures_hold_whatever_the_body(signer: Signer, body: str) -> None:
    content = HEAD + body.replace("\n", "\r\n").encode() + b"\r\n"
    assert good(signer, signer.sign(content, from_email="news@mail.shop.example", at=AT)) == [True, True]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"List-Unsubscribe: <", b"List-Unsubscribe: <https://evil.example>, <"),
        (b"Post: List", b"Post: Other"),
        (b"Subject: ", b"Subject: Re: "),
        (b"From: The", b"From: <boss@shop.example>\r\nFrom: The"),
        (b"Hello", b"Goodbye"),
    ],
)
def test_no_change_goes_unseen(signer: Signer, before: bytes, after: bytes) -> None:
    signed = signer.sign(HEAD + b"Hello\r\n", from_email="news@shop.example", at=AT)
    assert good(signer, signed) == [True, True]
    assert good(signer, signed.replace(before, after)) == [False, False]


def test_a_domain_without_keys_is_not_signed(signer: Signer) -> None:
    assert signer.sign(HEAD, from_email="news@notshop.example", at=AT) == HEAD


def test_a_key_that_is_none_says_so_and_not_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "wrong.pem").write_text("a secret")
    for path in (tmp_path / "wrong.pem", tmp_path / "missing.pem"):
        with pytest.raises(ValueError, match="DKIM_KEYS") as caught:
            Signer({"shop.example": {"s1": str(path)}})
        assert "secret" not in str(caught.value)
