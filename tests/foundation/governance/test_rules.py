"""Approval paths put together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.foundation.core.errors import Invalid
from apps.foundation.governance.rules import paths_merge, roles_asked, steps_problem
from tests.examples import tries


def test_paths_without_an_order_are_asked_at_once() -> None:
    assert paths_merge([("a", [["brand"]]), ("b", [["legal"]]), ("c", [["brand"]])]) == [["brand", "legal"]]


def test_an_order_of_any_path_holds() -> None:
    assert paths_merge([("a", [["brand"], ["legal"]]), ("b", [["legal"], ["boss"]]), ("c", [["boss", "brand"]])]) == [
        ["brand"],
        ["legal"],
        ["boss"],
    ]


def test_opposite_orders_are_told_with_the_names_of_their_paths() -> None:
    with pytest.raises(Invalid, match="Back, Forth"):
        paths_merge([("Forth", [["brand"], ["legal"]]), ("Back", [["legal"], ["brand"]]), ("Other", [["boss"]])])


def test_no_path_asks_nobody() -> None:
    assert paths_merge([]) == []


_STEPS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True), max_size=3)


@settings(max_examples=tries(150), deadline=None)
@given(st.lists(_STEPS, max_size=4))
def test_a_merged_path_has_each_role_once_and_keeps_every_order(several: list[list[list[str]]]) -> None:
    try:
        merged = paths_merge([(str(number), steps) for number, steps in enumerate(several)])
    except Invalid:
        return
    at = {role: number for number, step in enumerate(merged) for role in step}
    assert sorted(role for step in merged for role in step) == sorted(
        {role for steps in several for step in steps for role in step}
    )
    assert all(merged)
    for steps in several:
        for number, step in enumerate(steps):
            assert all(at[early] < at[late] for early in step for after in steps[number + 1 :] for late in after)


def test_a_step_is_asked_when_those_before_are_whole() -> None:
    steps = [["brand", "owner"], ["legal"]]
    assert roles_asked(steps, []) == ["brand", "owner"]
    assert roles_asked(steps, ["owner"]) == ["brand"]
    assert roles_asked(steps, ["brand", "owner"]) == ["legal"]
    assert roles_asked(steps, ["brand", "owner", "legal"]) == []


@pytest.mark.parametrize("steps", [[], [[]], "brand", [["brand"], []], [["nobody"]], [["brand"], ["brand"]], [[1]]])
def test_steps_that_ask_nobody_or_twice_are_no_path(steps: object) -> None:
    assert steps_problem(steps, ["brand", "legal"])
    assert steps_problem([["brand"], ["legal"]], ["brand", "legal"]) == ""
