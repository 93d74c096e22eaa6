"""Makes templates and people by chance: all that the proof allows, and slips that it must notice."""

from random import Random
from typing import Any

LINKS = {"unsubscribe": "https://links.example/u/k1.x", "preferences": "https://links.example/p/k1.x"}
PROFILE = ("a", "b", "c", "d")
SLOTS = ("p", "q")
_PLAIN = ("Hello", "no", "ne", "n", "un", "nu", "a b", "DE", "Grüße", "undef", "<b>", "3", "ı")
_SLIPS = ("", " ", "None", "nan", "\u200b", "\u00a0", "\ue000", "undefined")
_FIELDS = ("title", "title", "url", "price", "sku", "image_url")

ODD_VALUES: tuple[Any, ...] = (
    *(None, "", " ", "\t", "None", "nan", "NULL", "undefined", "no", "ne", "n", "un", "null", "\u200b", "\u2800", "ı"),
    *("undefıned", "x" * 600, "\u2800" * 600 + "x", "no" + "\u2800" * 600 + "xe", "\u202eabc\u202c", "\ue000", "DE"),
    *("Hello", "a b", "Anna", "<b>&\"'", "{{ 7 }}", "{% if", "[[ x ]]", "%s%n", "\ud800", "0", "=?utf-8?q?x?=", True),
    *(False, 0, 1, 2, 3, -1, 1.5, 0.0, -0.0, 5e-324, 10**14, -(10**20), 1e300, float("nan"), float("inf"), [], ["x"]),
    *({}, {"x": 1}, ("x",), b"x"),
)
"""What a profile or an item may bring."""


class Scribe:
    """Writes one template; `slip` is how often it does what it should not."""

    def __init__(self, random: Random, *, slip: float = 0.03) -> None:
        self._random = random
        self._slip = slip
        self._count = 0
        self._macros: list[tuple[str, int]] = []

    def template(self) -> str:
        """A template of a few statements."""
        return self._body(3, {}, top=True)

    # --- chances ---

    def _one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _slips(self) -> bool:
        return self._random.random() < self._slip

    def _name(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def _of(self, scope: dict[str, str], *kinds: str) -> str | None:
        names = [name for name, kind in scope.items() if kind in kinds]
        return self._random.choice(names) if names else None

    # --- statements ---

    def _body(self, depth: int, scope: dict[str, str], *, top: bool = False, loop: bool = False) -> str:
        return "".join(self._statement(depth, scope, top, loop) for _ in range(self._random.randint(1, 4)))

    def _statement(self, depth: int, scope: dict[str, str], top: bool, loop: bool) -> str:
        kinds = ["data", "output", "output"]
        if depth > 0:
            kinds += ["if", "if", "for", "set", "set", "set block", *(["macro"] if top else [])]
        kind = self._random.choice(kinds)
        if kind == "data":
            return str(self._one("Hi ", "no", "ne", " ", "\n", "x", "{ ", "<b>", "</b>"))
        if kind == "output":
            dash = self._one("", "", "-")
            return f"{{{{{dash} {self._text(2, scope, loop)} {dash}}}}}"
        if kind == "if":
            return self._branches(depth - 1, scope, top, loop)
        if kind == "for":
            return self._loop(depth - 1, scope)
        if kind == "set":
            return self._set(depth, scope, loop)
        if kind == "set block":
            name = self._of(scope, "text") if self._random.random() < 0.3 else None
            name = name or self._name()
            body = self._body(depth - 1, dict(scope), loop=loop)
            scope[name] = "text?" if self._slips() else "block"
            return f"{{% set {name} %}}{body}{{% endset %}}"
        name, parameters = self._name(), [self._name() for _ in range(self._random.randint(0, 2))]
        inside = dict.fromkeys(parameters, "text")
        default = parameters and self._one(True, False)
        listed = [*parameters[:-1], f'{parameters[-1]}="{self._one(*_PLAIN)}"'] if default else parameters
        body = self._body(depth - 1, inside)
        self._macros.append((name, len(parameters)))
        values = ", ".join(self._text(0, scope, loop) for _ in parameters)
        used = "" if self._slips() else f"{{{{ {name}({values}) | fallback({self._literal()}) }}}}"
        return f"{{% macro {name}({', '.join(listed)}) %}}{body}{{% endmacro %}}{used}"

    def _branches(self, depth: int, scope: dict[str, str], top: bool, loop: bool) -> str:
        whole = ""
        before = list(self._macros)
        for word in ["if", *(["elif"] if self._one(True, False, False) else [])]:
            test, known = self._condition(2, scope, loop)
            inside = dict(scope)
            inside.update(known)
            whole += f"{{% {word} {test} %}}{self._body(depth, inside, top=top, loop=loop)}"
            self._macros = list(before)
        if self._one(True, True, False):
            whole += "{% else %}" + self._body(depth, dict(scope), top=top, loop=loop)
            self._macros = list(before)
        return whole + "{% endif %}"

    def _loop(self, depth: int, scope: dict[str, str]) -> str:
        goods, kind, sure = self._list(scope)
        name = self._name()
        body = self._body(depth, {**scope, name: kind}, loop=True)
        otherwise = "" if sure or self._slips() else "{% else %}" + self._body(depth, dict(scope))
        return f"{{% for {name} in {goods} %}}{body}{otherwise}{{% endfor %}}"

    def _set(self, depth: int, scope: dict[str, str], loop: bool) -> str:
        name = (self._of(scope, "text", "any", "number") if self._random.random() < 0.3 else None) or self._name()
        kind = self._one("text", "text", "any", "number", "list", "one")
        if kind == "text":
            value, kind = self._text(2, scope, loop), "text"
        elif kind == "any":
            value = f"profile.{self._one(*PROFILE)}"
        elif kind == "number":
            value = self._number(1, scope, loop)
        elif kind == "list":
            value, each, sure = self._list(scope)
            kind = f"list of {each}{'' if sure else '?'}"
        else:
            value, kind = f"slots.{self._one(*SLOTS)}.items | {self._one('first', 'last')}", "item?"
        scope[name] = kind
        return f"{{% set {name} = {value} %}}"

    def _list(self, scope: dict[str, str]) -> tuple[str, str, bool]:
        """A list, what is in it, and whether something surely is."""
        kept = [(name, kind) for name, kind in scope.items() if kind.startswith("list of ")]
        if kept and self._one(True, False):
            name, kind = self._random.choice(kept)
            return name, kind.removeprefix("list of ").rstrip("?"), not kind.endswith("?")
        kind = self._one("items", "items", "top", "texts", "rows")
        goods = f"slots.{self._one(*SLOTS)}.items"
        if kind == "items":
            return goods, "item", False
        if kind == "top":
            return f"{goods}[:{self._random.randint(1, 4)}]", "item", False
        if kind == "rows":
            return f"{goods} | batch({self._random.randint(1, 4)})", "list of item", False
        return f"[{', '.join(self._text(0, scope, False) for _ in range(self._random.randint(1, 3)))}]", "text", True

    # --- expressions ---

    def _literal(self) -> str:
        return f'"{self._one(*(_SLIPS if self._slips() else _PLAIN))}"'

    def _text(self, depth: int, scope: dict[str, str], loop: bool) -> str:
        """Something to print."""
        if self._slips():
            name = self._of(scope, "any", "item?", "text?")
            return name or f"profile.{self._one(*PROFILE)}"
        kinds = ["literal", "profile", "name", "name", "item", "item", "link", *(["loop"] if loop else [])]
        if depth > 0:
            kinds += ["filter", "filter", "concat", "choice", "or", "number", "call", "join", "default", "replace"]
        kind = self._random.choice(kinds)
        fallback = f"fallback({self._text(0, scope, loop) if self._one(True, False, False) else self._literal()})"
        name = f"profile.{self._one(*PROFILE)}"

        def inner() -> str:
            return self._text(depth - 1, scope, loop) if depth > 0 else self._literal()

        match kind:
            case "profile":
                return f"{name}{self._one('', ' | upper', ' | trim', ' | number(0)')} | {fallback}"
            case "name":
                shown = self._of(scope, "text", "block", "number", "known")
                return shown or f"({self._of(scope, 'any') or name} | {fallback})"
            case "item":
                item = self._of(scope, "item")
                field = self._one(*_FIELDS)
                if item is None:
                    return self._literal()
                always = field in ("title", "url") or self._slips()
                return f"{item}.{field}" if always else f"({item}.{field} | {fallback})"
            case "link":
                return "links." + str(self._one("unsubscribe", "preferences"))
            case "loop":
                return "loop." + str(self._one("index", "index0", "revindex", "revindex0", "length"))
            case "filter":
                change = self._one("upper", "lower", "capitalize", "title", "trim", "truncate(2)", "truncate(5)")
                return f"({inner()} | {change})"
            case "concat":
                sure = '"!"' if not self._slips() else inner()
                return f"({inner()} ~ {inner()} ~ {sure})"
            case "choice":
                test, known = self._condition(1, scope, loop)
                return f"({self._text(depth - 1, {**scope, **known}, loop)} if {test} else {inner()})"
            case "or":
                item = self._of(scope, "item", "item?")
                first = f"{item}.{self._one(*_FIELDS)}" if item else f'("x" if {name} else "")'
                return f"({first} or {inner()})"
            case "number":
                return f"({self._number(depth - 1, scope, loop)})"
            case "call" if self._macros:
                macro, count = self._random.choice(self._macros)
                return f"{macro}({', '.join(inner() for _ in range(count))})"
            case "join":
                return f'(slots.p.items | join("{self._one("", ", ", "n")}", "title") | {fallback})'
            case "default":
                return (
                    f'({name} | {self._one("number(0)", "upper", "fallback(", "trim")} | default("x", true))'.replace(
                        "fallback(", 'fallback("y")'
                    )
                )
            case "replace":
                return f'({inner()} | replace("{self._one("n", "e", "o", "x")}", "{self._one("", "e")}") | {fallback})'
        return self._literal()

    def _number(self, depth: int, scope: dict[str, str], loop: bool) -> str:
        kinds = ["literal", "profile", "name", "length", *(["loop"] if loop else [])]
        if depth > 0:
            kinds += ["sum", "part", "round"]
        kind = self._random.choice(kinds)
        name = self._of(scope, "number")
        if kind == "name" and name:
            return name
        if kind == "profile":
            return f"profile.{self._one(*PROFILE)} | number({self._random.randint(0, 3)})"
        if kind == "length":
            return f"slots.{self._one(*SLOTS)}.items | length"
        if kind == "loop":
            return "loop.index"
        if kind == "sum":
            first, second = self._number(depth - 1, scope, loop), self._number(depth - 1, scope, loop)
            return f"({first}) {self._one('+', '-', '*')} ({second})"
        if kind == "part":
            return f"({self._number(depth - 1, scope, loop)}) {self._one('/', '//', '%')} {self._random.randint(1, 4)}"
        if kind == "round":
            return f"({self._number(depth - 1, scope, loop)}) | round({self._random.randint(0, 2)})"
        return str(self._random.randint(0, 12))

    def _condition(self, depth: int, scope: dict[str, str], loop: bool) -> tuple[str, dict[str, str]]:
        """A condition, and the paths that can be printed (`known`) or looped over where it holds."""
        path = f"profile.{self._one(*PROFILE)}"
        if self._one(True, False, False):
            path = self._of(scope, "any", "text", "block", "text?") or path
        kinds = [
            "truth",
            "equal",
            "in",
            "string",
            "number",
            "items",
            "count",
            "item",
            "test",
            *(["loop"] if loop else []),
        ]
        if depth > 0:
            kinds += ["not", "and", "and", "or"]
        match self._random.choice(kinds):
            case "equal":
                literal = self._one('"DE"', '"no"', "1", "0", "true", "none", '""', '"None"')
                shown = literal in ('"DE"', '"no"') and "profile" not in path
                if self._one(True, False, False):
                    return f"{path} != {literal}", {}
                return f"{path} == {literal}", {path: "known"} if shown or "profile" in path else {}
            case "in":
                return f'{path} {self._one("in", "not in")} ["DE", "no", {self._literal()}]', {path: "known"}
            case "string":
                if self._one(True, False, False):
                    return f"{path} is not {self._one('string', 'none', 'number')}", {}
                return f"{path} is {self._one('string', 'string', 'number', 'defined')}", {path: "known"}
            case "number":
                compare = self._one("<", "<=", ">", ">=", "==", "!=")
                return f"({self._number(1, scope, loop)}) {compare} ({self._number(0, scope, loop)})", {}
            case "items":
                goods = f"slots.{self._one(*SLOTS)}.items"
                return goods, {goods: "list of item"}
            case "count":
                goods = f"slots.{self._one(*SLOTS)}.items"
                compare = self._one("> 0", ">= 1", "!= 0", "== 2", "< 3", "")
                return f"{goods} | length {compare}", {
                    goods: "list of item"
                } if self._slips() or "<" not in compare else {}
            case "item":
                item = self._of(scope, "item", "item?")
                if item is None:
                    return path, {}
                field = f"{item}.{self._one(*_FIELDS)}"
                return field, {field: "known"}
            case "test":
                return f"({self._number(0, scope, loop)}) is {self._one('odd', 'even', 'divisibleby(3)')}", {}
            case "loop":
                return self._one("loop.first", "loop.last", "loop.index <= 2", "loop.index0"), {}
            case "not":
                test, _ = self._condition(depth - 1, scope, loop)
                return f"not ({test})", {}
            case "and":
                left, known = self._condition(depth - 1, scope, loop)
                right, more = self._condition(depth - 1, {**scope, **known}, loop)
                return f"({left}) and ({right})", {**known, **more}
            case "or":
                left, _ = self._condition(depth - 1, scope, loop)
                right, _ = self._condition(depth - 1, scope, loop)
                return f"({left}) or ({right})", {}
        return path, {}


def person(random: Random) -> dict[str, Any]:
    """A context with whatever may come in."""
    profile = {name: random.choice(ODD_VALUES) for name in PROFILE if random.random() < 0.85}
    slots: dict[str, Any] = {}
    for name in SLOTS:
        if random.random() < 0.75:
            slots[name] = {"block": random.choice(["1", 2, None, ""]), "items": goods(random)}
    return {"profile": profile, "slots": slots, "links": LINKS}


def goods(random: Random) -> list[Any]:
    """Items of a slot, sound ones and others."""
    made: list[Any] = []
    for _ in range(random.choice([0, 1, 2, 3, 26])):
        item: dict[str, Any] = {
            "title": random.choice(["no", "ne", "n", "Lamp", 0, "<b>"]),
            "url": "https://shop.example/a",
            "price": random.choice(["£4", "", None, 0, 3]),
            "image_url": random.choice(["https://shop.example/a.png", ""]),
        }
        for field in random.sample(sorted(item), random.choice([0, 0, 0, 1])):
            item[field] = random.choice(ODD_VALUES)
        made.append(item if random.random() < 0.95 else random.choice(ODD_VALUES))
    return made
