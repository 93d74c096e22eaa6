"""Sealing: the published vector, and what does not open."""

import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.foundation.core.crypto import Tampered, binding, digest_keyed, key_make, seal, unseal


def test_it_is_aes_256_gcm_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test case 16 of McGrew and Viega, «The Galois/Counter Mode of Operation», appendix B."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    bound = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    monkeypatch.setattr(os, "urandom", lambda size: nonce)

    sealed = seal(AESGCM(key), plain, bound)

    assert sealed == nonce + bytes.fromhex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )
    assert unseal(AESGCM(key), sealed, bound) == plain


def test_the_same_is_never_sealed_alike() -> None:
    cipher = AESGCM(key_make())
    assert len({seal(cipher, b"anna", b"") for _ in range(100)}) == 100


def test_a_changed_cut_or_moved_value_does_not_open() -> None:
    cipher = AESGCM(key_make())
    sealed = seal(cipher, b"anna@example.com", b"here")

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Tampered):
            unseal(cipher, bytes(changed), b"here")
    for size in (0, 11, 27, len(sealed) - 1):
        with pytest.raises(Tampered):
            unseal(cipher, sealed[:size], b"here")
    with pytest.raises(Tampered):
        unseal(cipher, sealed, b"there")
    with pytest.raises(Tampered):
        unseal(AESGCM(key_make()), sealed, b"here")


def test_no_two_places_are_bound_alike() -> None:
    assert binding("a", "b", 1, 2, "c") != binding("a", "b", 12, "", "c")
    assert binding("a", "b", 1, 2, "3\0c") != binding("a", "b", 1, 2, "3", "d")


@pytest.mark.parametrize("size", [1, 32, 63, 64, 65, 200])
def test_keyed_digests_are_hmac_sha256_for_keys_of_any_length(size: int) -> None:
    key = os.urandom(size)
    for said in (b"", b"email\0ada@example.com", os.urandom(500)):
        assert digest_keyed(key, said) == hmac.digest(key, said, "sha256")
