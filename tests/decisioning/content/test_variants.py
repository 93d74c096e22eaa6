"""Frames and what is late: together what the source gives by itself, byte for byte, whoever came before."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content import rendering
from apps.decisioning.content.contracts import CompiledSources, Rendered, SharedSlots
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.rendering import _program, _slots_key, _whole, render
from apps.decisioning.content.traces import NAME

LINKS = {"unsubscribe": "https://links.example/u/k1.a-b?x=1&y=2", "preferences": "https://links.example/p/k1.c"}
TRACE = "https://links.example/l/k1.d"
ITEM = {"sku": "S1", "title": "Cup & co", "price": "£1", "url": "https://shop.example/1", "image_url": ""}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    rendering._frames.clear()
    yield
    rendering._frames.clear()


def compiled_of(html: str, *, subject: str = "Hi", text: str = "Hello") -> CompiledSources:
    return CompiledSources.of(
        language="en", subject=subject, html=html, text=text, tokens=["first_name", "country", "points"],
        link_hosts=["shop.example"], shop_url="https://shop.example/",
    )  # fmt: skip


def context_of(*, trace: str = "", items: list[Any] | None = None, **profile: Any) -> dict[str, Any]:
    slots = {"main": {"block": "7", "items": [ITEM] if items is None else items}}
    return {"profile": profile, "slots": slots, "links": dict(LINKS), "trace": trace}


def whole(compiled: CompiledSources, context: dict[str, Any]) -> Rendered:
    """As if it could not be parted."""
    links = rendering._links(compiled, context)
    if context["trace"]:
        links[NAME] = context["trace"]
    return _whole(compiled, context, rendering._profile(compiled, context), links)


def both(compiled: CompiledSources, context: dict[str, Any]) -> tuple[object, object]:
    """What rendering gives, and what the source gives by itself; which of several faults is met first may differ."""
    out: list[object] = []
    for make in (render, whole):
        try:
            rendered = make(compiled, context)
            out.append((rendered.subject, rendered.html, rendered.text))
        except (RenderError, TypeError):
            out.append("refused")
    return out[0], out[1]


OUTPUTS = (
    '{{ profile.first_name | fallback("you") }}',
    '{{ profile.first_name | fallback("you") | upper }}',
    "{{ profile.points | number(0) }}",
    "{{ links.unsubscribe }}",
    "{{ links.preferences | truncate(20) }}",
    '{% if profile.country == "AT" %}Servus {{ profile.first_name | fallback("du") }}{% else %}Hi{% endif %}',
    '{% for item in slots.main.items %}<a href="{{ item.url }}">{{ item.title }}</a>'
    '{{ profile.country | fallback("-") }}{% else %}none{% endfor %}',
    '{% if profile.country == "AT" %}{{ profile.country }}{% elif profile.points %}{{ profile.points + 1 }}{% endif %}',
    "{% for item in slots.main.items %}{{ item.url | upper }}{% endfor %}",
    "{% for item in slots.main.items %}{{ item.title ~ item.url }}{% endfor %}",
    '{% set name = profile.first_name | fallback("x") %}{{ name }}',
    "{% set line %}{{ profile.first_name | fallback('x') }}{% endset %}{{ line | upper }}",
    "{% macro hi(word) %}{{ word }} {{ links.unsubscribe }}{% endmacro %}{{ hi(profile.country | fallback('a')) }}",
    '<a href="https://shop.example/?a=1&amp;b=2">shop</a>',
    "{{ profile.first_name if profile.points else 'nobody' }}",
    "{{ profile.points + 1 }} {{ profile.points + 1.0 }} {{ profile.points + 1 }} {{ links.preferences }}",
    "Größe ",
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0]), st.text(max_size=6),
                   st.sampled_from(["AT", "DE", "<b>", "Zoë", "a\0b"]))  # fmt: skip
PEOPLE = st.fixed_dictionaries(
    {"first_name": VALUES, "country": VALUES, "points": VALUES, "trace": st.sampled_from(["", TRACE]),
     "items": st.lists(st.sampled_from([ITEM, {**ITEM, "price": 1}, {**ITEM, "price": True}, {"title": ""}, "x"]),
                       max_size=2)}
)  # fmt: skip


@settings(deadline=None)
@given(
    html=st.lists(st.sampled_from(OUTPUTS), min_size=1, max_size=5),
    text=st.lists(st.sampled_from(OUTPUTS), min_size=1, max_size=3),
    people=st.lists(PEOPLE, min_size=1, max_size=5),
)
def test_frames_and_what_is_late_are_the_whole_for_anybody_after_anybody(
    html: list[str], text: list[str], people: list[dict[str, Any]]
) -> None:
    compiled = compiled_of(" ".join(html), subject=f"To {OUTPUTS[0]}", text="\n".join(text))
    for person in [*people, *people]:
        ours, by_itself = both(compiled, context_of(**person))
        assert ours == by_itself


def test_people_of_one_kind_share_a_frame_and_others_do_not() -> None:
    compiled = compiled_of(OUTPUTS[0] + OUTPUTS[5] + OUTPUTS[6])

    for name in ("Ada", "Zoë", None, "<script>"):
        render(compiled, context_of(first_name=name, country="AT", trace=TRACE))
    assert len(rendering._frames) == 1
    render(compiled, context_of(first_name="Ada", country="DE", trace=TRACE))
    render(compiled, context_of(first_name="Ada", country="AT"))
    render(compiled, context_of(first_name="Ada", country="AT", items=[]))
    assert len(rendering._frames) == 4


def test_nothing_of_one_person_is_in_what_is_kept() -> None:
    compiled = compiled_of("".join(OUTPUTS[:5]), subject=OUTPUTS[0], text=OUTPUTS[0] + OUTPUTS[3])
    render(compiled, context_of(first_name="Kanarienvogel", points=4711, trace=TRACE))

    kept = repr(rendering._frames)
    for own in ("anarienvogel", "ANARIENVOGEL", "4711", "links.example"):
        assert own not in kept


def test_the_oldest_goes_when_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "FRAMES_KEPT", 2)
    compiled = compiled_of(OUTPUTS[5])
    for country in ("AT", "DE", "FR"):
        render(compiled, context_of(country=country))
    assert [key[2] for key in rendering._frames] == ["DE", "FR"]


@pytest.mark.parametrize(
    ("html", "parted"),
    [
        (OUTPUTS[0] + OUTPUTS[3] + OUTPUTS[4] + OUTPUTS[5] + OUTPUTS[6], True),
        (OUTPUTS[7], True),
        (OUTPUTS[8], False),
        (OUTPUTS[9], False),
        (OUTPUTS[12], False),
        ("{% if links.preferences %}x{% endif %}", False),
    ],
)
def test_what_changes_an_address_is_not_parted(html: str, parted: bool) -> None:
    assert (_program(compiled_of(html), traced=True).tokens is not None) is parted


def test_slots_that_many_share_are_known_by_the_same_as_others_and_once() -> None:
    context = context_of()
    shared = {**context, "slots": SharedSlots(context["slots"])}
    key = _slots_key(shared)
    assert key == _slots_key(context)
    assert _slots_key(shared) is key

    compiled = compiled_of(OUTPUTS[6])
    assert render(compiled, shared) == render(compiled, context)
    assert len(rendering._frames) == 1


def test_what_is_written_twice_is_printed_once_and_one_is_not_one_point_nought() -> None:
    program = _program(compiled_of(f"{OUTPUTS[0]}{OUTPUTS[15]}{OUTPUTS[0]}"), traced=False)
    assert len(program.html.late) == 6
    assert len(program.html.values) == 3


def test_one_and_true_and_one_point_nought_are_three_kinds() -> None:
    keys = [_slots_key(context_of(items=[{**ITEM, "price": price}])) for price in (1, True, 1.0, "1")]
    assert len(set(keys)) == 4
