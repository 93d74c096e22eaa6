"""Signed tokens: what is signed comes back, anything else is refused."""

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from apps.foundation.core import signing
from apps.foundation.core.signing import BadToken, address_digest, token_read, token_sign


@given(st.binary(max_size=100))
def test_what_was_signed_comes_back(payload: bytes) -> None:
    assert token_read("u", token_sign("u", payload)) == payload


@given(st.binary(max_size=40))
def test_a_token_is_worth_nothing_in_another_scope(payload: bytes) -> None:
    with pytest.raises(BadToken):
        token_read("p", token_sign("u", payload))


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_changed_character_is_refused(payload: bytes, data: st.DataObject) -> None:
    token = token_sign("u", payload)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda c: c != token[place]))

    with pytest.raises(BadToken):
        token_read("u", token[:place] + other + token[place + 1 :])


@given(st.text(max_size=500))
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        token_read("u", text)


@pytest.mark.parametrize("cut", [0, 1, 5, 20])
def test_cut_token_is_refused(cut: int) -> None:
    with pytest.raises(BadToken):
        token_read("u", token_sign("u", b"0123456789abcdef")[:cut])


def test_links_survive_a_new_key() -> None:
    before = token_sign("u", b"somebody")

    with override_settings(LINK_KEYS=["k2:another-secret-0123456789", *settings.LINK_KEYS]):
        signing._keys.cache_clear()
        after = token_sign("u", b"somebody")
        read = [token_read("u", before), token_read("u", after)]
    signing._keys.cache_clear()

    assert after.startswith("k2.")
    assert read == [b"somebody", b"somebody"]
    with pytest.raises(BadToken):
        token_read("u", after)


def test_digest_depends_on_kind() -> None:
    assert address_digest("email", "a@example.com") != address_digest("phone", "a@example.com")
    assert len(address_digest("email", "a@example.com")) == 32
