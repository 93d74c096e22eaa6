"""All pairs."""

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content.pairs import pairs_cover
from tests.examples import tries


def pairs_missing(sizes: list[int], rows: list[tuple[int, ...]]) -> list[tuple[int, int]]:
    """Pairs of factors of which some two values never meet."""
    return [
        (one, other)
        for one, other in combinations(range(len(sizes)), 2)
        if {(row[one], row[other]) for row in rows} != set(product(range(sizes[one]), range(sizes[other])))
    ]


@given(sizes=st.lists(st.integers(1, 5), max_size=9))
@settings(max_examples=tries(80), deadline=None)
def test_every_pair_is_covered_by_valid_rows_and_always_the_same(sizes: list[int]) -> None:
    rows = pairs_cover(sizes)

    assert pairs_missing(sizes, rows) == []
    assert all(len(row) == len(sizes) and all(0 <= v < s for v, s in zip(row, sizes, strict=True)) for row in rows)
    assert all({row[at] for row in rows} == set(range(size)) for at, size in enumerate(sizes))
    assert pairs_cover(sizes) == rows


@pytest.mark.parametrize(
    ("sizes", "most"),
    [([], 1), ([1], 1), ([3], 3), ([2, 2], 4), ([3] * 13, 21), ([2] * 20, 12), ([2] * 100, 16), ([4, 3, 2, 2, 2], 13)],
)
def test_rows_are_few(sizes: list[int], most: int) -> None:
    rows = pairs_cover(sizes)

    assert len(rows) <= most
    assert pairs_missing(sizes, rows) == []
