"""Return paths: one for each message, signed, and always of the same length."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from apps.delivery.channels.addresses import address_for_wire
from apps.delivery.sending.returns import return_path, return_path_read
from apps.foundation.core import signing
from apps.foundation.core.signing import BadToken, signing_key_id

DOMAIN = "returns.shop.example"


@pytest.fixture(autouse=True)
def domain(settings: Settings) -> None:
    settings.BOUNCE_DOMAIN = DOMAIN


def path(message_id: UUID) -> str:
    return return_path(message_id=message_id, key_id=signing_key_id(), otherwise="news@shop.example")


@given(st.uuids())
def test_each_message_has_its_own_and_is_read_from_it(message_id: UUID) -> None:
    address = path(message_id)

    assert return_path_read(address) == message_id
    assert return_path_read(f"<{address.upper()}>") == message_id  # some servers change the case
    assert len(address) == len(f"b-{'x' * 42}@{DOMAIN}")
    assert address_for_wire(address) == address


def test_without_a_domain_bounces_go_to_the_sender(settings: Settings) -> None:
    settings.BOUNCE_DOMAIN = ""

    assert path(uuid4()) == "news@shop.example"


@given(st.uuids(), st.integers(2, 43), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_nobody_makes_one_up(message_id: UUID, at: int, other: str) -> None:
    address = path(message_id)
    forged = address[:at] + other + address[at + 1 :]
    if forged == address:
        return
    try:
        # of the last letter some bits say nothing
        assert return_path_read(forged) == message_id
        assert at == 43
    except BadToken:
        pass


@pytest.mark.parametrize(
    "address",
    ["", "b-@" + DOMAIN, "news@shop.example", "b-" + "a" * 42 + "@" + DOMAIN, "b-" + "1" * 42 + "@" + DOMAIN,
     "b-" + "é" * 42 + "@" + DOMAIN, "b-" + "a" * 4000 + "@" + DOMAIN, "postmaster@" + DOMAIN],
)  # fmt: skip
def test_what_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadToken):
        return_path_read(address)


def test_another_domain_is_not_ours_and_older_keys_hold(settings: Settings) -> None:
    message_id = uuid4()
    address = path(message_id)
    with pytest.raises(BadToken):
        return_path_read(address.replace(DOMAIN, "elsewhere.example"))
    settings.LINK_KEYS = ["k9:another-key-0123456789abcdef", *settings.LINK_KEYS]
    signing._keys.cache_clear()
    try:
        assert path(message_id) != address
        assert return_path_read(address) == message_id
        settings.LINK_KEYS = settings.LINK_KEYS[:1]
        signing._keys.cache_clear()
        with pytest.raises(BadToken):
            return_path_read(address)
        with pytest.raises(BadToken):
            return_path(message_id=message_id, key_id="k1", otherwise="news@shop.example")
    finally:
        signing._keys.cache_clear()
