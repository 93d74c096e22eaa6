"""What others wrote is kept without addresses."""

import pytest

from apps.foundation.core.masking import addresses_mask


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("5.1.1 <anna@shop.example>: no such user", "5.1.1 <•••>: no such user"),
        ("to=<anna+x@shop.example>, said: gone", "to=<•••>, said: gone"),
        ("ANNA@Shop.Example is unknown; anna is gone", "••• is unknown; ••• is gone"),
        ("the user 'anna' is over quota (annabel is not)", "the user '•••' is over quota (annabel is not)"),
        ("ännä@bücher.example", "•••"),
        ("2.0.0 Ok: queued as 4F2A", "2.0.0 Ok: queued as 4F2A"),
        ("", ""),
    ],
)
def test_addresses_are_masked(said: str, kept: str) -> None:
    assert addresses_mask(said, "anna@shop.example") == kept


def test_a_short_name_is_no_word_to_look_for() -> None:
    assert addresses_mask("try again in a minute, a@b.example", "a@b.example") == "try again in a minute, •••"
