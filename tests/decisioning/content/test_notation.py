"""YAML as content files write it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content.notation import MAX_FILE, yaml_read, yaml_write
from apps.decisioning.content.pieces import SourceRefused
from tests.examples import tries

_TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
_TRAPS = st.sampled_from(
    ["no", "NO", "true", "1e5", "1.5e5", "0x1f", "1_000", "12:30", "2026-01-01", "~", "null", "", "- a", "a: b", "#x",
     "a\nb", "a\n\nb\n", " a\nb", "a \nb", "=", "<<", "@a", "&a", "*a", "!t", ".5", "+1", "a\tb", "\n", "x\x85y",
     "x\u2028y", "\ufeffx", "{{ a }}", "{% if %}", "[[ slot:hero ]]"]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
    | _TRAPS
)
_DATA = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS | _TRAPS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=tries(150), deadline=None)
@given(_DATA)
def test_what_is_written_is_read_back_and_written_the_same(data: Any) -> None:
    written = yaml_write(data)

    assert yaml_read(written, "file").data == data
    assert yaml_write(yaml_read(written, "file").data) == written


def test_norway_is_a_country_and_a_date_a_text() -> None:
    assert yaml_read("{country: NO, no: yes, day: 2026-01-01, at: 12:30, count: 3, ok: true}", "f").data == {
        "country": "NO",
        "no": "yes",
        "day": "2026-01-01",
        "at": "12:30",
        "count": 3,
        "ok": True,
    }


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "is there twice: take one out"),
        ("a: &x 1\n", 1, "anchors and aliases aren't allowed: write it out"),
        ("a: 1\nb: !!python/object:os.system {}\n", 2, "tags aren't allowed: leave it out"),
        ("a:\n\t- b\n", 2, "is not YAML: found character"),
        ("a: [1,\nb: 2\n", 3, "is not YAML:"),
        ("[1]: 2\n", 1, "a key must be a word"),
        ("a: " + "[" * 500 + "]" * 500, 0, "is nested too deep"),
        ("x" * (MAX_FILE + 1), 0, "is over 256 kB: split it"),
        ("a: \x00", 0, "is not YAML:"),
    ],
)
def test_what_can_be_misread_is_refused_with_its_line(text: str, line: int, mend: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        yaml_read(text, "file")

    assert refused.value.problem.line == line
    assert refused.value.problem.mend.startswith(mend)
