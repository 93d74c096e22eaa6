"""Seals, links and heads; pure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.data.consent.ledger import (
    FIRST,
    SEALED,
    Head,
    head_key,
    head_line,
    head_read,
    link_of,
    moments_said,
    seal_first,
    seal_holds,
    seal_of,
    seals_of,
)

KEY, OTHER = b"key of the ledger", b"another key"
AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
RECORD: dict[str, Any] = {
    **dict.fromkeys(SEALED, ""),
    "profile_id": 7,
    "purpose_id": "marketing",
    "gpc": None,
    "confirmation": None,
    "origin_digest": b"",
    "actor_id": None,
    "occurred_at": AT,
    "recorded_at": AT,
}
CHANGES: dict[str, Any] = {
    "profile_id": 8,
    "gpc": False,
    "confirmation": {"asked_at": "2026-11-22"},
    "origin_digest": b"\1",
    "actor_id": 1,
    "occurred_at": AT.replace(microsecond=123457),
    "recorded_at": AT.replace(year=2025),
}


@pytest.mark.parametrize("name", SEALED)
def test_a_seal_covers_each_field(name: str) -> None:
    changed = {**RECORD, name: CHANGES.get(name, "x")}

    assert seal_of(KEY, changed) != seal_of(KEY, RECORD)


def test_a_seal_needs_the_key() -> None:
    assert seal_of(OTHER, RECORD) != seal_of(KEY, RECORD)


def test_a_value_does_not_move_from_field_to_field() -> None:
    one, other = {**RECORD, "source": "ab", "evidence": "c"}, {**RECORD, "source": "a", "evidence": "bc"}

    assert seal_of(KEY, one) != seal_of(KEY, other)


def test_a_seal_is_the_same_after_the_database() -> None:
    """Bytes come back as memoryview, moments in another time zone."""
    from_database = {**RECORD, "origin_digest": memoryview(b""), "occurred_at": AT.astimezone()}

    assert seal_of(KEY, from_database) == seal_of(KEY, RECORD)


def test_seals_of_many_are_the_seals_of_each() -> None:
    people = [(7, AT), (8, AT.replace(microsecond=0)), (9, AT.astimezone())]

    said = moments_said(moment for _, moment in people)
    assert seals_of(KEY, RECORD, zip((who for who, _ in people), said, strict=True)) == [
        seal_of(KEY, {**RECORD, "profile_id": profile_id, "occurred_at": at}) for profile_id, at in people
    ]


def test_a_link_covers_place_seal_and_what_was_before() -> None:
    links = {
        link_of(key, before=before, place=place, seal=seal)
        for key in (KEY, OTHER)
        for before in (FIRST, b"\1" * 32)
        for place in (1, 2)
        for seal in (b"\2" * 32, b"\3" * 32)
    }

    assert len(links) == 16


def test_a_head_is_read_as_it_was_signed() -> None:
    head = Head(12, b"\5" * 32, AT)

    assert head_read(head_key(KEY), head_line(KEY, head)) == head


@pytest.mark.parametrize(
    "line",
    [
        head_line(OTHER, Head(12, b"\5" * 32, AT)),
        head_line(KEY, Head(12, b"\5" * 32, AT)).replace('"place":12', '"place":13'),
        head_line(KEY, Head(12, b"\5" * 32, AT)).replace("2026-11-22", "2026-11-23"),
        '{"place":12}',
        "[]",
        "no json",
        "",
    ],
)
def test_a_head_that_is_not_ours_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a head"):
        head_read(head_key(KEY), line)


def test_a_seal_of_the_first_version_holds_while_nothing_is_said_that_it_did_not_cover() -> None:
    old = {**RECORD, "wording_version_id": None}
    seal = seal_first(KEY, old)

    assert seal != seal_of(KEY, old)
    assert seal_holds(KEY, old, seal)
    assert seal_holds(KEY, old, seal_of(KEY, old))
    assert not seal_holds(KEY, {**old, "wording_version_id": 7}, seal)
    assert not seal_holds(KEY, {**old, "source": "elsewhere"}, seal)
