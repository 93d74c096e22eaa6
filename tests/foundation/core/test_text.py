"""What counts as blank."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.foundation.core.text import is_blank, lines_blank


@pytest.mark.parametrize(
    "value",
    [
        None, math.nan,
        "", " ", "\t\n", "\u00a0", "\u200b", "\u2060\ufeff", "\u00ad", "\u3164", "\u2800", "\u202e", "\x00",
        "None", "none", " NaN ", "nan", "NULL", "undefined", "N\u200bone", [], {}, (),
    ],
)  # fmt: skip
def test_blank(value: object) -> None:
    assert is_blank(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "-", "Ann", "Nonette", "نور", "😀", [None]])
def test_not_blank(value: object) -> None:
    assert not is_blank(value)


@given(
    st.lists(st.sampled_from(["None", "nan", "", " ", "\u200b", "no", "ne", "-", "\n", "\r", "\u2028", "\x85"])).map(
        "".join
    )
)
def test_lines_are_blank_where_each_of_them_is(text: str) -> None:
    assert lines_blank(text) is all(is_blank(line) for line in text.splitlines())
