"""Values of attributes by their kind: what fits, how it is stored, and that no reason repeats a value."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.data.profiles.attribute_values import KINDS, reader_of, token_of, undefined_read, value_read
from apps.data.profiles.contracts import AttributeShape, Kind


def shape(kind: Kind, *allowed: str) -> AttributeShape:
    return AttributeShape(1, "thing", kind, allowed=allowed)


@pytest.mark.parametrize(
    ("kind", "given_as", "stored"),
    [
        ("text", "  two  words ", "two words"), ("text", "", None), ("text", "nan", None), ("text", None, None),
        ("number", "12.50", 12.5), ("number", "-7.0", -7), ("number", 10**14, 10**14), ("number", Decimal("0.1"), 0.1),
        ("bool", "Ja", True), ("bool", "0", False), ("bool", False, False), ("bool", "نعم", True),
        ("date", "2026-02-28", "2026-02-28"), ("datetime", "2026-01-31 08:00", "2026-01-31T08:00:00Z"),
        ("datetime", "2026-01-31T08:00+02:00", "2026-01-31T06:00:00Z"),
        ("texts", 'tea, "a, b",tea', ["tea", "a, b"]), ("texts", ["x", " "], ["x"]), ("texts", [], None),
    ],
)  # fmt: skip
def test_what_fits_has_one_shape(kind: Kind, given_as: object, stored: Any) -> None:
    read = value_read(shape(kind), given_as)

    assert read == stored
    assert type(read) is type(stored)
    assert value_read(shape(kind), read) == stored  # and again


@pytest.mark.parametrize(
    ("kind", "given_as", "why"),
    [
        ("text", 5, "must be a text"), ("text", "x" * 1001, "longer than 1000 characters"),
        ("number", "zwölf", "must be a number such as 12.5"), ("number", True, "must be a number such as 12.5"),
        ("number", float("nan"), "must be a number such as 12.5"), ("number", 10**15, "must be a number such as 12.5"),
        ("number", "123456789012345.1234567890", "has more than 15 digits"),
        ("bool", "maybe", "must be yes or no"), ("bool", 1, "must be yes or no"),
        ("date", "31.1.2026", "must be a date such as 2026-01-31"),
        ("date", "2026-02-30", "must be a date such as 2026-01-31"),
        ("datetime", "tomorrow", "must be a date and time such as 2026-01-31 08:00"),
        ("texts", 5, "must be a list of texts, with commas between them"),
        ("texts", ["x" * 201], "may have 100 texts of 200 characters"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_why(kind: Kind, given_as: object, why: str) -> None:
    with pytest.raises(ValueError) as fault:  # noqa: PT011  # the text is looked at
        value_read(shape(kind), given_as)

    assert str(fault.value) == why


def test_a_choice_is_one_of_its_list_to_the_letter() -> None:
    assert value_read(shape("choice", "gold", "tin"), "gold") == "gold"
    with pytest.raises(ValueError, match=r"^must be one of: gold, tin$"):
        value_read(shape("choice", "gold", "tin"), "Gold")
    with pytest.raises(ValueError, match=r"^may have only these: tea, news$"):
        value_read(shape("texts", "tea", "news"), "tea, coffee")


def test_files_say_how_they_write_dates_times_and_numbers() -> None:
    assert reader_of(shape("date"), date_format="%d.%m.%Y")("31.1.2026") == "2026-01-31"
    assert reader_of(shape("datetime"), time_zone="Europe/Vienna")("2026-07-01 08:00") == "2026-07-01T06:00:00Z"
    assert reader_of(shape("number"), decimal=",")("12,5") == 12.5


def test_what_nobody_defined_is_kept_as_it_comes() -> None:
    assert [undefined_read(one) for one in ("5", 5, 5.5, True, ["a"], " ", None)] == [
        "5",
        5,
        5.5,
        True,
        ["a"],
        None,
        None,
    ]
    with pytest.raises(ValueError, match="define it for more"):
        undefined_read({"a": 1})


@given(st.sampled_from(sorted(KINDS)), st.text(min_size=7, max_size=300), st.lists(st.text(max_size=9), max_size=3))
def test_no_reason_repeats_what_was_given(kind: Kind, text: str, allowed: list[str]) -> None:
    try:
        value_read(shape(kind, *allowed), text)
    except ValueError as error:
        told = str(error)
        for words in ("must be", "may have", "longer than", "such as", "texts of", "characters", "commas between them"):
            told = told.replace(words, "")
        assert text not in told or any(text in one for one in allowed)


def test_equal_values_share_a_token_and_others_do_not() -> None:
    assert token_of(5) == token_of(5.0) == token_of(Decimal("5.00")) == "n:5"
    assert token_of(0) == token_of(-0.0) == "n:0"
    assert len({token_of(one) for one in (1, "1", True, "true", 1.5, "1.5", 1000, "n:1")}) == 8
    assert token_of(["a"]) is None
