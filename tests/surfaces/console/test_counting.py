"""What dry runs count: sums in any order, medians, margins, and samples that show all there is."""

from itertools import product

from apps.decisioning.decisions.engine import Verdict
from apps.surfaces.console.counting import (
    SAMPLES,
    Kind,
    Tally,
    estimate_of,
    kind_of,
    kinds_merge,
    kinds_to_json,
    margin_of,
    median_of,
    samples_choose,
)


def _send(language: str = "en", **tiers: int) -> Kind:
    return Kind("", "send", language, tuple(sorted(tiers.items())))


def _tally(*kinds: Kind, sizes: tuple[int, ...] = (), seconds: float = 0.0) -> Tally:
    tally = Tally(people=len(kinds), seconds=seconds)
    for kind in kinds:
        tally.kind_add(kind)
    for size in sizes:
        tally.size_add(message=size, html=size, clipped_over=1000)
    return tally


def test_a_kind_is_read_off_a_verdict() -> None:
    slots = {"hero": {"block": "1", "tier": "segment"}, "foot": {"block": "2", "tier": "static"}}
    sent = Verdict("send", 7, "segment", {"language": "de", "slots": slots}, {"slots": {"hero": {"at": 2, "no": []}}})

    assert kind_of("", sent) == Kind("", "send", "de", (("foot", 0), ("hero", 2)))
    assert kind_of("first", sent, failed="render_failed") == Kind("first", "render_failed")
    assert kind_of("", Verdict("withdrawn", None, "", {}, {})) == Kind("", "withdrawn")


def test_counts_of_parts_add_up_in_any_order_and_survive_json() -> None:
    one = _tally(_send(hero=0), _send(hero=1), Kind("", "no_consent"), sizes=(250, 1200), seconds=0.5)
    other = _tally(_send("de", hero=1), Kind("", "no_consent"), sizes=(990,), seconds=0.25)
    stored = [Tally.from_json(part.to_json()) for part in (other, one)]

    whole = Tally.total(stored)

    assert whole == Tally.total([one, other])
    assert (whole.people, whole.messages, whole.clipped, whole.largest, whole.largest_html) == (5, 3, 1, 1200, 1200)
    assert whole.outcomes("") == {"send": 3, "no_consent": 2}
    assert whole.languages("") == {"en": 2, "de": 1}
    assert whole.tiers("", "hero") == {"0": 1, "1": 2}
    assert whole.outcomes("another step") == {}
    assert whole.seconds == 0.75
    assert Tally.from_json({}) == Tally()


def test_the_median_is_the_one_in_the_middle() -> None:
    assert median_of({}) == 0
    assert median_of({300: 1}) == 300
    assert median_of({100: 2, 300: 1}) == 100
    assert median_of({100: 1, 200: 1, 900: 5}) == 900
    assert _tally(sizes=(120, 199, 560)).median == 100


def test_a_sample_has_a_margin_and_everybody_has_none() -> None:
    assert margin_of(counted=10, people=10) == 0.0
    assert margin_of(counted=0, people=0) == 0.0
    assert round(margin_of(counted=20_000, people=1_000_000), 2) == 0.69
    assert round(margin_of(counted=1_000, people=10**9), 1) == 3.1


def test_samples_show_each_outcome_tier_and_language_before_any_twice() -> None:
    usual, rare, german = _send(hero=1, foot=0), _send(hero=0, foot=0), _send("de", hero=1, foot=0)
    left, never = Kind("", "withdrawn"), Kind("", "no_consent")
    kinds = {usual: list(range(100, 200)), rare: [7], german: [8, 9], left: [10, 11], never: list(range(300, 400))}
    counts = {usual: 90_000, rare: 1, german: 2, left: 40, never: 9_000}

    chosen = samples_choose(kinds, counts)

    assert len(chosen) == SAMPLES
    assert len({profile_id for _, profile_id in chosen}) == SAMPLES
    assert {kind for kind, _ in chosen} == set(kinds)
    assert [kind.outcome for kind, _ in chosen] == sorted((kind.outcome for kind, _ in chosen), key="send".__ne__)
    assert chosen == samples_choose(kinds, counts)


def test_of_more_kinds_than_samples_each_tier_and_outcome_is_seen_still() -> None:
    kinds: dict[Kind, list[int]] = {}
    for number, (hero, foot, language) in enumerate(product(range(9), range(4), ("de", "en", "fr"))):
        kinds[_send(language, hero=hero, foot=foot)] = [number]
    kinds[Kind("", "suppressed")] = [9999]
    counts = dict.fromkeys(kinds, 5)

    chosen = [kind for kind, _ in samples_choose(kinds, counts)]

    seen = set().union(*(kind.marks() for kind in chosen))
    assert seen == set().union(*(kind.marks() for kind in kinds))
    assert len(chosen) == SAMPLES


def test_fewer_people_than_samples_are_all_shown_once() -> None:
    assert samples_choose({}, {}) == []
    assert samples_choose({_send(hero=0): [3, 3, 4]}, {_send(hero=0): 3}) == [(_send(hero=0), 3), (_send(hero=0), 4)]


def test_ids_of_kinds_are_kept_in_the_order_of_the_lot_and_no_more_than_needed() -> None:
    first, second = {_send(hero=0): list(range(15))}, {_send(hero=0): list(range(50, 90)), Kind("", "withdrawn"): [1]}

    merged = kinds_merge([kinds_to_json(first), kinds_to_json(second), {}])

    assert merged == {_send(hero=0): [*range(15), *range(50, 55)], Kind("", "withdrawn"): [1]}


def test_an_estimate_rests_on_what_was_measured() -> None:
    tally = _tally(_send(hero=0), _send(hero=0), Kind("", "no_consent"), Kind("", "no_consent"), seconds=0.01)

    without = estimate_of(tally, people=400, per_second=None)
    slow = estimate_of(tally, people=400, per_second=10.0)

    assert without is not None
    assert slow is not None
    assert (without.deciding, without.sending, without.seconds) == (1.0, None, 1.0)
    assert (slow.sending, slow.seconds) == (20.0, 20.0)
    assert estimate_of(Tally(), people=0, per_second=None) is None
