"""Trial renders: what is tried, and what they find."""

from itertools import combinations, product

import pytest

from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.trials import (
    HOSTILE,
    MAX_ALL,
    MAX_TOKENS,
    MAX_TRIALS,
    Trials,
    message_try,
    trials_run,
)

ADDRESS = "1 Example Street"
LEAVE = '<a href="{{ links.unsubscribe }}">leave</a>'
TAIL = "\n{{ links.unsubscribe }}\n1 Example Street\n"


def compiled(
    html: str = "<p>Hi</p>",
    *,
    text: str = "Hi",
    subject: str = "Hi",
    tokens: tuple[str, ...] = (),
    language: str = "en",
    shop: str = "https://shop.example/",
) -> CompiledSources:
    return CompiledSources.of(
        language=language,
        subject=subject,
        html=f"<html><body>{html}{LEAVE} 1 Example Street</body></html>",
        text=text + TAIL,
        tokens=tokens,
        link_hosts=["shop.example"],
        shop_url=shop,
    )


def slot(name: str, blocks: list[str]) -> str:
    """A slot of the HTML, as compiling makes it."""
    branches = "".join(
        f'{{% {"elif" if number else "if"} slots.{name}.block == "{block}" %}}<p>{block}</p>'
        for number, block in enumerate(blocks[:-1])
    )
    return f"{branches}{{% else %}}<p>{blocks[-1]}</p>{{% endif %}}"


def token(name: str) -> str:
    return f'{{{{ profile.{name} | fallback("friend") }}}}'


def test_all_combinations_are_tried_while_there_are_few() -> None:
    slots = {"hero": ["1", "2", "3"], "products": ["4", "5"]}
    html = slot("hero", slots["hero"]) + token("name")
    sources = [compiled(html, tokens=("name",), language=language) for language in ("en", "de")]
    trials = Trials(sources, slots)

    cases = list(trials.cases())

    assert len(trials.rows()) == 2 * 3 * 2 * 2
    seen = {(case.language, *case.blocks.values(), case.profile["name"]) for case in cases if not case.hostile}
    assert seen == set(product(("en", "de"), slots["hero"], slots["products"], (None, "Alexandra")))


def test_all_pairs_are_tried_when_there_are_many_and_always_nobody_everybody_and_the_hostile() -> None:
    slots = {"hero": ["1", "2", "3"], "products": ["4", "5"]}
    names = tuple(f"t{number}" for number in range(12))
    html = slot("hero", slots["hero"]) + "".join(map(token, names))
    html += "{% for i in slots.products.items %}<p>{{ i.title }}</p>{% else %}-{% endfor %}"
    sources = [compiled(html, tokens=names, language=language) for language in ("en", "de", "fr")]
    trials = Trials(sources, slots)
    factors = trials.factors()

    cases = list(trials.cases())

    rows = trials.rows()
    assert len(rows) < MAX_ALL
    for one, other in combinations(range(len(factors)), 2):
        wanted = set(product(range(len(factors[one][2])), range(len(factors[other][2]))))
        assert {(row[one], row[other]) for row in rows} == wanted
    assert [(kind, name, len(values)) for kind, name, values in factors[:4]] == [
        ("language", "", 3), ("block", "hero", 3), ("block", "products", 2), ("items", "products", 3),
    ]  # fmt: skip
    for language in ("en", "de", "fr"):
        profiles = [set(case.profile.values()) for case in cases if case.language == language]
        assert all({value} in profiles for value in (None, "Alexandra", HOSTILE))
    report = message_try(sources, slots, address=ADDRESS)
    assert (report.problems, report.renders) == ([], len(cases))


def test_lists_of_products_are_empty_short_incomplete_and_long() -> None:
    html = "{% for i in slots.p.items %}<p>{{ i.title }}</p>{% else %}-{% endfor %}"

    lists = [case.items["p"] for case in Trials([compiled(html)], {"p": ["1"]}).cases() if not case.hostile]

    assert {len(items) for items in lists} == {0, 1, 3, 24}
    few = next(items for items in lists if len(items) == 3)
    assert {bool(item["price"]) for item in few} == {bool(item["image_url"]) for item in few} == {True, False}


def test_what_conditions_compare_with_is_tried() -> None:
    html = (
        '{% if profile.country == "DE" %}<p>Servus{% else %}<p>Hello</p>{% endif %}'
        "{% if profile.orders | number(0) > 3 %}<b>Thanks{% endif %}"
        '{% if profile.plan in ["gold", "silver"] %}<i>Metal{% endif %}'
    )

    report = trials_run(compiled(html, tokens=("country", "orders", "plan")), {}, address=ADDRESS)

    assert {problem.token for problem in report.problems} >= {"<p>", "<b>", "<i>"}


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (compiled("<p>x"), "<p> is not closed"),
        (compiled("{% if profile.a %}<p>{% endif %}x</p>", tokens=("a",)), "</p> closes what is not open"),
        (compiled('<a href="https://evil.example/">x</a>'), "goes to evil.example"),
        (
            compiled('<a href="{{ profile.a | fallback("https://shop.example/") }}">x</a>', tokens=("a",)),
            "web address",
        ),
        (compiled("<p {{ profile.a | fallback('x') }}>x</p>", tokens=("a",)), "no whole tag"),
        (compiled("{{ profile.a }}", tokens=("a",)), "would print nothing, for somebody of whom nothing is known"),
        (compiled("{% if profile.a %}{{ profile.b }}{% endif %}", tokens=("a", "b")), "for somebody without b"),
        (compiled(text="https://evil.example/"), "(in the text) goes to evil.example"),
        (compiled(text="http://shop.example/"), "(in the text) is not encrypted"),
        (compiled(text='{{ "{{" }}'), "{{ shows in the message"),
        (compiled("<p>x</p>" * 140_000), "is over 1048576"),
        (compiled("{% for i in slots.p.items %}" + "<p>x</p>" * 6000 + "{% else %}-{% endfor %}"), "is over 1048576"),
        (compiled(subject="{% if profile.a %}Hi{% endif %}", tokens=("a",)), "would be blank"),
        (compiled(subject="{% if %}"), "can't be read"),
    ],
)
def test_a_fault_is_found(sources: CompiledSources, words: str) -> None:
    report = trials_run(sources, {"p": ["1"]}, address=ADDRESS)

    assert any(words in str(problem) for problem in report.problems), report.problems[:3]


def test_address_and_unsubscribe_must_show_in_every_render() -> None:
    html = '<html>{% if profile.a != "Alexandra" %}1 Example Street' + LEAVE + "{% endif %}</html>"
    bare = CompiledSources.of(
        language="en", subject="Hi", html=html, text="Hi", tokens=["a"], link_hosts=[], shop_url="https://shop.example/"
    )

    told = {str(problem) for problem in trials_run(bare, {}, address=ADDRESS).problems}

    assert told >= {
        "trial render, en: 1 Example Street does not show in the HTML",
        "trial render, en: 1 Example Street does not show in the text",
        "trial render, en: links.unsubscribe does not show as a link",
        "trial render, en: the HTML shows nothing, for somebody of whom all is known",
    }


def test_hostile_values_stay_in_their_places() -> None:
    html = (
        f'<p title="{token("a")}">{token("a")}</p>{{% for i in slots.p.items %}}<a href="{{{{ i.url }}}}" '
        'title="{{ i.title }}">{{ i.title }}{% if i.image_url %}<img src="{{ i.image_url }}" alt="{{ i.title }}">'
        "{% endif %}{% if i.price %}{{ i.price }}{% endif %}</a>{% else %}-{% endfor %}"
    )

    report = trials_run(
        compiled(html, subject=token("a"), text=token("a"), tokens=("a",)), {"p": ["1"]}, address=ADDRESS
    )

    assert report.problems == []


def test_what_can_not_all_be_tried_is_refused() -> None:
    names = tuple(f"t{number}" for number in range(MAX_TOKENS + 1))
    many = trials_run(compiled("".join(map(token, names)), tokens=names), {}, address=ADDRESS)
    slots = {name: [str(number) for number in range(60)] for name in ("a", "b")}
    wide = trials_run(compiled(), slots, address=ADDRESS)

    assert [problem.mend for problem in many.problems] == [
        "looks at 201 profile values, and at most 200 can be tried: use fewer"
    ]
    assert wide.renders == MAX_TRIALS
    assert [problem.mend for problem in wide.problems] == ["has more than 2000 pairs of branches: use fewer tiers"]


def test_the_largest_is_of_a_usual_message() -> None:
    html = "{% for i in slots.p.items %}<p>{{ i.title }}</p>{% else %}-{% endfor %}"

    report = trials_run(compiled(html), {"p": ["1"]}, address=ADDRESS)

    assert report.largest_bytes == report.largest_in["en"]
    assert 150 < report.largest_bytes < 400
