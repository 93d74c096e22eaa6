"""Audiences within audiences: a rule that names others is a rule in which theirs stand in their places.

Nothing that runs is ever asked of a name: whoever pins a rule pins what the names stood for then, and a rule that is
read from its audience has them put in their places at that moment.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection

from apps.foundation.core.errors import Invalid

from .contracts import All, AnyOf, InAudience, Not, Rule, rule_leaves
from .models import Audience
from .parsing import MAX_DEPTH, MAX_RULES, rule_parse, rule_to_json

_LOCK = 7206  # under which rules of audiences change, so that no two make a circle together


def names_of(rule: Rule) -> set[str]:
    """The codes of the audiences that a rule names itself."""
    return {leaf.audience for leaf in rule_leaves(rule) if isinstance(leaf, InAudience)}


def rule_expand(rule: Rule) -> Rule:
    """The rule with those of the audiences that it names in their places, as they are now; it names none any more.

    Raises Invalid for one that does not exist, or whose rule can't be read.
    """
    return rules_expand([rule])[0]


def rules_expand(rules: Iterable[Rule]) -> list[Rule]:
    """`rule_expand` for several, with one statement for each level of names."""
    given = list(rules)
    known = _rules_read(set().union(*map(names_of, given))) if given else {}
    return [_expanded(rule, known, ()) for rule in given]


def rule_pinned(data: Any) -> Any:
    """A rule as JSON with the audiences that it names in their places. Raises Invalid as `rule_expand` does."""
    rule = rule_parse(data)
    return rule_to_json(rule_expand(rule)) if names_of(rule) else data


def names_check(rule: Rule, *, own: str = "") -> None:
    """See that the audiences that a rule names exist, name it nowhere in turn, and that all in all it is not too long.

    own: the code of the audience whose rule it is to be; then those that name it are looked at too, and nobody else
    changes rules of audiences until the transaction ends. Raises Invalid.
    """
    known = _rules_read(names_of(rule))
    _size_check(_expanded(rule, known, (own,) if own else ()))
    if not own:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCK])
    everybody = {code: rule_parse(data) for code, data in Audience.objects.values_list("code", "rule")}
    everybody[own] = rule
    for code, other in everybody.items():
        if names_of(other):
            expanded = _expanded(other, everybody, (code,))
            if own in _reached(other, everybody):
                _size_check(expanded, of=code)


def _rules_read(codes: set[str]) -> dict[str, Rule]:
    known: dict[str, Rule] = {}
    while codes:
        found = {
            code: rule_parse(data) for code, data in Audience.objects.filter(code__in=codes).values_list("code", "rule")
        }
        if missing := sorted(codes - found.keys()):
            raise Invalid("rule_audience_unknown", f'There is no audience "{missing[0]}"')
        known |= found
        codes = set().union(*map(names_of, found.values())) - known.keys()
    return known


def _expanded(rule: Rule, known: Mapping[str, Rule], path: tuple[str, ...]) -> Rule:
    if isinstance(rule, All | AnyOf):
        return type(rule)(tuple(_expanded(child, known, path) for child in rule.rules))
    if isinstance(rule, Not):
        return Not(_expanded(rule.rule, known, path))
    if not isinstance(rule, InAudience):
        return rule
    if rule.audience in path:
        way = " → ".join([*path[path.index(rule.audience) :], rule.audience])
        raise Invalid("rule_audience_circle", f"An audience can't be a part of itself: {way}")
    inner = _expanded(known[rule.audience], known, (*path, rule.audience))
    return inner if rule.inside else Not(inner)


def _reached(rule: Rule, known: Mapping[str, Rule]) -> set[str]:
    """The audiences that a rule names, and those that they name. There is no circle."""
    return names_of(rule).union(*(_reached(known[code], known) for code in names_of(rule)))


def _size_check(rule: Rule, *, of: str = "") -> None:
    depth, rules = _size(rule)
    whose = f'The audience "{of}", which names this one,' if of else "With the audiences that it names, the rule"
    if depth > MAX_DEPTH:
        raise Invalid("rule_too_deep", f"{whose} has {depth} levels: {MAX_DEPTH} may be")
    if rules > MAX_RULES:
        raise Invalid("rule_too_long", f"{whose} consists of {rules} rules: {MAX_RULES} may be")


def _size(rule: Rule) -> tuple[int, int]:
    """Levels and rules, as the parser counts them."""
    children = rule.rules if isinstance(rule, All | AnyOf) else (rule.rule,) if isinstance(rule, Not) else ()
    sizes = [_size(child) for child in children]
    return 1 + max((depth for depth, _ in sizes), default=0), 1 + sum(rules for _, rules in sizes)
